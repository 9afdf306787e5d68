"""A network of sources on loopback, as many as a test wants; all gone when it ends, and no thread or file left open."""

import os
import random
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from common.http.addresses import Profile
from common.http.dialling import Policy
from common.http.outgoing import Outgoing
from common.wire.files import Source
from peer.downloads.events import Event, Finished
from peer.downloads.fetch import fetch
from peer.downloads.standing import Patience
from tests.support.sources import Content, Handler, serve, source

HASTY = Patience(head=5, silence=0.3, crawl=60, attempts=2, pause=0.0, waiting=3, news=0.0)


@dataclass
class Network:
    """Makes sources; `asked` holds the Range header of every request for bytes, by source."""

    content: Content
    outgoing: Outgoing
    stack: AsyncExitStack
    asked: dict[str, list[str | None]] = field(default_factory=dict)

    async def source(self, handler: Handler, name: str = "", complete: bool = True) -> Source:
        peer_id = name or f"peer{len(self.asked)}"
        requests = self.asked[peer_id] = []

        async def handle(request: web.Request) -> web.StreamResponse:
            if "/download/" in request.path:
                requests.append(request.headers.get("Range"))
            return await handler(request)

        address = await serve(self.stack, handle)
        return source(f"http://{address}/api/v1/download/{self.content.id}", peer_id, complete)

    def pieces_asked(self, name: str) -> list[int]:
        """The pieces for which this source was asked, in order, as often as it was."""
        grid = self.content.manifest().grid
        found: list[int] = []
        for asked in self.asked[name]:
            if asked is None:
                found += range(grid.count)
            else:
                start, _, last = asked.removeprefix("bytes=").partition("-")
                assert int(start) % grid.piece_size == 0
                found += range(int(start) // grid.piece_size, int(last) // grid.piece_size + 1)
        return sorted(found)

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


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """No thread of a transfer, and no file of the test still open."""
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("lane", "proof"))]
    assert not [path for path in open_files() if path.startswith(str(tmp_path))]


def open_files() -> list[str]:
    """The paths of this process's descriptors."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:  # the one that listed them
            continue
    return found


@pytest.fixture
def content() -> Content:
    return Content(random.Random(7).randbytes(3_000_000))


@pytest.fixture
async def network(content: Content) -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(Outgoing(Policy(Profile.LOOPBACK)))
        yield Network(content, outgoing, stack)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounting.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
