"""A network of sources on loopback, as many as a test wants; all gone when it ends."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from common.http.addresses import Profile
from common.http.dialling import Policy
from common.http.outgoing import Outgoing
from common.wire.files import Source
from peer.downloads.standing import Patience
from peer.downloads.events import Event, Finished
from peer.downloads.fetch import fetch
from tests.support.sources import Content, Handler, serve, source

HASTY = Patience(head=5, silence=0.3, crawl=60, attempts=2, pause=0.0, waiting=3, news=0.0)


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

        return source(f"http://{await serve(self.stack, handle)}/api/v1/download/{self.content.id}", peer_id)

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


@pytest.fixture
def content() -> Content:
    return Content(random.Random(7).randbytes(3_000_000))


@pytest.fixture
async def network(content: Content) -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(Outgoing(Policy(Profile.LOOPBACK)))
        yield Network(content, outgoing, stack)
