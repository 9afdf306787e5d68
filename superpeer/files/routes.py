"""Files over HTTP."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiohttp import web
from msgspec import Struct

from common import errors
from common.http.addresses import canonical
from common.http.bearer import bearer_token
from common.http.body import OneOf
from common.http.callers import scheme_of
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
from common.wire.scalars import Word
from superpeer.database.connections import to_the_end
from superpeer.files.at_hand import AtHand, Reached, Seat
from superpeer.files.catalogue import Held, check_paths, single
from superpeer.files.counting import Counts
from superpeer.files.index import Change, Index
from superpeer.files.search import ListQuery, SearchQuery
from superpeer.files.shelf import Shelf

MAX_DELTA = 4 * 1024 * 1024


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


class DownloadQuery(Struct, frozen=True, kw_only=True):
    """`relay`: through the super-peer, `1` from the best source, or a peer's id."""

    relay: Word = ""


class Relay(Protocol):
    """What passes through the super-peer."""

    def is_called_for(self, request: web.Request, source: Source) -> bool: ...

    async def serve(
        self, request: web.Request, kind: str, file_id: str, sources: Sequence[Source], relay: str
    ) -> web.StreamResponse: ...


def body_kind(keys: dict[str, Any]) -> type:
    """A delta names its catalogue; anything else announces one file."""
    return CatalogueDelta if "catalogue_id" in keys or "base_version" in keys else FileRegistration


class FileRoutes:
    """The endpoints of files. `observed` tells the address that a request comes from."""

    def __init__(
        self,
        index: Index,
        shelf: Shelf,
        at_hand: AtHand,
        counts: Counts,
        peers: Peers,
        news: News,
        clock: Clock,
        observed: Callable[[web.Request], str],
        relay: Relay,
    ) -> None:
        self._relay = relay
        self._index = index
        self._shelf = shelf
        self._at_hand = at_hand
        self._counts = counts
        self._peers = peers
        self._news = news
        self._clock = clock
        self._observed = observed

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
        found = await self._at_hand.of(file_id(request), query.region, reached(request))
        return found.sources[: query.limit]

    async def download(self, request: web.Request, query: DownloadQuery) -> web.StreamResponse:
        wanted = file_id(request)
        found = await self._at_hand.of(wanted, here=reached(request))
        if not (found.complete or query.relay):
            raise errors.Unavailable(
                "no_source_online", "Nobody who has the whole file is online; try again later.", retry_after=30
            )
        if found.n is not None and request.method == "GET" and _begins_one(request, query):
            self._counts.redirected(found.n, self._observed(request), self._clock.monotonic())
        if query.relay or self._relay.is_called_for(request, found.complete[0]):
            return await self._relay.serve(request, "download", wanted, found.sources, query.relay)
        return web.Response(status=307, headers={"Location": found.complete[0].url, "Cache-Control": "no-store"})

    async def write_behind(self) -> None:
        """Writes the downloads counted since the last call."""
        counts = self._counts.take()
        try:
            await self._index.count_downloads(counts)
        except BaseException:
            self._counts.give_back(counts)
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
                summary="To the best online source, or its bytes where it cannot be dialled",
                tag="files",
                query=DownloadQuery,
                status=307,
                codes=("file_not_found", "no_source_online"),
            ),
        ]


def file_id(request: web.Request) -> str:
    """The id in the path. Raises NotFound for what cannot be one."""
    wanted = request.match_info["id"].lower()
    if not is_file_id(wanted):
        raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its hash.")
    return wanted


def reached(request: web.Request) -> Reached:
    """How the asker reached us."""
    return Reached(local_address(request), f"{scheme_of(request)}://{request.host}")


def local_address(request: web.Request) -> str:
    """The address of ours that the asker reached; an IPv4 one as such, by whatever socket it came."""
    sockname = request.get_extra_info("sockname")
    return str(canonical(sockname[0])) if isinstance(sockname, tuple) else ""


def _begins_one(request: web.Request, query: DownloadQuery) -> bool:
    """Whether a request begins a download; one for a later part goes on with it, who names a source reports it."""
    if query.relay not in ("", "1"):
        return False
    wanted = request.headers.get("Range", "").strip()
    return not wanted.startswith("bytes=") or wanted.startswith("bytes=0-")
