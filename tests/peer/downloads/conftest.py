"""Sources on loopback, as many as a test wants, each behaving as told; all gone when it ends."""

import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from common.http.addresses import Profile
from common.http.outgoing import Outgoing, Policy
from common.ids import FileId
from common.wire.files import Source
from peer.downloads.candidates import Patience
from peer.downloads.events import Event, Finished
from peer.downloads.fetch import fetch
from peer.downloads.part_file import Wanted, part_name

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HASTY = Patience(head=5, silence=0.3, crawl=60, attempts=2, waiting=3, news=0.0)


@dataclass
class Content:
    """Bytes and what they are called."""

    data: bytes
    name: str = "file.bin"

    @property
    def id(self) -> FileId:
        return FileId(hashlib.sha256(self.data).hexdigest())

    def wanted(self, folder: Path) -> Wanted:
        return Wanted(self.id, len(self.data), str(folder), self.name)

    def part(self, folder: Path) -> Path:
        return folder / part_name(self.name, self.id)


@dataclass
class Network:
    """Makes sources; `asked` holds the Range header of every request, by source."""

    content: Content
    outgoing: Outgoing
    stack: AsyncExitStack
    asked: dict[str, list[str | None]] = field(default_factory=dict)

    async def source(self, handler: Handler, name: str = "") -> Source:
        peer_id = name or f"peer{len(self.asked)}"
        requests = self.asked[peer_id] = []

        async def handle(request: web.Request) -> web.StreamResponse:
            requests.append(request.headers.get("Range"))
            return await handler(request)

        return source(f"{await self.serve(handle)}/api/v1/download/{self.content.id}", peer_id)

    async def serve(self, handler: Handler) -> str:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def events(self, folder: Path, *sources: Source, patience: Patience = HASTY) -> list[Event]:
        """What a whole fetch told; raises what it raised."""
        told = []
        async with aclosing(fetch(self.content.wanted(folder), sources, self.outgoing, patience)) as happenings:
            async for event in happenings:
                told.append(event)
        return told

    async def path(self, folder: Path, *sources: Source) -> Path:
        """Where a fetch put the file."""
        last = (await self.events(folder, *sources))[-1]
        assert isinstance(last, Finished)
        return Path(last.path)


def source(url: str, peer_id: str = "peer", complete: bool = True) -> Source:
    return Source(peer_id, url, complete, None, 50, "", 0.0, True, "")


@pytest.fixture
def content() -> Content:
    return Content(random.Random(7).randbytes(3_000_000))


@pytest.fixture
async def network(content: Content) -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(Outgoing(Policy(Profile.LOOPBACK)))
        yield Network(content, outgoing, stack)


def honest(content: Content) -> Handler:
    """Whole files, and ranges to the end, as a peer of ours sends them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        wanted, size = request.headers.get("Range"), len(content.data)
        if wanted is None or request.headers.get("If-Range") != f'"{content.id}"':
            return web.Response(body=content.data)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        return web.Response(status=206, body=content.data[start:], headers=headers)

    return handle


def whole_only(data: bytes) -> Handler:
    """Always these bytes, whatever is asked."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(body=data)

    return handle


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]
