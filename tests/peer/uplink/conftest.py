"""A session on its stage, gone when the test ends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from peer.uplink import session
from tests.peer.uplink.scripted import ScriptedSuperPeer
from tests.peer.uplink.stage import Stage


@pytest.fixture
async def server() -> AsyncIterator[ScriptedSuperPeer]:
    async with AsyncExitStack() as stack:
        made = ScriptedSuperPeer()
        await made.listen(stack)
        yield made


@pytest.fixture
async def stage(server: ScriptedSuperPeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(session, "GATHER", 0.0)
    made = Stage(tmp_path, server)
    yield made
    await made.close()
