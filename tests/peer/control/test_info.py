"""What a peer says of itself over HTTP."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from common.runtime.config import Config, PeerSettings
from peer.app import Peer

Client = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]


@pytest.mark.parametrize(
    ("registers", "said"),
    [(True, "not registered yet"), (False, "It is not to register by itself: peer.auto_register is off.")],
)
async def test_a_peer_says_why_it_is_not_registered(
    tmp_path: Path, aiohttp_client: Client, registers: bool, said: str
) -> None:
    peer = Peer(Config(peer=PeerSettings(data=str(tmp_path), auto_register=registers)), tmp_path)
    info = await (await (await aiohttp_client(peer.app)).get("/api/v1/info")).json()
    assert (info["is_registered"], info["trouble"]) == (False, said)
