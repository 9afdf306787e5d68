"""`make demo` as a newcomer sees it: on a terminal, in a folder where nothing was before."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.database.folder_lock import FolderLock
from tests.support.waiting import PATIENCE

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "demo.py"


def run(folder: Path) -> tuple[int, str]:
    """Runs it once on a terminal of its own; its exit code and what was to be seen."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen:
        with open(theirs, "wb", buffering=0) as terminal:
            process = subprocess.Popen(
                [sys.executable, str(DEMO), "--once"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(DEMO.parents[1]), "COLUMNS": "120", "TERM": "dumb"},
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
            )
        shown = b""
        try:
            while piece := screen.read(65536):
                shown += piece
        except OSError:
            pass  # so a terminal says that nobody writes to it any more
        return process.wait(PATIENCE), shown.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, *run(folder)


def test_it_shows_a_round_trip_step_by_step(demonstration: tuple[Path, int, str]) -> None:
    _, code, shown = demonstration
    assert code == 0, shown
    for step in ("the super-peer is ready", "peer-one is indexed", "peer-two is indexed"):
        assert re.search(rf"^  {step} … \d+\.\d s$", shown, re.MULTILINE), shown
    assert "its SHA-256 is its id." in shown
    assert "curl -fL -o base_events" in shown


def test_it_gives_each_peers_address_and_a_link_to_manage_it(demonstration: tuple[Path, int, str]) -> None:
    _, _, shown = demonstration
    for peer in ("peer-one", "peer-two"):
        (address,) = re.findall(rf"^{peer} +(http://127\.0\.0\.1:\d+/)$", shown, re.MULTILINE)
        assert re.search(rf"^{peer} +{re.escape(address)}#code=\S+$", shown, re.MULTILINE), shown
    assert shown.count("#code=") == 2
    assert "works once, within ten minutes" in shown


def test_it_leaves_the_folders_that_daemons_take_by_default_alone(demonstration: tuple[Path, int, str]) -> None:
    folder, _, _ = demonstration
    assert [path.name for path in (folder / "data").iterdir()] == ["demo"]
    assert [path.name for path in folder.iterdir()] == ["data"]
    logs = [(folder / "data/demo" / f"{name}.log").read_text() for name in ("superpeer", "peer-one", "peer-two")]
    assert all('"message":"stopping"' in log and "could not say goodbye" not in log for log in logs)


def test_a_second_one_at_a_time_is_refused_in_one_line(tmp_path: Path) -> None:
    lock = FolderLock.acquire(tmp_path / "data" / "demo")
    try:
        code, shown = run(tmp_path)
    finally:
        lock.release()
    expected = f"demo: A demo is running already (process {os.getpid()}) in {tmp_path}: stop it with Ctrl-C there\n"
    assert (code, shown) == (2, expected)
