"""Where downloads are put: below the folder that was chosen, whatever their names say."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Refusal
from peer.downloads.destinations import check_room, make, place
from peer.downloads.record import Record


def record(folder: Path | str, size: int) -> Record:
    return Record("x", "ab" * 32, str(folder), "x", f"{folder}/x", size, "queued", 0.0)


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("song.mp3", ("/music", "song.mp3")),
        ("a/b/song.mp3", ("/music/a/b", "song.mp3")),
        ("a\\b\\song.mp3", ("/music/a/b", "song.mp3")),
        ("../../etc/passwd", ("/music/etc", "passwd")),
        ("/etc/passwd", ("/music/etc", "passwd")),
        ("a/./../b//c", ("/music/a/b", "c")),
        ("CON", ("/music", "_CON")),
    ],
)
def test_a_name_may_lead_into_folders_below_and_nowhere_else(name: str, put: tuple[str, str]) -> None:
    assert place("/music", name) == put


@given(st.text(min_size=1, max_size=200))
def test_no_name_leads_elsewhere(name: str) -> None:
    try:
        folder, last = place("/music", name)
    except Refusal as refusal:
        assert refusal.code == "invalid_path"
        return
    assert os.path.commonpath(["/music", folder]) == "/music"
    assert "/" not in last and last not in ("", ".", "..")


@pytest.mark.parametrize("folder", ["music", "", "../music", "/mu\0sic"])
def test_a_folder_is_an_absolute_path(folder: str) -> None:
    with pytest.raises(Refusal) as refused:
        place(folder, "x")
    assert refused.value.code == "invalid_path"


@pytest.mark.parametrize("name", ["/", "..", "../..", "./."])
def test_a_file_needs_a_name(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        place("/music", name)
    assert refused.value.code == "invalid_path"


def test_folders_are_made_and_one_that_cannot_be_is_explained(tmp_path: Path) -> None:
    make(str(tmp_path / "a/b"))
    make(str(tmp_path / "a/b"))
    assert (tmp_path / "a/b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(Refusal) as refused:
        make(str(tmp_path / "file/b"))
    assert refused.value.code == "invalid_path"
    assert "Choose another folder" in refused.value.detail or "or choose another folder" in refused.value.detail


def test_what_does_not_fit_is_refused_with_the_figures(tmp_path: Path) -> None:
    check_room([record(tmp_path / "not/yet/there", 1000)])
    with pytest.raises(Refusal) as refused:
        check_room([record(tmp_path, 1 << 59)])
    assert refused.value.code == "disk_full"
    assert "Free some space" in refused.value.detail


def test_all_that_goes_to_one_disk_counts_together_and_other_disks_apart(small_disk: Path, tmp_path: Path) -> None:
    half = record(small_disk / "a", 1 << 20)
    check_room([half, record(tmp_path, 4 << 20)])
    with pytest.raises(Refusal):
        check_room([half, record(small_disk / "b", (1 << 20) + 1)])
