"""Staying known: register, heartbeat, announce what changed, and begin again whenever the super-peer has lost
something.

Each answer names the catalogue that the super-peer holds. When it is the one announced last, only changes are sent;
when it is that and one version more, the answer to our last call was lost and the call is taken as done; else
everything is sent anew. After a lost answer a heartbeat asks what became of that call, before there is another one.

Nothing that a super-peer answers ends this, or makes it ask without a pause.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from common.http.addresses import is_loopback_host, url_host
from common.http.outgoing import OutgoingError
from common.runtime.clock import Clock
from common.wire.files import CatalogueDelta, Entry
from common.wire.peers import HeartbeatRequest, Load
from peer.uplink.super_peer import SuperPeer

log = logging.getLogger("shoal.uplink")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
MISSED_INTERVALS = 3  # after which the super-peer takes a peer for gone
UNREACHABLE = "Others are sent to {}, where this peer does not listen: start it with --lan."
RELAYED = "Others fetch through the super-peer, which is slower: it cannot reach this peer at {}.{}"
ALONE = " It listens on this machine alone; to be reached directly, start it with --lan."
FIREWALL = " To be reached directly, open that port in the firewall or router in between."
SHORTEST_INTERVAL, LONGEST_INTERVAL = 1.0, 3600.0
GATHER = 0.05  # seconds in which changes that come together are gathered
ENTRIES = 1000
LOST = frozenset({"peer_not_found", "token_invalid", "token_required", "replay"})
OUT_OF_STEP = "catalogue_out_of_step"


class Pending(Protocol):
    """Changes not announced yet; `more` when there are others behind these."""

    @property
    def add(self) -> list[Entry]: ...
    @property
    def remove(self) -> list[str]: ...
    @property
    def more(self) -> bool: ...


P = TypeVar("P", bound=Pending)


class Catalogue(Protocol[P]):
    """What this peer offers, and how far that has been announced."""

    changed: asyncio.Event
    catalogue_id: str
    announced_version: int
    restarting: bool

    async def pending(self, limit: int) -> P: ...

    async def mark_announced(self, sent: P, version: int, *, complete: bool) -> None: ...

    async def restart_catalogue(self) -> None:
        """Everything is to be announced again, from version 0."""


@dataclass(frozen=True, slots=True)
class Call(Generic[P]):
    """An announcement of which it is not known whether it was taken."""

    pending: P
    delta: CatalogueDelta


@dataclass(frozen=True, slots=True)
class About:
    """What a peer tells of itself when it registers."""

    name: str
    region: str
    version: str


class Session(Generic[P]):
    """One peer's standing with its super-peer. `load` and `shared_files` are asked when they are told.

    `sleep` is how it pauses, for tests that do not.
    """

    def __init__(
        self,
        super_peer: SuperPeer,
        catalogue: Catalogue[P],
        about: About,
        clock: Clock,
        load: Callable[[], Load],
        shared_files: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._super_peer = super_peer
        self._catalogue = catalogue
        self._about = about
        self._clock = clock
        self._load = load
        self._shared_files = shared_files
        self._sleep = sleep
        self._sequence = 0
        self._interval = self._first_pause = FIRST_PAUSE
        self._in_flight: Call[P] | None = None
        self._is_settled = False  # a heartbeat was answered since the registration
        self._is_known = False
        self._heard = 0.0
        self.port = 0
        self.listens_to_all = True
        self.last_heartbeat: float | None = None
        self.address = ""
        self.trouble = "not registered yet"
        self.dialled, self.undialled = asyncio.Event(), asyncio.Event()  # by others; the one that is so is set
        self.dialled.set()

    @property
    def is_registered(self) -> bool:
        """Whether the super-peer counts on this peer: it answered not so long ago that it would have given it up."""
        return self._is_known and self._clock.monotonic() - self._heard <= MISSED_INTERVALS * self._interval

    async def run(self) -> None:
        """For ever: registers, stays, and starts over when it is not known any more."""
        pause = FIRST_PAUSE
        while True:
            self._is_settled = False
            try:
                await self._register()
                await self._stay()
            except OutgoingError as error:
                self._lost(error)
                if self._is_settled:
                    pause = FIRST_PAUSE
                    continue  # forgotten after a while: known again at once
                await self._sleep(_wish(error) or pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, LONGEST_PAUSE)

    async def leave(self) -> None:
        """Says goodbye, if anybody listens."""
        if self._is_known:
            self._is_known = False
            try:
                await self._super_peer.leave()
            except OutgoingError as error:
                log.info("could not say goodbye", extra={"reason": error.detail})

    def _lost(self, error: OutgoingError) -> None:
        if self.trouble != error.detail:
            log.warning("not registered", extra={"code": error.code, "reason": error.detail})
        self._is_known = False
        self.trouble = error.detail

    async def _register(self) -> None:
        about = self._about
        answer = await self._super_peer.register(
            self.port, about.name, about.region, about.version, self._shared_files()
        )
        self._interval, self._sequence = sensible(answer.heartbeat_interval), 0
        self._first_pause = sensible(answer.first_heartbeat or LONGEST_INTERVAL)
        self.address, self._is_known = answer.address, True
        self._note_answer()
        log.info("registered", extra={"address": answer.address, "port": self.port, "interval": self._interval})
        if answer.first_heartbeat is None:
            self._note_direct(True)  # nobody finds out
        if self.trouble:
            log.warning("others cannot fetch from here", extra={"reason": self.trouble})
        await self._compare(answer.catalogue_id, answer.catalogue_version)

    def _note_answer(self) -> None:
        self.last_heartbeat, self._heard = self._clock.now(), self._clock.monotonic()
        self.trouble = ""

    def _note_direct(self, direct: bool) -> None:
        """Whether others can dial this peer, as the super-peer has found."""
        reachable = self.listens_to_all or is_loopback_host(self.address)
        if not direct:
            self.trouble = RELAYED.format(f"{url_host(self.address)}:{self.port}", FIREWALL if reachable else ALONE)
        elif not reachable:
            self.trouble = UNREACHABLE.format(self.address)
        if direct is not self.dialled.is_set():
            now, before = (self.dialled, self.undialled) if direct else (self.undialled, self.dialled)
            now.set()
            before.clear()
            log.info("others dial this peer" if direct else "others cannot dial this peer")

    async def _stay(self) -> None:
        """Heartbeats and announcements. Raises OutgoingError when the super-peer does not know this peer any more."""
        due = self._clock.monotonic() + min(self._pause(), self._first_pause)
        failed = 0
        while True:
            try:
                if (now := self._clock.monotonic()) >= due:
                    try:
                        await self._beat()
                    finally:
                        due = now + self._pause()  # of the answer, if there was one
                elif not await self._announce():
                    await self._wait(due - self._clock.monotonic())
                failed = 0
            except OutgoingError as error:
                if error.code in LOST:
                    raise
                failed += 1
                await self._recover(error, failed)

    def _pause(self) -> float:
        # Spread a little, so that a crowd that started together does not stay together.
        return self._interval * random.uniform(0.9, 1.0)

    async def _recover(self, error: OutgoingError, failed: int) -> None:
        """A call failed and the registration may still stand: wait a little longer each time, then go on."""
        if error.code == OUT_OF_STEP:
            await self._compare(error.problem.get("catalogue_id"), error.problem.get("catalogue_version"))
        else:
            self.trouble = error.detail
            if failed == 1:
                extra = {"code": error.code, "reason": error.detail}
                log.warning("super-peer does not answer as it should", extra=extra)
        pause = FIRST_PAUSE * 2 ** min(failed - 1, 10)  # bounded before it is too much for a float
        await self._sleep(_wish(error) or min(pause, self._interval, LONGEST_PAUSE))

    async def _wait(self, seconds: float) -> None:
        """Until something changed, or for so long."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._catalogue.changed.wait()
                await asyncio.sleep(GATHER)
        except TimeoutError:
            pass

    async def _beat(self) -> None:
        catalogue = self._catalogue
        self._sequence += 1
        answer = await self._super_peer.heartbeat(
            HeartbeatRequest(self._sequence, catalogue.catalogue_id, catalogue.announced_version, self._load())
        )
        self._interval, self._is_settled = sensible(answer.heartbeat_interval), True
        self._note_answer()
        self._note_direct(answer.direct)
        await self._compare(answer.catalogue_id, answer.catalogue_version)

    async def _announce(self) -> bool:
        """Sends one batch of changes; False when there are none."""
        if self._in_flight is not None:
            await self._beat()  # which tells whether it was taken
        catalogue = self._catalogue
        catalogue.changed.clear()
        pending = await catalogue.pending(ENTRIES)
        if not (pending.add or pending.remove or catalogue.restarting):
            return False
        call = self._in_flight = Call(pending, self._delta(pending))
        try:
            answer = await self._super_peer.announce(call.delta)
        except OutgoingError as error:
            if error.status is not None and 400 <= error.status < 500:
                self._in_flight = None  # it was surely not taken
            raise
        if answer.catalogue_version != call.delta.base_version + 1:
            detail = f"The super-peer answered version {call.delta.base_version} with another than the next."
            raise OutgoingError("invalid_body", detail, status=200)
        await self._taken(call)
        return True

    def _delta(self, pending: P) -> CatalogueDelta:
        catalogue = self._catalogue
        complete = catalogue.restarting and not pending.more
        return CatalogueDelta(
            catalogue.catalogue_id, catalogue.announced_version, pending.add, pending.remove, complete=complete
        )

    async def _taken(self, call: Call[P]) -> None:
        delta = call.delta
        await self._catalogue.mark_announced(call.pending, delta.base_version + 1, complete=delta.complete)
        self._in_flight = None

    async def _compare(self, catalogue_id: Any, version: Any) -> None:
        """Goes on from what the super-peer holds (if that is what it says), or begins the catalogue anew."""
        catalogue, call = self._catalogue, self._in_flight
        ours, about_to_begin = catalogue_id == catalogue.catalogue_id, catalogue.announced_version == 0
        if (ours and version == catalogue.announced_version) or (about_to_begin and catalogue.restarting):
            self._in_flight = None
        elif ours and call is not None and version == call.delta.base_version + 1:
            await self._taken(call)
        else:
            log.info("announcing everything", extra={"held": version, "announced": catalogue.announced_version})
            self._in_flight = None
            await catalogue.restart_catalogue()


def _wish(error: OutgoingError) -> float:
    """The pause that the super-peer asked for, 0 for none."""
    return min(max(error.retry_after or 0.0, 0.0), LONGEST_INTERVAL)


def sensible(interval: float) -> float:
    """The time between heartbeats that was asked for, within what does not wear a peer out or let it be forgotten."""
    return min(max(interval, SHORTEST_INTERVAL), LONGEST_INTERVAL)
