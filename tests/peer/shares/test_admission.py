"""What may become a share at all."""

import os
from pathlib import Path

import pytest

from common.errors import Forbidden
from peer.shares.admission import admitted
from tests.peer.shares.trees import write


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    (tmp_path / "own").mkdir()
    return os.fsencode(tmp_path / "own")


@pytest.mark.parametrize("path", ["other", "other/superpeer.sqlite", "other/talk.pdf"])
def test_the_data_folder_of_another_daemon_is_refused(tmp_path: Path, data: bytes, path: str) -> None:
    for name in ("lock", "superpeer.sqlite", "talk.pdf"):
        write(tmp_path / "other" / name)
    with pytest.raises(Forbidden, match="it belongs to a daemon") as refused:
        admitted(str(tmp_path / path), data)
    assert refused.value.code == "path_not_shareable"
    (tmp_path / "other" / "lock").unlink()
    assert admitted(str(tmp_path / path), data) == (os.fsencode(tmp_path / path), path == "other")
