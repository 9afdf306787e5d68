"""Where the system shows its own state is known; where files are is not taken for it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.runtime import mounts
from common.runtime.mounts import state_folders


@contextmanager
def mounted(kind: str, folder: Path) -> Iterator[None]:
    if subprocess.run(["mount", "-t", kind, kind, folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount file systems")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("path", ["/proc", "/proc/self/mem", "/sys"])
def test_the_state_of_the_system_is_known_by_its_device(path: str) -> None:
    assert os.stat(path).st_dev in state_folders().devices


def test_folders_of_files_are_not_taken_for_it(tmp_path: Path) -> None:
    found = state_folders()
    for path in ("/", tmp_path):
        assert os.stat(path).st_dev not in found.devices
    assert {device for device, _ in found.roots} <= found.devices


def test_it_is_found_wherever_it_is_mounted(tmp_path: Path) -> None:
    folder = tmp_path / "with a blank"
    folder.mkdir()
    with mounted("mqueue", folder):
        found = os.stat(folder)
        assert (found.st_dev, found.st_ino) in state_folders().roots


def test_a_folder_that_files_were_mounted_over_is_one_of_files(tmp_path: Path) -> None:
    with mounted("mqueue", tmp_path), mounted("tmpfs", tmp_path):
        found = os.stat(tmp_path)
        assert (found.st_dev, found.st_ino) not in state_folders().roots


def test_a_system_that_does_not_tell_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "_MOUNTS", str(tmp_path / "absent"))
    assert state_folders() == (frozenset(), frozenset())
