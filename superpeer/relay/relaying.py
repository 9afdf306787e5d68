"""Passing a request on to a source and its answer back: over the source's line, or by dialling it.

Until an answer has begun, the next source is asked in the place of one that does not give it.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Protocol

from aiohttp import web

from common import errors
from common.http.addresses import is_loopback_host, url_host
from common.http.callers import scheme_of
from common.http.outgoing import Outgoing, OutgoingError
from common.http.relayed import head_of
from common.ids import is_chosen_peer_id
from common.wire.files import Source
from common.wire.relay import ANSWERED, RelayHead
from superpeer.relay.answer import Unusable, answer_of, asked_headers, path_of
from superpeer.relay.passage import SILENCE, passed_on
from superpeer.relay.switchboard import Asked, Switchboard

BEST = "1"
HEAD_DEADLINE = 30.0  # seconds until a source's answer has begun: one without room holds a request for a while
TRIED = 3
ASKERS_FAULT = (errors.Invalid, errors.Outdated, errors.OutOfRange)


class Seat(Protocol):
    """Where a peer is."""

    address: str
    port: int


class Relaying:
    """`observed` tells where a request comes from."""

    def __init__(
        self,
        switchboard: Switchboard,
        find: Callable[[str], Seat | None],
        observed: Callable[[web.Request], str],
    ) -> None:
        self._switchboard = switchboard
        self._find = find
        self._observed = observed
        self._key = secrets.token_bytes(32)
        self._outgoing: Outgoing | None = None

    def through(self, outgoing: Outgoing) -> None:
        """Peers are dialled through `outgoing`, which can be made only once the loop runs."""
        self._outgoing = outgoing

    def is_called_for(self, request: web.Request, source: Source) -> bool:
        """Whether the asker cannot reach the source, or may not leave https for it."""
        # Of a program without a key, which has no line, it may still be that the asker reaches it.
        has_none = is_chosen_peer_id(source.peer_id) and not self._switchboard.has_line(source.peer_id)
        return not (source.direct or has_none) or scheme_of(request) == "https"

    async def serve(
        self, request: web.Request, kind: str, file_id: str, sources: Sequence[Source], relay: str = BEST
    ) -> web.StreamResponse:
        """The answer of the best of `sources`, or of the one that `relay` names. Raises a Refusal."""
        asked = self._asked(request, kind, file_id)
        any_whole = relay in ("", BEST)
        wanted = [s for s in sources if (s.complete if any_whole else s.peer_id == relay) and self._can_ask(s)]
        observed = self._observed(request)
        with self._switchboard.passing(None if is_loopback_host(observed) else observed):
            return await self._first(request, asked, wanted[:TRIED])

    def _asked(self, request: web.Request, kind: str, file_id: str) -> Asked:
        who = f"{self._observed(request)} {request.headers.get('X-Peer-ID', '')}"
        return Asked(
            kind,
            file_id,
            "HEAD" if request.method == "HEAD" else "GET",
            path_of(kind, file_id, request.query),
            asked_headers(request.headers),
            # Tells askers apart, and nobody who they are.
            blake2b(who.encode("utf-8", "replace"), key=self._key, digest_size=8).hexdigest(),
        )

    def _can_ask(self, source: Source) -> bool:
        return source.direct or self._switchboard.has_line(source.peer_id)

    async def _first(self, request: web.Request, asked: Asked, sources: Iterable[Source]) -> web.StreamResponse:
        refusal: errors.Refusal = errors.Unavailable(
            "no_source_online", "Nobody who has this file can be reached now; try again later.", retry_after=30
        )
        for source in sources:
            try:
                if self._switchboard.has_line(source.peer_id):
                    return await self._over_line(request, asked, source.peer_id)
                return await self._dialled(request, asked, source.peer_id)
            except ASKERS_FAULT:
                raise
            except errors.Refusal as error:
                refusal = error
            except Unusable:
                refusal = errors.Unavailable("source_unavailable", "The source does not answer as it should.")
        raise refusal

    async def _over_line(self, request: web.Request, asked: Asked, peer_id: str) -> web.StreamResponse:
        with self._switchboard.stream(peer_id, asked) as stream:
            async with asyncio.timeout(HEAD_DEADLINE):
                arrival = await asyncio.shield(stream.arrived)
            answer = answer_of(asked.kind, asked.file_id, arrival.head)
            return await passed_on(request, answer, arrival.content, self._switchboard)

    async def _dialled(self, request: web.Request, asked: Asked, peer_id: str) -> web.StreamResponse:
        seat = self._find(peer_id)
        if seat is None or self._outgoing is None:
            raise errors.Unavailable("source_unavailable", "The source is gone; try again later.")
        url = f"http://{url_host(seat.address)}:{seat.port}{asked.path}"
        try:
            asking = self._outgoing.request(
                asked.method, url, headers=asked.headers, head_deadline=HEAD_DEADLINE, silence=SILENCE
            )
            async with asking as response:
                told = {name: response.headers[name] for name in ANSWERED if name in response.headers}
                answer = answer_of(asked.kind, asked.file_id, RelayHead(response.status, told))
                return await passed_on(request, answer, response.content, self._switchboard)
        except OutgoingError as error:
            answer = answer_of(asked.kind, asked.file_id, head_of(error))
            return await passed_on(request, answer, NOTHING, self._switchboard)


class _Nothing:
    async def readany(self) -> bytes:
        return b""


NOTHING = _Nothing()
