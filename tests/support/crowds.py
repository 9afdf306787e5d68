"""Peers on loopback that serve what they have and what they are fetching, as ours do, and a super-peer's swarm."""

import asyncio
import gc
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from common.errors import Conflict, NotFound
from common.http.endpoint import Access
from common.http.serve import start
from common.runtime.clock import SystemClock
from common.serving.bandwidth import Bandwidth
from common.serving.file_reply import Served, Version
from common.wire.files import Source
from common.wire.transfer import ManifestAnswer, SwarmAnswer, SwarmRequest
from peer.uploads.holdings import Holdings
from peer.uploads.quota import Quota
from peer.uploads.routes import UploadRoutes
from peer.uploads.seeding import Gate
from peer.uploads.slots import Slots
from peer.uploads.swarm_routes import SwarmRoutes
from tests.support.daemon import at, tiny_daemon
from tests.support.sources import Content


@dataclass
class Shelf:
    """Whole files by their ids. `manifests` are those that were made."""

    folder: Path
    manifests: dict[str, str] = field(default_factory=dict)

    async def open_for_serving(self, file_id: str) -> Served:
        path = self.folder / file_id
        if not path.exists():
            raise NotFound("file_not_found", "No.")
        if not path.stat().st_size:
            raise Conflict("file_changed", "It was emptied.")
        fd = os.open(path, os.O_RDONLY)
        return Served(fd, Version.of(fd), "name.bin", file_id, 0.0, None)

    async def count_download(self, file_id: str) -> None:
        pass

    async def manifest_digest(self, file_id: str) -> str | None:
        return self.manifests.get(file_id)

    def put(self, data: bytes) -> str:
        """Its id."""
        file_id = hashlib.sha256(data).hexdigest()
        (self.folder / file_id).write_bytes(data)
        return file_id


@dataclass
class Member:
    """One peer; `asked` are the paths and ranges for which others asked it."""

    shelf: Shelf
    holdings: Holdings
    uploads: UploadRoutes
    routes: SwarmRoutes
    port: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    known: dict[str, Content] = field(default_factory=dict)

    def source(self, content: Content, complete: bool) -> Source:
        url = f"http://127.0.0.1:{self.port}/api/v1/download/{content.id}"
        return Source(f"peer{self.port}", url, complete, content.manifest().digest, 50, "", 0.0, True, "")

    async def manifest(self, request: web.Request) -> ManifestAnswer:
        content = self.known.get(request.match_info["id"])
        if content is None:
            raise NotFound("file_not_found", "No.")
        manifest = content.manifest()
        return ManifestAnswer(content.id, manifest.size, manifest.grid.piece_size, manifest.hex_hashes())

    def asked_for(self, what: str) -> list[str | None]:
        return [span for path, span in self.asked if f"/{what}/" in path]


@asynccontextmanager
async def member(folder: Path) -> AsyncIterator[Member]:
    """A running peer that serves what lies in `folder`."""
    folder.mkdir(exist_ok=True)
    clock, shelf, holdings = SystemClock(), Shelf(folder), Holdings()
    bandwidth, gate = Bandwidth(lambda _: False), Gate(lambda: False)
    uploads = UploadRoutes(shelf, Slots(8, clock), bandwidth, Quota(0), clock, holdings, gate)
    made = Member(shelf, holdings, uploads, SwarmRoutes(shelf, holdings, uploads, gate))
    endpoints = [*uploads.endpoints(), *made.routes.endpoints(), at("/api/v1/manifest/{id}", made.manifest)]
    daemon = tiny_daemon(*endpoints, guards={Access.OWNER: lambda request: None})
    daemon.at_stop = made.routes.close

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        made.asked.append((request.path, request.headers.get("Range")))

    daemon.app.on_response_prepare.append(note)
    thresholds = gc.get_threshold()
    served = await start(daemon, "127.0.0.1", 0)
    made.port = served.port
    try:
        yield made
    finally:
        await served.stop()
        holdings.close()
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@dataclass
class FakeSwarm:
    """A super-peer's swarm of one content: who is in it, by port, and who has all of it."""

    content: Content
    seeds: list[Source]
    members: dict[int, Source] = field(default_factory=dict)
    told: list[SwarmRequest] = field(default_factory=list)
    joined: asyncio.Event = field(default_factory=asyncio.Event)

    async def announce(self, me: Member, file_id: str, request: SwarmRequest) -> SwarmAnswer:
        self.told.append(request)
        if request.leaving:
            self.members.pop(me.port, None)
        else:
            self.members[me.port] = me.source(self.content, complete=False)
        others = [source for port, source in self.members.items() if port != me.port]
        return SwarmAnswer(0.5, [*self.seeds, *others])
