"""What downloaders tell, over HTTP: that they are fetching and offer what they have, and how each source did."""

from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from common.http.bearer import bearer_token
from common.http.endpoint import Access, Endpoint
from common.runtime.clock import Clock
from common.wire.transfer import Outcome, SwarmAnswer, SwarmRequest, TransferReport
from superpeer.files.allowance import Allowance
from superpeer.files.at_hand import AtHand, Seat
from superpeer.files.counting import Counts
from superpeer.files.routes import file_id, reached
from superpeer.files.shelf import Shelf
from superpeer.files.swarms import SLOW, Swarms

REPORTS_AT_ONCE, REPORTS_A_SECOND = 1000, 100.0
CALLS_AT_ONCE, CALLS_A_SECOND = 500, 50.0
ACCEPTED = 202


class Peers(Protocol):
    """Who is here, and what is thought of them."""

    def numbered(self, n: int) -> Seat | None: ...

    def find(self, peer_id: str) -> Seat | None: ...

    def recognise(self, peer_id: str | None, token: str | None, observed: str) -> Seat:
        """Raises NotFound, Unauthenticated or Invalid."""

    def report(self, reporter: Seat, source: Seat, outcome: Outcome, count: int, seconds: float) -> None:
        """What one peer has seen of another."""


class TransferRoutes:
    """Swarms and reports. `observed` tells the address that a request comes from."""

    def __init__(
        self,
        at_hand: AtHand,
        swarms: Swarms,
        shelf: Shelf,
        counts: Counts,
        peers: Peers,
        clock: Clock,
        observed: Callable[[web.Request], str],
    ) -> None:
        self._at_hand = at_hand
        self._swarms = swarms
        self._shelf = shelf
        self._counts = counts
        self._peers = peers
        self._clock = clock
        self._observed = observed
        self._calls = Allowance(CALLS_AT_ONCE, CALLS_A_SECOND)
        self._reports = Allowance(REPORTS_AT_ONCE, REPORTS_A_SECOND)

    def _sender(self, request: web.Request) -> Seat:
        return self._peers.recognise(request.headers.get("X-Peer-ID"), bearer_token(request), self._observed(request))

    async def swarm(self, request: web.Request, body: SwarmRequest) -> SwarmAnswer:
        wanted, sender = file_id(request), self._sender(request)
        self._calls.spend(sender.n, self._clock.monotonic())
        if body.leaving:
            self._swarms.leave(wanted, sender.n, self._clock.monotonic())
            return SwarmAnswer(SLOW, [])
        # First what may be seen: nobody joins the swarm of a file that is not for its eyes.
        sources = await self._at_hand.for_member(wanted, sender, reached(request))
        seat = self._peers.numbered(sender.n)
        if seat is None or not seat.online:
            return SwarmAnswer(SLOW, sources)  # it is told the sources, and is itself one once it is heard of again
        now = self._clock.monotonic()
        return SwarmAnswer(self._swarms.join(wanted, seat.n, body.manifest, body.proven, now), sources)

    async def report(self, request: web.Request, body: TransferReport) -> web.Response:
        """Whatever is said of a file or a source that is not known (any more) is taken and forgotten."""
        reporter = self._sender(request)
        self._reports.spend(reporter.n, self._clock.monotonic())
        source = self._peers.find(body.source)
        if source is not None and source.n != reporter.n:
            self._peers.report(reporter, source, body.outcome, body.bytes, body.seconds)
            if body.outcome == "ok":
                await self._count(body.file_id, reporter, self._observed(request))
        return web.Response(status=ACCEPTED)

    async def _count(self, wanted: str, reporter: Seat, address: str) -> None:
        n = await self._shelf.number(wanted)
        if n is not None:
            self._counts.reported(n, reporter.n, address, self._clock.monotonic())

    def expire(self) -> None:
        """Members that stayed away are none any more."""
        self._swarms.expire(self._clock.monotonic())

    def endpoints(self) -> list[Endpoint]:
        known = ("invalid_body", "peer_not_found", "token_invalid", "token_required", "too_many_requests")
        return [
            Endpoint(
                method="POST",
                path="/api/v1/files/{id}/swarm",
                handle=self.swarm,
                summary="Fetch among others: offer the pieces that one has, and hear who has which",
                tag="files",
                body=SwarmRequest,
                answer=SwarmAnswer,
                access=Access.PEER,
                codes=("file_not_found", *known),
            ),
            Endpoint(
                method="POST",
                path="/api/v1/transfers/report",
                handle=self.report,
                summary="Say what a source did in a transfer",
                tag="files",
                body=TransferReport,
                status=ACCEPTED,
                access=Access.PEER,
                codes=known,
            ),
        ]
