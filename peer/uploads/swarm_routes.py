"""What a crowd asks of this peer: which pieces it has, told as they are proven, and a piece of this peer's choice."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
from aiohttp import web

from common import errors
from common.content.grid import Grid
from common.content.pieces import from_text, to_text
from common.http.endpoint import Endpoint, json_response
from common.http.request_ids import answer_headers
from common.ids import is_file_id
from common.serving.file_reply import Served
from common.serving.ranges import ByteRange
from common.wire.transfer import Have, HaveNews, HaveQuery
from peer.uploads.holdings import MOST_FOLLOWERS, Holding, Holdings
from peer.uploads.routes import HELD, UploadRoutes
from peer.uploads.seeding import Gate

LINES = "application/x-ndjson"
GATHER = 0.05  # seconds in which pieces that are proven together are told together
MANY, WORTH_A_LINE, LONGEST = (
    12,
    8,
    5,
)  # to so many followers, so many pieces are told at once, or after so many GATHERs
STILL_HERE = 10.0  # seconds without news, after which an empty line is sent


class Shelf(Protocol):
    """The whole files."""

    async def open_for_serving(self, file_id: str) -> Served:
        """Raises NotFound or Conflict."""

    async def manifest_digest(self, file_id: str) -> str | None:
        """None when it was never made."""


class SwarmRoutes:
    """`GET /api/v1/have/{id}` and `/api/v1/next/{id}`."""

    def __init__(self, shelf: Shelf, holdings: Holdings, uploads: UploadRoutes, gate: Gate) -> None:
        self._shelf = shelf
        self._holdings = holdings
        self._uploads = uploads
        self._gate = gate
        self._streams: set[asyncio.Task[Any]] = set()

    async def have(self, request: web.Request, query: HaveQuery) -> web.StreamResponse:
        file_id = _file_id(request)
        holding = self._holdings.find(file_id)
        if holding is not None and not query.follow:
            return json_response(_have(holding))
        if holding is not None:
            return await self._follow(request, holding, query.port)
        whole = await self._whole(file_id)
        if query.follow:
            return web.Response(body=_line(whole), content_type=LINES, headers=dict(answer_headers.get()))
        return json_response(whole)

    async def _whole(self, file_id: str) -> Have:
        served = await self._shelf.open_for_serving(file_id)
        os.close(served.fd)
        size = served.version.size
        return Have(file_id, size, Grid.of(size).piece_size, await self._shelf.manifest_digest(file_id), True)

    async def _follow(self, request: web.Request, holding: Holding, port: int | None) -> web.StreamResponse:
        if holding.followers >= MOST_FOLLOWERS:
            raise errors.Unavailable("too_many_requests", "Too many follow this file here; ask another source.")
        if port is not None and request.remote:
            holding.met(request.remote, port)
        response = web.StreamResponse(headers={"Content-Type": LINES, "Cache-Control": "no-store"})
        response.headers.update(answer_headers.get())
        with holding.followed() as (wake, news), self._counted():
            await response.prepare(request)
            await response.write(_line(_have(holding)))
            news.clear()
            while not (holding.is_over or holding.is_complete):
                await self._tell(response, holding, wake, news)
            if holding.is_complete:
                await response.write(_line(HaveNews(sorted(news), complete=True)))
            await response.write_eof()
        return response

    async def _tell(self, response: web.StreamResponse, holding: Holding, wake: asyncio.Event, news: set[int]) -> None:
        """One line: what was proven meanwhile, or that this peer is still here."""
        try:
            async with asyncio.timeout(STILL_HERE):
                await wake.wait()
            await self._gather(holding, news)
        except TimeoutError:
            pass
        wake.clear()
        told = sorted(news)
        news.clear()
        if not holding.is_over:
            await response.write(_line(HaveNews(told)))

    async def _gather(self, holding: Holding, news: set[int]) -> None:
        """Waits until there is enough to tell: where many follow each other, telling costs more than fetching."""
        for _ in range(LONGEST):
            await asyncio.sleep(GATHER)
            if holding.followers < MANY or len(news) >= WORTH_A_LINE:
                return

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Known while it lasts, so that `close` can end it."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)

    async def next(self, request: web.Request) -> web.StreamResponse:
        """A piece that nobody was sent yet, as soon as there is room; 204 when there is none (left)."""
        file_id = _file_id(request)
        served = await self._shelf.open_for_serving(file_id)
        try:
            return await self._send_next(request, file_id, served)
        finally:
            os.close(served.fd)

    async def _send_next(self, request: web.Request, file_id: str, served: Served) -> web.StreamResponse:
        grid = Grid.of(served.version.size)
        has = _asked_with(request, grid.count)
        who, seeding = self._uploads.asker(request), self._uploads.seeding
        async with self._gate.turn(seeding.given(file_id, who), HELD):
            piece = seeding.choose(file_id, grid.count, has, who, self._uploads.now())
            if piece is None:
                return web.Response(status=204, headers={"Cache-Control": "no-store"})
            span = grid.span(piece)
            try:
                return await self._uploads.send_part(request, served, file_id, ByteRange(span.start, span.stop))
            except BaseException:
                seeding.missed(file_id, piece)
                raise

    async def close(self) -> None:
        """Ends the answers that are still being told."""
        for stream in self._streams:
            stream.cancel()

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/have/{id}",
                handle=self.have,
                summary="Which pieces of a file this peer has, once or (`follow=true`) as it proves them",
                tag="files",
                query=HaveQuery,
                answer=Have,
                codes=("file_changed", "file_not_found", "too_many_requests"),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/next/{id}",
                handle=self.next,
                summary="A piece of this peer's choice, which it sent to nobody yet; 204 when there is none",
                tag="files",
                media="application/octet-stream",
                codes=("file_changed", "file_not_found", "invalid_parameter", "quota_exceeded", "too_many_requests"),
            ),
        ]


def _file_id(request: web.Request) -> str:
    file_id = request.match_info["id"].lower()
    if not is_file_id(file_id):
        raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its hash.")
    return file_id


def _have(holding: Holding) -> Have:
    grid, complete = holding.grid, holding.is_complete
    pieces = "" if complete else to_text(holding.pieces, grid.count)
    return Have(holding.file_id, grid.size, grid.piece_size, holding.manifest, complete, pieces)


def _line(message: Have | HaveNews) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _asked_with(request: web.Request, count: int) -> int:
    """The pieces that the asker has, as `X-Have` tells them."""
    try:
        return from_text(request.headers["X-Have"], count) if "X-Have" in request.headers else 0
    except ValueError as error:
        raise errors.Invalid("invalid_parameter", f"X-Have cannot be read: {error}.") from error
