"""Reading trees: all that may be shared, nothing else, and never more than a part of it at a time."""

import os
from collections import Counter
from pathlib import Path

from peer.shares.tree import LISTING_SIZE, Closed, Listing, Rules, join, walk
from tests.peer.shares.trees import as_nobody, booby_trapped, plant, readable_by_all, write


def walked(
    root: Path, rules: Rules | None = None, start: bytes = b"", skipped: Counter[str] | None = None
) -> set[bytes]:
    """The relative paths of all files that a walk comes to."""
    return {
        join(listing.folder, file.name)
        for listing in walk(os.fsencode(root), rules or Rules(), start, skipped)
        if isinstance(listing, Listing)
        for file in listing.files
    }


def test_only_what_may_be_shared_is_found_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    wanted = booby_trapped(tmp_path / "share", tmp_path / "secret")
    skipped: Counter[str] = Counter()
    assert walked(tmp_path / "share", skipped=skipped) == wanted
    assert skipped == {"link": 6, "not_regular": 3, "hidden": 3, "key_like": 2, "unfinished": 1}


def test_hidden_files_on_demand_but_never_keys(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    wanted = booby_trapped(tmp_path / "share", tmp_path / "secret")
    assert walked(tmp_path / "share", Rules(include_hidden=True)) == wanted | {b".hidden/file.txt", b".hidden file"}


def test_a_walk_may_begin_anywhere(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "c" / "file")
    write(tmp_path / "a" / "other")
    assert walked(tmp_path, start=b"a/b") == {b"a/b/c/file"}
    assert walked(tmp_path, start=b"a/absent") == set()


def test_closed_folders_are_not_entered_by_whatever_path(tmp_path: Path) -> None:
    write(tmp_path / "data" / "secret")
    write(tmp_path / "private" / "file")
    write(tmp_path / "file")
    found = (tmp_path / "data").stat()
    rules = Rules(
        closed=frozenset({os.fsencode(tmp_path / "private")}), closed_ids=frozenset({(found.st_dev, found.st_ino)})
    )
    (tmp_path / "data").rename(tmp_path / "renamed")
    assert walked(tmp_path, rules) == {b"file"}
    closed = {found.folder: found.reason for found in walk(os.fsencode(tmp_path), rules) if isinstance(found, Closed)}
    assert closed == {b"renamed": "excluded", b"private": "excluded"}


def test_no_daemon_publishes_the_database_of_another(tmp_path: Path) -> None:
    for path in ("super/lock", "super/superpeer.sqlite", "peer/lock", "peer/library.db", "peer/uploads/file"):
        write(tmp_path / path)
    for path in ("mine/library.db", "mine/superpeer.sqlite", "door/lock"):
        write(tmp_path / path)
    assert walked(tmp_path) == {b"mine/library.db", b"mine/superpeer.sqlite", b"door/lock"}


def test_a_folder_that_may_not_be_read_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path / "closed" / "file")
    write(tmp_path / "open" / "file")
    tmp_path.chmod(0o755)
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "closed").chmod(0o000)
    with readable_by_all(tmp_path) as root:
        found = as_nobody(lambda: list(walk(root, Rules())))
    (tmp_path / "closed").chmod(0o700)
    assert [each for each in found if isinstance(each, Closed)] == [Closed(b"closed", "denied")]
    assert {each.folder for each in found if isinstance(each, Listing)} == {b"", b"open"}


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert list(walk(os.fsencode(tmp_path / "absent"), Rules())) == [Closed(b"", "gone")]


def test_a_large_folder_comes_in_parts(tmp_path: Path) -> None:
    names = {b"%d" % number for number in range(2 * LISTING_SIZE + 10)}
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    (tmp_path / "sub").mkdir()
    listings = [each for each in walk(os.fsencode(tmp_path), Rules()) if isinstance(each, Listing)]
    parts = [listing for listing in listings if listing.folder == b""]
    assert all(len(listing.files) <= LISTING_SIZE + 1 for listing in parts)
    assert {file.name for listing in parts for file in listing.files} == names
    assert [listing.is_last for listing in parts] == [False] * (len(parts) - 1) + [True]
    assert not any(listing.is_whole for listing in parts)
    assert parts[-1].folders == [b"sub"]
    assert listings[-1].is_whole


def test_a_very_deep_tree_is_read_to_its_end(tmp_path: Path) -> None:
    """Its path is longer than any that the system would take at once."""
    parts = ["deep folder " * 3] * 200
    fd = os.open(tmp_path, os.O_RDONLY)
    for part in parts:
        os.mkdir(part, dir_fd=fd)
        inner = os.open(part, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=fd))
    os.close(fd)
    assert walked(tmp_path) == {"/".join([*parts, "file"]).encode()}


def test_files_are_seen_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "file", "12345")
    listing = next(iter(walk(os.fsencode(tmp_path), Rules())))
    assert isinstance(listing, Listing)
    found = (tmp_path / "file").stat()
    assert listing.files == [
        (b"file", 5, found.st_mtime_ns, found.st_ino, found.st_dev, found.st_ctime_ns),
    ]


def test_every_folder_is_announced_before_it_is_read(tmp_path: Path) -> None:
    plant(tmp_path, 120)
    entered: list[bytes] = []

    def enter(folder: bytes, fd: int) -> None:
        assert os.listdir(fd)
        entered.append(folder)

    for found in walk(os.fsencode(tmp_path), Rules(), on_enter=enter):
        assert found.folder == entered[-1]
    assert len(entered) == len(set(entered)) == 7


def test_no_descriptor_is_left_when_a_walk_is_abandoned(tmp_path: Path) -> None:
    plant(tmp_path, 120)
    before = len(os.listdir("/proc/self/fd"))
    reading = walk(os.fsencode(tmp_path), Rules())
    next(reading)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before
