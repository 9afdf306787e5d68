"""Small files that are replaced whole."""

import os
from pathlib import Path

import pytest

from common.runtime import whole_file
from common.runtime.whole_file import read_whole, write_whole


def test_what_was_written_is_read_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_whole(path) is None
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert read_whole(path) == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_crash_left_half_written_is_not_read_and_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"one")
    (tmp_path / "file.new").write_bytes(b"half of something longer")
    assert read_whole(path) == b"one"
    write_whole(path, b"two")
    assert read_whole(path) == b"two"


def test_where_it_cannot_be_written_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"one")
    (tmp_path / "file.new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        write_whole(path, b"two")
    assert read_whole(path) == b"one"
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_is_too_large_is_not_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_file, "LARGEST", 3)
    (tmp_path / "file").write_bytes(b"four")
    with pytest.raises(ValueError, match="larger than 3 bytes"):
        read_whole(tmp_path / "file")
