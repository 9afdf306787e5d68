"""Files over HTTP."""

import random
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Protocol

from aiohttp import web
from msgspec import Struct

from common import errors
from common.http.addresses import canonical, url_host
from common.http.bearer import bearer_token
from common.http.body import OneOf
from common.http.endpoint import Access, Endpoint, json_response
from common.http.paging import Limit, page_headers
from common.ids import is_file_id
from common.runtime.clock import Clock
from common.wire.files import (
    CatalogueAnswer,
    CatalogueDelta,
    FileInfo,
    FileRegistered,
    FileRegistration,
    SearchAnswer,
    Source,
)
from common.wire.peers import Load
from common.wire.scalars import Word
from superpeer.database.connections import to_the_end
from superpeer.files.catalogue import Held, check_paths, single
from superpeer.files.index import Change, Index
from superpeer.files.search import ListQuery, SearchQuery
from superpeer.files.shelf import Shelf
from superpeer.files.sources import Candidate, ranked

MAX_DELTA = 4 * 1024 * 1024


class Seat(Protocol):
    """What files need to know of a peer that is here."""

    n: int
    id: str
    address: str
    port: int
    region: str
    keyed: bool
    online: bool
    load: Load
    catalogue_id: str | None
    catalogue_version: int


class Peers(Protocol):
    """Who is here."""

    def numbered(self, n: int) -> Seat | None: ...

    def recognise(self, peer_id: str | None, token: str | None, observed: str) -> Seat:
        """Raises NotFound, Unauthenticated or Invalid."""

    def at(self, address: str, port: int) -> Seat | None: ...


class News(Protocol):
    """Who wants to know."""

    def to_tell(self, peer_id: str, ids: list[str]) -> list[str]: ...

    def files(self, infos: list[FileInfo]) -> None: ...

    def removed(self, peer_id: str, ids: list[str]) -> None: ...

    def changed(self) -> None: ...


class SourcesQuery(Struct, frozen=True, kw_only=True):
    """For whom to order the sources."""

    region: Word = ""
    limit: Limit = 50


def body_kind(keys: dict[str, Any]) -> type:
    """A delta names its catalogue; anything else announces one file."""
    return CatalogueDelta if "catalogue_id" in keys or "base_version" in keys else FileRegistration


