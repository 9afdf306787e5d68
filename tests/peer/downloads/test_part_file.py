"""The part file: what room there must be, whose it is, and what may stand in its way."""

import errno
import fcntl
import os
import resource
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content.grid import Span
from common.content.names import safe_name
from common.errors import Refusal
from common.ids import EMPTY_FILE_ID, FileId
from peer.downloads.part_file import PartFile, Wanted, part_name

MIB = 1 << 20
HALF = bytes(range(256)) * (MIB // 512)
WANTED = Wanted(FileId("ab" * 32), 4 * MIB, "", "film.tar.gz")


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return replace(WANTED, folder=str(tmp_path))


def refused(wanted: Wanted) -> Refusal:
    with pytest.raises(Refusal) as caught, closing(PartFile(wanted)):
        pass
    return caught.value


def test_a_file_that_has_no_room_is_refused_before_the_first_byte(small_disk: Path) -> None:
    refusal = refused(replace(WANTED, folder=str(small_disk)))
    assert refusal.code == "disk_full"
    assert "Free some space" in refusal.detail
    assert os.listdir(small_disk) == []


def test_what_is_there_already_needs_no_room(small_disk: Path) -> None:
    wanted = replace(WANTED, folder=str(small_disk), size=2 * MIB - 65536)
    (small_disk / part_name(wanted.name, wanted.id)).write_bytes(bytes(MIB + MIB // 2))
    with closing(PartFile(wanted)) as part:
        assert part.extents() == [Span(0, MIB + MIB // 2)]


def test_a_disk_that_fills_up_meanwhile_keeps_what_came(small_disk: Path) -> None:
    wanted = replace(WANTED, folder=str(small_disk), size=MIB + MIB // 2)
    with closing(PartFile(wanted)) as part:
        part.write_at(memoryview(HALF), 0)
        other = small_disk / "other"
        other.write_bytes(bytes(MIB))
        with pytest.raises(Refusal) as caught:
            part.write_at(memoryview(HALF * 2), MIB // 2)
        assert caught.value.code == "disk_full"
        other.unlink()
        part.write_at(memoryview(HALF * 2), MIB // 2)
        part.flush()
        assert Path(part.publish()).read_bytes() == HALF * 3


LIMITED = """
import resource, signal, sys
from peer.downloads.part_file import PartFile, Wanted
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
part = PartFile(Wanted("ab" * 32, 4 << 20, sys.argv[1], "film.tar.gz"))
try:
    part.write_at(memoryview(bytes(1 << 19)), (1 << 20) - 100)
except Exception as error:
    print(error.code)
"""


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["disk_full"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1 << 20


def test_a_size_that_no_disk_has_is_refused(wanted: Wanted) -> None:
    assert refused(replace(wanted, size=1 << 53)).code == "disk_full"
    assert os.listdir(wanted.folder) == []


def test_bytes_beyond_the_end_are_not_written(wanted: Wanted) -> None:
    with closing(PartFile(replace(wanted, size=10))) as part:
        part.write_at(memoryview(b"12345"), 5)
        for data, offset in [(b"x", 10), (b"901", 8), (b"x" * 11, 0)]:
            with pytest.raises(ValueError, match="more bytes"):
                part.write_at(memoryview(data), offset)
        assert Path(part.path).read_bytes() == bytes(5) + b"12345"


def test_where_bytes_lie_is_told_whatever_the_order_in_which_they_came(wanted: Wanted) -> None:
    with closing(PartFile(wanted)) as part:
        assert part.extents() == []
        for place in (3, 1, 2):
            part.write_at(memoryview(b"x" * 65536), place * 65536)
        part.write_at(memoryview(b"x" * 65536), 20 * 65536)
        assert part.extents() == [Span(65536, 4 * 65536), Span(20 * 65536, 21 * 65536)]
        part.restart()
        assert part.extents() == []


def test_a_descriptor_for_others_reads_on_and_holds_nothing(wanted: Wanted) -> None:
    with closing(PartFile(replace(wanted, size=5))) as part:
        part.write_at(memoryview(b"12345"), 0)
        reading = part.duplicate()
    try:
        assert fcntl.fcntl(reading, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        with closing(PartFile(replace(wanted, size=5))) as part:  # it is not held any more
            part.publish()
        assert os.pread(reading, 10, 0) == b"12345"
    finally:
        os.close(reading)


def test_what_comes_too_late_meets_no_other_file(wanted: Wanted, tmp_path: Path) -> None:
    part = PartFile(wanted)
    part.write_at(memoryview(b"x"), 0)
    part.close()
    with (tmp_path / "other").open("wb"), (tmp_path / "another").open("wb"):
        with pytest.raises((Refusal, ValueError)):
            part.write_at(memoryview(b"x"), 0)
        with pytest.raises((Refusal, ValueError)):
            part.restart()
    assert [(tmp_path / name).stat().st_size for name in ("other", "another")] == [0, 0]


@pytest.mark.parametrize("what", ["link", "fifo", "folder"])
def test_what_is_no_file_of_ours_is_not_opened(wanted: Wanted, tmp_path: Path, what: str) -> None:
    at, canary = tmp_path / part_name(wanted.name, wanted.id), tmp_path / "canary"
    canary.write_bytes(b"sings")
    if what == "link":
        at.symlink_to(canary)
    elif what == "fifo":
        os.mkfifo(at)
    else:
        at.mkdir()
    assert refused(wanted).code == "invalid_path"
    assert canary.read_bytes() == b"sings"
    assert at.is_symlink() or at.exists()


@pytest.mark.parametrize(
    "impossible", [{"id": "../../../x"}, {"id": ""}, {"size": -1}, {"name": "../x"}, {"name": ".."}, {"name": ""}]
)
def test_what_cannot_be_fetched_is_not_wanted(wanted: Wanted, impossible: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be fetched"):
        replace(wanted, **impossible)


def test_a_second_name_of_another_file_is_dropped_and_the_file_left_alone(wanted: Wanted, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"sings")
    os.link(canary, tmp_path / part_name(wanted.name, wanted.id))
    with closing(PartFile(wanted)) as part:
        assert part.extents() == []
        part.write_at(memoryview(b"x"), 0)
    assert canary.read_bytes() == b"sings"


def test_only_one_holds_it(wanted: Wanted) -> None:
    with closing(PartFile(wanted)) as part:
        part.write_at(memoryview(b"x"), 0)
        assert refused(wanted).code == "download_running"
        assert Path(part.path).exists()
    with closing(PartFile(wanted)) as part:
        assert part.extents() == [Span(0, 1)]


def test_a_folder_that_is_not_there_is_said_to_be_so(wanted: Wanted, tmp_path: Path) -> None:
    refusal = refused(replace(wanted, folder=str(tmp_path / "gone")))
    assert refusal.code == "invalid_path"
    assert refusal.detail.endswith(".part cannot be written: No such file or directory. Choose another folder.")


@pytest.mark.parametrize("count", [1, 3])
def test_publishing_takes_the_first_free_name(wanted: Wanted, tmp_path: Path, count: int) -> None:
    paths = []
    for _ in range(count + 1):
        with closing(PartFile(replace(wanted, size=1))) as part:
            part.write_at(memoryview(b"x"), 0)
            paths.append(Path(part.publish()).name)
    assert paths == ["film.tar.gz", "film (2).tar.gz", "film (3).tar.gz", "film (4).tar.gz"][: count + 1]
    assert not list(tmp_path.glob("*.part"))


def test_a_name_taken_at_the_last_moment_is_not_replaced(
    wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def somebody_is_faster(source: str, target: str, **keywords: Any) -> None:
        if target == wanted.name:
            (tmp_path / target).write_bytes(b"mine")
        link(source, target, **keywords)

    monkeypatch.setattr(os, "link", somebody_is_faster)
    with closing(PartFile(replace(wanted, size=1))) as part:
        part.write_at(memoryview(b"x"), 0)
        assert Path(part.publish()).name == "film (2).tar.gz"
    assert (tmp_path / wanted.name).read_bytes() == b"mine"


def test_a_disk_without_links_takes_a_rename(wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / wanted.name).write_bytes(b"mine")
    with closing(PartFile(replace(wanted, size=1))) as part:
        part.write_at(memoryview(b"x"), 0)
        assert Path(part.publish()).read_bytes() == b"x"
    assert sorted(os.listdir(tmp_path)) == ["film (2).tar.gz", "film.tar.gz"]


def test_an_empty_part_does_not_stay_but_an_empty_file_does(wanted: Wanted, tmp_path: Path) -> None:
    PartFile(wanted).close()
    assert os.listdir(tmp_path) == []
    with closing(PartFile(replace(wanted, id=EMPTY_FILE_ID, size=0))) as part:
        part.publish()
    assert os.listdir(tmp_path) == ["film.tar.gz"]


HOSTILE = [
    "../../x",
    "/etc/passwd",
    "CON",
    "a" * 255,
    "ä" * 200 + ".txt",
    "..",
    ".",
    "",
    "\x1b[2Jx",
    "a\0b",
    "\u202egpj.exe",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_in_the_folder(wanted: Wanted, tmp_path: Path, name: str) -> None:
    with closing(PartFile(replace(wanted, name=safe_name(name), size=1))) as part:
        part.write_at(memoryview(b"x"), 0)
        path = Path(part.publish())
    assert path.parent == tmp_path
    assert os.listdir(tmp_path) == [path.name]


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_a_part_name_fits_any_disk_and_names_its_content(name: str) -> None:
    made = part_name(name, WANTED.id)
    assert len(os.fsencode(made)) <= 255
    assert made.endswith(".abababab.part")
    assert made.startswith(name) or len(os.fsencode(name)) > 240
