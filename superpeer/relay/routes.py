"""The relay over HTTP: lines, the answers that come back, and what askers reach through it beside downloads."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from msgspec import Meta, Struct

from common import errors
from common.http.body import parse_json
from common.http.endpoint import Access, Endpoint
from common.ids import is_file_id
from common.wire.files import Source
from common.wire.relay import LINE_PATH, MAX_HEAD, RelayHead
from common.wire.transfer import Have, ManifestAnswer
from superpeer.relay.live import Lines, Seat
from superpeer.relay.passage import read_little_ahead
from superpeer.relay.relaying import BEST, Relaying
from superpeer.relay.switchboard import Arrival, Stream, Switchboard

HEAD_DEADLINE = 10.0  # seconds


class Found(Protocol):
    """Who has a file."""

    @property
    def sources(self) -> list[Source]:
        """Best first."""


class RelayQuery(Struct, frozen=True, kw_only=True):
    """Of which source: a peer's id, or `1` for the best."""

    relay: Annotated[str, Meta(max_length=64)] = BEST


class RelayRoutes:
    """`sender` tells which peer a request comes from, `at_hand` who has a file that everybody may see."""

    def __init__(
        self,
        switchboard: Switchboard,
        lines: Lines,
        relaying: Relaying,
        sender: Callable[[web.Request], Seat],
        at_hand: Callable[[str], Awaitable[Found]],
    ) -> None:
        self._switchboard = switchboard
        self._lines = lines
        self._relaying = relaying
        self._sender = sender
        self._at_hand = at_hand

    async def line(self, request: web.Request) -> web.WebSocketResponse:
        return await self._lines.serve(request)

    async def answer(self, request: web.Request) -> None:
        """Its body is not read here: whoever waits for it does, at his own pace."""
        stream = self._switchboard.claim(request.match_info["stream"], self._sender(request).id)
        try:
            self._arrived(request, stream, await _head(request))
            await stream.over.wait()
        except BaseException:
            stream.lose()
            raise
        if not request.content.at_eof():
            _cut(request)

    def _arrived(self, request: web.Request, stream: Stream, head: RelayHead) -> None:
        if stream.arrived.done():
            raise errors.NotFound("stream_not_found", "Nobody waits for this stream any more; drop it.")
        read_little_ahead(request.transport)
        stream.arrived.set_result(Arrival(head, request.content, lambda: _cut(request)))

    async def manifest(self, request: web.Request, query: RelayQuery) -> web.StreamResponse:
        return await self._serve(request, "manifest", query)

    async def have(self, request: web.Request, query: RelayQuery) -> web.StreamResponse:
        return await self._serve(request, "have", query)

    async def next(self, request: web.Request, query: RelayQuery) -> web.StreamResponse:
        return await self._serve(request, "next", query)

    async def _serve(self, request: web.Request, kind: str, query: RelayQuery) -> web.StreamResponse:
        wanted = request.match_info["id"].lower()
        if not is_file_id(wanted):
            raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its hash.")
        found = await self._at_hand(wanted)
        return await self._relaying.serve(request, kind, wanted, found.sources, query.relay)

    def endpoints(self) -> list[Endpoint]:
        passed_on = ("file_not_found", "no_source_online", "source_unavailable", "too_many_requests")
        mine = ("peer_not_found", "token_invalid", "token_required")
        return [
            Endpoint(
                method="GET",
                path="/api/v1/manifest/{id}",
                handle=self.manifest,
                summary="The hashes of a file's pieces, asked of a source",
                tag="relay",
                query=RelayQuery,
                answer=ManifestAnswer,
                codes=passed_on,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/have/{id}",
                handle=self.have,
                summary="Which pieces a source has proven, asked of it",
                tag="relay",
                query=RelayQuery,
                answer=Have,
                codes=passed_on,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/next/{id}",
                handle=self.next,
                summary="A piece of a source's choice, which it sent to nobody yet, asked of it",
                tag="relay",
                query=RelayQuery,
                media="application/octet-stream",
                codes=passed_on,
            ),
            Endpoint(
                method="GET",
                path=LINE_PATH,
                handle=self.line,
                summary="The line of a peer that cannot be dialled (WebSocket)",
                tag="relay",
                status=101,
                codes=mine,
                access=Access.PEER,
            ),
            Endpoint(
                method="POST",
                path=LINE_PATH + "/{stream}",
                handle=self.answer,
                summary="The peer's answer to what it was asked over its line",
                tag="relay",
                status=204,
                codes=("invalid_body", "stream_not_found", *mine),
                access=Access.PEER,
            ),
        ]


async def _head(request: web.Request) -> RelayHead:
    try:
        async with asyncio.timeout(HEAD_DEADLINE):
            line = await request.content.readuntil(b"\n", max_size=MAX_HEAD)
    except TimeoutError:
        raise errors.Invalid("body_too_slow", "How the answer begins did not come in time.") from None
    except LineTooLong:
        raise errors.Invalid("invalid_body", f"The first line has more than {MAX_HEAD} bytes.") from None
    if not line.endswith(b"\n"):
        raise errors.Invalid("invalid_body", "The body ended amid its first line.")
    return parse_json(line, RelayHead)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