class FileRoutes:
    """The endpoints of files. `observed` tells the address that a request comes from."""

    def __init__(
        self, index: Index, shelf: Shelf, peers: Peers, news: News, clock: Clock, observed: Callable[[web.Request], str]
    ) -> None:
        self._index = index
        self._shelf = shelf
        self._peers = peers
        self._news = news
        self._clock = clock
        self._observed = observed
        self._redirected: dict[int, int] = {}

    async def register(
        self, request: web.Request, body: CatalogueDelta | FileRegistration
    ) -> CatalogueAnswer | FileRegistered:
        if isinstance(body, CatalogueDelta):
            return await self._take_delta(self._sender(request), body)
        return await self._take_file(self._announcer(request, body), body)

    def _sender(self, request: web.Request) -> Seat:
        return self._peers.recognise(request.headers.get("X-Peer-ID"), bearer_token(request), self._observed(request))

    def _announcer(self, request: web.Request, body: FileRegistration) -> Seat:
        """Programs that name themselves in the file instead of a header: by id, or by address and port."""
        if "X-Peer-ID" in request.headers:
            return self._sender(request)
        observed, token = self._observed(request), bearer_token(request)
        port = (body.peer_address or "").rpartition(":")[2]
        if not body.owner and port.isascii() and port.isdigit():
            seat = self._peers.at(observed, int(port[:6]))
            return self._peers.recognise(seat.id if seat else "-", token, observed)
        return self._peers.recognise(body.owner, token, observed)

    async def _take_delta(self, seat: Seat, delta: CatalogueDelta) -> CatalogueAnswer:
        check_paths(delta)
        held = await to_the_end(self._take(seat, self._index.apply(seat.n, delta, self._clock.now())))
        return CatalogueAnswer(held.version)

    async def _take_file(self, seat: Seat, body: FileRegistration) -> FileRegistered:
        entry = single(body)
        check_paths(CatalogueDelta("-", 0, add=[entry]))
        await to_the_end(self._take(seat, self._index.announce(seat.n, entry, self._clock.now())))
        return FileRegistered(entry.id, "File registered successfully")

    async def _take(self, sender: Seat, writing: Awaitable[tuple[Held, Change]]) -> Held:
        """What was written, in memory and in the news."""
        held, change = await writing
        seat = self._peers.numbered(sender.n) or sender  # it may have registered anew meanwhile
        seat.catalogue_id, seat.catalogue_version = held.catalogue_id, held.version
        await self._tell(seat, change)
        return held

    async def _tell(self, seat: Seat, change: Change) -> None:
        self._news.removed(seat.id, change.removed)
        infos = []
        for file_id in self._news.to_tell(seat.id, change.added):
            try:
                infos.append(await self._shelf.file(file_id))
            except errors.NotFound:
                continue  # not for everybody's eyes, or gone again
        self._news.files(infos)

    async def search(self, request: web.Request, query: SearchQuery) -> web.Response:
        answer = await self._shelf.search(query)
        headers = page_headers(request, answer.total, answer.total_exact, answer.next_cursor)
        return json_response(answer, headers=headers)

    async def files(self, request: web.Request, query: ListQuery) -> web.Response:
        page = await self._shelf.page(query)
        headers = page_headers(request, page.total, page.total_exact, page.next_cursor)
        return json_response(page.files, headers=headers)

    async def file(self, request: web.Request) -> FileInfo:
        return await self._shelf.file(file_id(request))

    async def sources(self, request: web.Request, query: SourcesQuery) -> list[Source]:
        return (await self.best(file_id(request), query.region, local_address(request)))[1][: query.limit]

    async def best(self, wanted: str, region: str = "", here: str = "") -> tuple[int, list[Source]]:
        """The file's number and its online sources, best first.

        `here`: the address at which this daemon was reached.
        """
        n, holders = await self._shelf.holders(wanted)
        candidates = []
        for holder in holders:
            seat = self._peers.numbered(holder.n)
            if seat is not None and seat.online:
                candidates.append(_candidate(seat, wanted, holder.manifest, here))
        return n, ranked(candidates, region, [random.random() for _ in candidates])

    async def download(self, request: web.Request) -> web.Response:
        n, sources = await self.best(file_id(request), here=local_address(request))
        if not sources:
            raise errors.Unavailable(
                "no_source_online", "Nobody who has this file is online; try again later.", retry_after=30
            )
        if request.method == "GET":
            self._redirected[n] = self._redirected.get(n, 0) + 1
        return web.Response(status=307, headers={"Location": sources[0].url, "Cache-Control": "no-store"})

    async def write_behind(self) -> None:
        """Writes the downloads counted since the last call."""
        counts, self._redirected = self._redirected, {}
        try:
            await self._index.count_downloads(counts)
        except BaseException:
            for n, count in counts.items():
                self._redirected[n] = self._redirected.get(n, 0) + count
            raise
        if counts:
            self._news.changed()

    def endpoints(self) -> list[Endpoint]:
        lists = ("invalid_limit", "invalid_sort", "invalid_cursor", "cursor_expired", "invalid_parameter")
        return [
            Endpoint(
                method="POST",
                path="/api/v1/files/register",
                handle=self.register,
                summary="Announce one file, or what changed in a catalogue",
                tag="files",
                body=OneOf((CatalogueDelta, FileRegistration), body_kind),
                answer=CatalogueAnswer | FileRegistered,
                limit=MAX_DELTA,
                access=Access.PEER,
                codes=("catalogue_out_of_step", "invalid_body", "invalid_path", "peer_not_found", "too_many_entries"),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/files",
                handle=self.files,
                summary="All files, newest first",
                tag="files",
                query=ListQuery,
                answer=list[FileInfo],
                codes=lists,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/files/search",
                handle=self.search,
                summary="Find files by words in their names, tags and category",
                tag="files",
                query=SearchQuery,
                answer=SearchAnswer,
                codes=lists,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/files/{id}",
                handle=self.file,
                summary="One file",
                tag="files",
                answer=FileInfo,
                codes=("file_not_found",),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/files/{id}/sources",
                handle=self.sources,
                summary="Who has the file, best first",
                tag="files",
                query=SourcesQuery,
                answer=list[Source],
                codes=("file_not_found",),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/download/{id}",
                handle=self.download,
                summary="To the best online source",
                tag="files",
                status=307,
                codes=("file_not_found", "no_source_online"),
            ),
        ]


def file_id(request: web.Request) -> str:
    """The id in the path. Raises NotFound for what cannot be one."""
    wanted = request.match_info["id"].lower()
    if not is_file_id(wanted):
        raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its SHA-256.")
    return wanted


def local_address(request: web.Request) -> str:
    """The address of ours that the asker reached; an IPv4 one as such, by whatever socket it came."""
    sockname = request.get_extra_info("sockname")
    return str(canonical(sockname[0])) if isinstance(sockname, tuple) else ""


def _candidate(seat: Seat, wanted: str, manifest: str | None, here: str) -> Candidate:
    host = seat.address
    if here and ip_address(host).is_loopback and not ip_address(here.partition("%")[0]).is_loopback:
        # A peer on this very machine: others reach it where they reached us.
        host = here
    url = f"http://{url_host(host)}:{seat.port}/api/v1/download/{wanted}"
    return Candidate(seat.id, url, manifest, seat.region, seat.keyed, seat.load)
