"""The super-peer's pages: each handler asks the index, fills one context and renders it; no rule lives here.

The index is whatever `app` hands in: it answers for the asker of public pages and never shows more than anyone may see.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from aiohttp import web
from multidict import MultiDict

from common.errors import Refusal
from common.runtime.logs import request_id
from common.wire.files import FileInfo, SearchAnswer, Source
from common.wire.peers import NetworkStats, Peer
from superpeer.dashboard import context
from web.render import MenuItem, error_page, render

MENU = (
    MenuItem("/", "Overview", "home"),
    MenuItem("/search", "Search", "search"),
    MenuItem("/peers", "Peers", "peers"),
    MenuItem("/docs", "API", "book"),
)
_FIELDS = frozenset((*context.FORM_FIELDS, *context.CHIP_FIELDS, "limit", "cursor"))


class Index(Protocol):
    """What the pages ask; the parameters of a search, and every refusal, are the API's."""

    async def stats(self) -> NetworkStats: ...

    async def peers(self, limit: int) -> list[Peer]:
        """Those online first, then those seen last."""

    async def newest(self, limit: int) -> list[FileInfo]: ...

    async def categories(self) -> dict[str, int]:
        """Files by category."""

    async def search(self, parameters: Mapping[str, str]) -> SearchAnswer:
        """`parameters` is a MultiDict: `tag` may stand in it more than once."""

    async def file(self, file_id: str) -> FileInfo:
        """NotFound when there is none."""

    async def sources(self, file_id: str) -> list[Source]:
        """Those online, the best first."""

    def names(self, peer_ids: Iterable[str]) -> dict[str, str]:
        """By id, for peers that are not forgotten."""


class Pages:
    """The handlers. `document` gives the OpenAPI document when it is asked for."""

    def __init__(self, index: Index, document: Callable[[], Mapping[str, Any]]) -> None:
        self._index = index
        self._document = document

    def routes(self) -> list[web.RouteDef]:
        handlers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            "/": self.overview,
            "/search": self.search,
            "/files/{id}": self.file,
            "/peers": self.peers,
            "/docs": self.docs,
        }
        return [web.get(path, handler) for path, handler in handlers.items()]

    async def overview(self, request: web.Request) -> web.Response:
        """GET /"""
        address = _address(request)
        peers, categories = await self._index.peers(context.PEERS_ON_OVERVIEW), await self._index.categories()
        shown = context.Overview(
            stats=await self._index.stats(),
            at_hand=sum(categories.values()),
            peers=peers,
            namesakes=context.namesakes(context.names_of(peers)),
            newest=await self._index.newest(context.NEWEST_SHOWN),
            segments=context.segments(categories),
            join_command=context.join_command(address),
            elsewhere=context.elsewhere(address),
        )
        return render(request, "overview.html", shown._asdict())

    async def search(self, request: web.Request) -> web.Response:
        """GET /search, with the parameters of the API's search; what a form left empty counts as not given."""
        given = [(name, value) for name, value in request.query.items() if name in _FIELDS and value.strip()]
        answer = await self._index.search(MultiDict(given))
        return render(request, "search.html", context.search_context(given, answer)._asdict())

    async def file(self, request: web.Request) -> web.Response:
        """GET /files/{id}"""
        file_id = request.match_info["id"]
        file = await self._index.file(file_id)
        sources = await self._index.sources(file_id)
        names = self._index.names([file.owner, *(source.peer_id for source in sources)])
        shown = context.File(
            file=file,
            sources=sources,
            names=names,
            namesakes=context.namesakes(names),
            get_command=f"peer get {file.id} --super-peer {_address(request)}",
            save_as=context.save_as(file.filename),
            checker=context.checker((await self._index.stats()).hash_algorithm),
        )
        return render(request, "file.html", shown._asdict())

    async def peers(self, request: web.Request) -> web.Response:
        """GET /peers"""
        found, address = await self._index.peers(context.PEERS_SHOWN + 1), _address(request)
        peers = found[: context.PEERS_SHOWN]
        shown = context.Peers(
            peers=peers,
            homes={peer.id: context.home_of(peer, address) for peer in peers},
            truncated=len(found) > context.PEERS_SHOWN,
            join_command=context.join_command(address),
            elsewhere=context.elsewhere(address),
        )
        return render(request, "peers.html", shown._asdict())

    async def docs(self, request: web.Request) -> web.Response:
        """GET /docs"""
        from web.reference import reference

        return render(request, "docs.html", {"api": reference(self._document())})


def failure(request: web.Request, refusal: Refusal, status: int) -> web.Response:
    """A refusal as a person's browser sees it."""
    return error_page(request, refusal, status, request_id.get() or "")


def _address(request: web.Request) -> str:
    return context.reachable_at(request.host, request.secure)
