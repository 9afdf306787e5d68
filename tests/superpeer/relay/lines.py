"""A peer with a key that keeps a line, driven by hand: what it is asked, and what it posts."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.support.peers import KeyedPeer
from tests.support.superpeers import Site
from tests.support.waiting import PATIENCE, until
from tests.support.wire import Answer, Wire, connected


@dataclass
class HandLine:
    """An open line."""

    site: Site
    peer: KeyedPeer
    socket: aiohttp.ClientWebSocketResponse

    async def asked(self) -> dict[str, Any]:
        """The next request that comes over it."""
        request: dict[str, Any] = await self.socket.receive_json(timeout=PATIENCE)
        return request

    async def answer(self, stream: str, body: bytes, status: int = 200, **headers: str) -> Answer:
        """A whole answer, with its length unless told otherwise."""
        return await self.post(stream, first_line(status, body, **headers) + body)

    async def post(self, stream: str, raw: bytes, headers: dict[str, str] | None = None) -> Answer:
        """Any body, posted."""
        async with connected(self.site.port) as wire:
            begin_post(wire, stream, len(raw), headers or self.peer.headers)
            wire.send(raw)
            return await wire.answer("POST")


def first_line(status: int, body: bytes, **headers: str) -> bytes:
    named = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    return json.dumps({"status": status, "headers": named}).encode() + b"\n"


def begin_post(wire: Wire, stream: str, length: int, headers: dict[str, str]) -> None:
    """The head of a post."""
    lines = [f"POST /api/v1/line/{stream} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    wire.send(("\r\n".join(lines) + "\r\n\r\n").encode())


@asynccontextmanager
async def line(site: Site, peer: KeyedPeer) -> AsyncIterator[HandLine]:
    """The peer's line, known to the super-peer."""
    before = site.daemon._switchboard.lines
    async with site.session.ws_connect(f"{site.url}/api/v1/line", headers=peer.headers) as socket:
        await until(lambda: site.daemon._switchboard.has_line(peer.id) and site.daemon._switchboard.lines >= before)
        yield HandLine(site, peer, socket)
    await asyncio.sleep(0)


async def undiallable(site: Site, seed: str = "peer") -> KeyedPeer:
    """A registered peer that could not be dialled back."""
    peer = KeyedPeer(site, seed)
    await peer.register()
    seat = site.daemon.presence.find(peer.id)
    assert seat is not None
    seat.direct = False
    return peer
