"""The peer's own page, and its API's: what anybody may see, drawn here; what only the owner may, filled in by owner.js.

The owner's token never passes through these handlers: the browser keeps it and sends it to the owner's API alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from aiohttp import web

from common import errors
from common.runtime.logs import request_id
from common.wire.files import LocalSearchAnswer, SharedFile
from common.wire.peer_daemon import PeerInfo
from web.render import MenuItem, error_page, render

FILES_A_PAGE = 100
MENU = (MenuItem("/", "This peer", "home"), MenuItem("/docs", "API", "book"))
_LAST_PAGE = 10**6


class Library(Protocol):
    """What this peer offers."""

    async def search(self, q: str, category: str, *, offset: int, limit: int) -> LocalSearchAnswer:
        """One page of what fits, newest first; `count` is how many fit in all. An empty string fits everything."""


class Home(NamedTuple):
    """peer_home.html. `here` is this list's own address."""

    info: PeerInfo
    files: list[SharedFile]
    total: int
    q: str
    category: str
    here: str
    next_url: str
    previous_url: str


class Pages:
    """The handlers. `info` and `document` are asked at each request."""

    def __init__(
        self, info: Callable[[], PeerInfo], library: Library, document: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._info = info
        self._library = library
        self._document = document

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self.home), web.get("/docs", self.docs)]

    async def home(self, request: web.Request) -> web.Response:
        """GET /?q=&category=&page="""
        q, category = request.query.get("q", ""), request.query.get("category", "")
        page = _page_number(request.query.get("page", "1"))
        if "\0" in q + category:
            raise errors.Invalid("invalid_parameter", "The words hold a NUL character; search without it.")
        offset = (page - 1) * FILES_A_PAGE
        answer = await self._library.search(q, category, offset=offset, limit=FILES_A_PAGE)
        shown = Home(
            info=self._info(),
            files=answer.results,
            total=answer.count,
            q=q,
            category=category,
            here=_url(q, category, page),
            next_url=_url(q, category, page + 1) if offset + len(answer.results) < answer.count else "",
            previous_url=_url(q, category, page - 1) if page > 1 else "",
        )
        return render(request, "peer_home.html", shown._asdict())

    async def docs(self, request: web.Request) -> web.Response:
        """GET /docs"""
        from web.reference import reference

        return render(request, "docs.html", {"api": reference(self._document())})


def failure(request: web.Request, refusal: errors.Refusal, status: int) -> web.Response:
    """A refusal as a person's browser sees it."""
    return error_page(request, refusal, status, request_id.get() or "")


def _page_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= _LAST_PAGE):
        raise errors.Invalid("invalid_parameter", "A page is a number from 1 up.")
    return int(text)


def _url(q: str, category: str, page: int) -> str:
    pairs = {"q": q, "category": category, "page": str(page) if page > 1 else ""}
    query = urlencode({name: value for name, value in pairs.items() if value})
    return f"/?{query}" if query else "/"
