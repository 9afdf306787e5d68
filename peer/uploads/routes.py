"""Files of this peer over HTTP."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from common import errors
from common.content.grid import Grid, Span
from common.content.pieces import set_of
from common.http.endpoint import Access, Endpoint
from common.ids import is_file_id
from common.runtime.clock import Clock
from common.serving.bandwidth import Bandwidth, Line
from common.serving.file_reply import COPIED, STALLED, Meter, Pace, Served, Version, send_file
from common.serving.pacing import Sleep, Turns
from common.serving.ranges import ByteRange, parse_range
from common.wire.transfer import Upload
from peer.uploads.active import Active
from peer.uploads.askers import RELAY, Asker, asker
from peer.uploads.holdings import Holdings
from peer.uploads.quota import Quota
from peer.uploads.seeding import Gate, Seeding
from peer.uploads.slots import Slots

HELD = 20.0  # seconds for which a request for a piece waits for room


class Shelf(Protocol):
    """Where the files are."""

    async def open_for_serving(self, file_id: str) -> Served:
        """An open file that is what it was when it was hashed. Raises NotFound or Conflict."""

    async def count_download(self, file_id: str) -> None: ...


RELAY_STALLED = 600.0  # seconds


class QuotaUsedUp(ConnectionResetError):
    """An answer is cut because its asker has had all of today's quota."""


class UploadRoutes:
    """`GET /api/v1/download/{id}`, within the slots, the limits and the quotas."""

    def __init__(
        self,
        shelf: Shelf,
        slots: Slots,
        bandwidth: Bandwidth,
        quota: Quota,
        clock: Clock,
        holdings: Holdings,
        gate: Gate,
        is_relayed: Callable[[web.Request], bool] = lambda request: False,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`is_relayed` tells what this peer asks itself for others; `sleep` is how an answer waits for its turn."""
        self._is_relayed = is_relayed
        self._shelf = shelf
        self._slots = slots
        self._bandwidth = bandwidth
        self._quota = quota
        self._clock = clock
        self._sleep = sleep
        self._holdings = holdings
        self._gate = gate
        self.seeding = Seeding()
        self.active = Active(clock.monotonic)

    async def uploads(self, request: web.Request) -> list[Upload]:
        return self.active.told()

    async def download(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["id"].lower()
        if not is_file_id(file_id):
            raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its hash.")
        served = self._held_part(request, file_id) or await self._shelf.open_for_serving(file_id)
        try:
            return await self._serve(request, served, file_id)
        finally:
            os.close(served.fd)

    def _held_part(self, request: web.Request, file_id: str) -> Served | None:
        """A file that this peer is fetching, when all that is asked of it is proven already."""
        holding = self._holdings.find(file_id)
        if holding is None or request.method != "GET":
            return None
        part = parse_range(request.headers.get("Range"), holding.grid.size)
        if part is None or not holding.holds(Span(part.start, part.stop)):
            return None
        if not holding.is_untouched:
            holding.withdraw()
            return None
        version = Version(holding.grid.size, 0, 0)
        return Served(holding.open(), version, holding.name, file_id, time.time(), is_growing=True)

    def now(self) -> float:
        """The time by which seeding counts."""
        return self._clock.monotonic()

    def asker(self, request: web.Request) -> Asker:
        """Who asks, as everything here counts it."""
        remote = RELAY if self._is_relayed(request) else request.remote
        return asker(remote, request.headers.get("X-Peer-ID"))

    async def send_part(
        self, request: web.Request, served: Served, file_id: str, part: ByteRange
    ) -> web.StreamResponse:
        """Sends these bytes, whatever the request says, within the limits and the quotas."""
        who = self.asker(request)
        self._quota.require(who.address, self._clock.now())
        return await self._send(request, served, file_id, who, part)

    async def _serve(self, request: web.Request, served: Served, file_id: str) -> web.StreamResponse:
        who = self.asker(request)
        if request.method == "HEAD":
            return await send_file(request, served)
        self._quota.require(who.address, self._clock.now())
        if served.is_growing:
            # To others who fetch the same: they are let through as there is room.
            async with self._gate.turn(0, HELD):
                answer = await self._send(request, served, file_id, who)
        elif served.version.size <= COPIED:
            answer = await self._send(request, served, file_id, who)
        else:
            with self._slots.taken(who, is_part="Range" in request.headers):
                answer = await self._send(request, served, file_id, who)
        if answer.status == 206 and not served.is_growing:
            self._note_part(file_id, served, answer)
        if answer.status == 200:
            self._slots.finished += 1
            await self._shelf.count_download(file_id)
        return answer

    def _note_part(self, file_id: str, served: Served, answer: web.StreamResponse) -> None:
        """What went out need not be sent first to somebody else of a crowd."""
        grid = Grid.of(served.version.size)
        first, _, last = answer.headers["Content-Range"].removeprefix("bytes ").partition("/")[0].partition("-")
        pieces = set_of(grid.within(Span(int(first), int(last) + 1)))
        self.seeding.sent(file_id, grid.count, pieces, self._clock.monotonic())

    async def _send(
        self, request: web.Request, served: Served, file_id: str, who: Asker, part: ByteRange | None = None
    ) -> web.StreamResponse:
        with (
            self._bandwidth.line(who.address, file_id) as line,
            self.active.served(who, file_id, served.name, served.version.size) as told,
        ):
            meter = self._meter(who, told)
            return await send_file(request, served, meter, _patience(who), self._pace(line, who), part)

    def _meter(self, who: Asker, told: Callable[[int], None]) -> Meter:
        def sent(count: int) -> None:
            told(count)
            self._slots.sent(count)
            self._quota.spend(who.address, count, self._clock.now())

        return sent

    def _pace(self, line: Line, who: Asker) -> Pace:
        """The line's turns, which end with the quota."""
        turns = Turns(line, self._clock, self._sleep)

        async def turn(wanted: int) -> int:
            if self._quota.is_used_up(who.address, self._clock.now()):
                raise QuotaUsedUp("the quota of today is used up")
            return await turns(wanted)

        return turn

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/download/{id}",
                handle=self.download,
                summary="The file, or the part that Range names",
                tag="files",
                media="application/octet-stream",
                codes=(
                    "file_changed",
                    "file_not_found",
                    "precondition_failed",
                    "quota_exceeded",
                    "range_not_satisfiable",
                    "too_many_requests",
                ),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/uploads",
                handle=self.uploads,
                summary="Who is fetching what from this peer now",
                tag="uploads",
                answer=list[Upload],
                access=Access.OWNER,
                codes=("token_invalid", "token_required"),
            ),
        ]


def _patience(who: Asker) -> float:
    """Seconds in which an asker may take nothing. The relay looks after its own askers, and takes in large gulps what
    they sip."""
    return RELAY_STALLED if who.address == RELAY else STALLED
