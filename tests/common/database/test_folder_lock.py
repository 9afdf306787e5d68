"""One daemon to a data folder, whatever becomes of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.database.folder_lock import LOCK_NAME, FolderInUse, FolderLock
from common.runtime.obstacles import StartError

HOLD = """
import subprocess, sys
from pathlib import Path
from common.database.folder_lock import FolderLock
lock = FolderLock.acquire(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) if len(sys.argv) > 2 else None
print(child.pid if child else "held", flush=True)
input()
"""


def holder(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_daemon_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert first_line(process) == "held"
        with pytest.raises(FolderInUse, match=str(process.pid)) as refused:
            FolderLock.acquire(tmp_path)
        assert refused.value.pid == process.pid
        process.kill()


def test_in_one_process_too(tmp_path: Path) -> None:
    lock = FolderLock.acquire(tmp_path)
    with pytest.raises(FolderInUse):
        FolderLock.acquire(tmp_path)
    lock.release()
    FolderLock.acquire(tmp_path).release()


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        first_line(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        FolderLock.acquire(tmp_path).release()


def test_a_child_that_outlives_it_does_not_keep_it(tmp_path: Path) -> None:
    with holder(tmp_path, "with a child") as process:
        child = int(first_line(process))
        process.send_signal(signal.SIGKILL)
        process.wait()
        FolderLock.acquire(tmp_path).release()
        os.kill(child, signal.SIGKILL)


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    lock = FolderLock.acquire(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / LOCK_NAME).stat().st_mode & 0o777 == 0o600
    assert int((folder / LOCK_NAME).read_text()) == os.getpid()
    lock.release()
    lock.release()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / LOCK_NAME).symlink_to(victim)
    with pytest.raises(StartError, match=r"lock cannot be used \(it is not a regular file\): move it away"):
        FolderLock.acquire(tmp_path)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_else_stands_in_the_place_of_the_lock_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / LOCK_NAME)
    with pytest.raises(StartError, match="lock cannot be used"):
        FolderLock.acquire(tmp_path)


def test_a_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"the data folder .* cannot be used \(it is not a folder\): choose another"):
        FolderLock.acquire(tmp_path / "file" / "data")
