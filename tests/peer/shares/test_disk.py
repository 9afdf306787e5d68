"""The way to a file: never through a link, never to anything but a regular file, never out of the share."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peer.shares.disk import (
    FolderPath,
    lstat_inside,
    open_file,
    open_folder,
    open_inside,
    remove_inside,
    signed,
    stamp_of,
)
from tests.peer.shares.trees import booby_trapped, write


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    (tmp_path / "share").mkdir()
    booby_trapped(tmp_path / "share", tmp_path / "secret")
    return os.fsencode(tmp_path / "share")


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def refusal(call: Callable[[], int]) -> int | None:
    try:
        os.close(call())
    except OSError as error:
        return error.errno
    return None


def read_and_close(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_a_regular_file_is_opened(root: bytes) -> None:
    assert read_and_close(open_inside(root, b"", b"plain.txt")) == b"plain"


def test_odd_names_are_opened(root: bytes) -> None:
    assert read_and_close(open_inside(root, b"", b"caf\xe9 \xff.txt")) == b"odd"
    assert read_and_close(open_inside(root, b"sub", b"n" * 251 + b".txt")) == b"long"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (b"", b"link to file"),
        (b"link to folder", b"secret.txt"),
        (b"link to link", b"secret.txt"),
        (b"sub/loop", b"plain.txt"),
        (b"", b"dangling"),
        (b"", b"self"),
        (b"", b"fifo"),
        (b"", b"socket"),
        (b"", b"folder.d"),
        (b"", b"absent"),
        (b"absent", b"plain.txt"),
        (b"plain.txt", b"plain.txt"),
        (b"..", b"secret.txt"),
        (b"../secret", b"secret.txt"),
        (b"sub/..", b"plain.txt"),
        (b"sub//", b"plain.txt"),
        (b"", b".."),
        (b"", b"."),
        (b"", b""),
        (b"", b"../secret/secret.txt"),
        (b"", b"sub/../plain.txt"),
    ],
)
def test_everything_else_is_not_there(root: bytes, folder: bytes, name: bytes) -> None:
    assert refusal(lambda: open_inside(root, folder, name)) in (
        errno.ENOENT,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.ENXIO,
    )


def test_a_root_that_is_a_link_is_not_followed(root: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path / "secret", target_is_directory=True)
    assert refusal(lambda: open_folder(os.fsencode(tmp_path / "other"))) in (errno.ELOOP, errno.ENOTDIR)


def test_a_device_is_not_a_file(tmp_path: Path) -> None:
    assert refusal(lambda: open_inside(b"/dev", b"", b"null")) == errno.ENOENT


def test_a_link_swapped_in_while_opening_never_leads_out(tmp_path: Path) -> None:
    """The folder and the file are exchanged with links to a secret all the time."""
    share, secret = tmp_path / "share", tmp_path / "secret"
    write(secret / "file", "SECRET")
    write(share / "folder" / "file", "mine")
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            os.rename(share / "folder", share / "aside")
            os.symlink(secret, share / "folder")
            os.unlink(share / "folder")
            os.rename(share / "aside", share / "folder")
            os.rename(share / "folder" / "file", share / "folder" / "aside")
            os.symlink(secret / "file", share / "folder" / "file")
            os.rename(share / "folder" / "aside", share / "folder" / "file")

    thread = threading.Thread(target=exchange)
    thread.start()
    contents = set()
    root, path = os.fsencode(share), FolderPath(os.fsencode(share))
    ways: list[Callable[[], int]] = [
        lambda: open_inside(root, b"folder", b"file"),
        lambda: open_file(path.open(b"folder"), b"file"),
    ]
    try:
        for _ in range(3000):
            for way in ways:
                try:
                    contents.add(read_and_close(way()))
                except OSError:
                    path.close()
    finally:
        stop.set()
        thread.join()
        path.close()
    assert contents == {b"mine"}


def test_lstat_tells_what_is_there_without_following(root: bytes) -> None:
    link = lstat_inside(root, b"", b"link to file")
    assert link is not None
    assert os.path.stat.S_ISLNK(link.st_mode)  # type: ignore[attr-defined]
    assert lstat_inside(root, b"", b"absent") is None
    assert lstat_inside(root, b"absent", b"plain.txt") is None
    assert lstat_inside(root, b"link to folder", b"secret.txt") is None


def test_a_file_is_removed_only_if_it_is_the_one_that_is_meant(root: bytes) -> None:
    found = lstat_inside(root, b"", b"plain.txt")
    assert found is not None
    assert not remove_inside(root, b"", b"plain.txt", (found.st_size + 1, found.st_mtime_ns, found.st_ino))
    assert not remove_inside(root, b"", b"link to file", stamp_of(found))
    assert not remove_inside(root, b"", b"absent", stamp_of(found))
    assert remove_inside(root, b"", b"plain.txt", stamp_of(found))
    assert lstat_inside(root, b"", b"plain.txt") is None


def test_nothing_is_removed_through_a_link(root: bytes, tmp_path: Path) -> None:
    found = (tmp_path / "secret" / "secret.txt").stat()
    with pytest.raises(OSError):
        remove_inside(root, b"link to folder", b"secret.txt", stamp_of(found))
    assert (tmp_path / "secret" / "secret.txt").exists()


def test_a_folder_path_gives_the_same_folders_as_opening_each(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    deep = b"/".join([b"d"] * (2 * FolderPath.DEEPEST))
    folders = [b"", b"a", b"a/b", b"a/b/c", b"a/x", b"z", deep, deep[:-2], deep, b"a/b"]
    for folder in folders:
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    path = FolderPath(root)
    for folder in folders:
        fd = open_folder(root, folder)
        assert os.fstat(path.open(folder)).st_ino == os.fstat(fd).st_ino
        os.close(fd)
        assert len(os.listdir("/proc/self/fd")) < FolderPath.DEEPEST + 60
    with pytest.raises(OSError):
        path.open(b"a/absent/c")
    assert os.fstat(path.open(b"a")).st_ino == (tmp_path / "a").stat().st_ino
    path.close()


def test_numbers_of_64_bits_fit_into_the_database() -> None:
    assert [signed(number) for number in (0, 5, 2**63 - 1, 2**63, 2**64 - 1)] == [0, 5, 2**63 - 1, -(2**63), -1]
    assert [signed(number) for number in (-(2**63), -(2**63) - 1, 2**70 + 3)] == [-(2**63), 2**63 - 1, 3]
