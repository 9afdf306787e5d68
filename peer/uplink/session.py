"""Staying known: register, heartbeat, announce what changed, and begin again whenever the super-peer has lost
something.

Each answer names the catalogue that the super-peer holds. When it is the one announced last, only changes are sent;
when it is that and one version more, the answer to our last call was lost and the call is taken as done; else
everything is sent anew.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from common.http.outgoing import OutgoingError
from common.runtime.clock import Clock
from common.wire.files import CatalogueDelta, Entry
from common.wire.peers import HeartbeatRequest, Load
from peer.uplink.super_peer import SuperPeer

log = logging.getLogger("shoal.uplink")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
SHORTEST_INTERVAL, LONGEST_INTERVAL = 1.0, 3600.0
GATHER = 0.05  # seconds in which changes that come together are gathered
ENTRIES = 1000
LOST = frozenset({"peer_not_found", "token_invalid", "token_required"})


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
class About:
    """What a peer tells of itself when it registers."""

    name: str
    region: str
    version: str


class Session(Generic[P]):
    """One peer's standing with its super-peer. `load` and `shared_files` are asked when they are told."""

    def __init__(
        self,
        super_peer: SuperPeer,
        catalogue: Catalogue[P],
        about: About,
        clock: Clock,
        load: Callable[[], Load],
        shared_files: Callable[[], int],
    ) -> None:
        self._super_peer = super_peer
        self._catalogue = catalogue
        self._about = about
        self._clock = clock
        self._load = load
        self._shared_files = shared_files
        self._sequence = 0
        self._interval = FIRST_PAUSE
        self._in_flight: P | None = None
        self.port = 0
        self.is_registered = False
        self.last_heartbeat: float | None = None
        self.address = ""
        self.trouble = "not registered yet"

    async def run(self) -> None:
        """For ever: registers, stays, and starts over when it is not known any more."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._register()
                pause = FIRST_PAUSE
                await self._stay()
            except OutgoingError as error:
                self._lost(error)
                if error.code not in LOST:
                    await asyncio.sleep(_wish(error) or pause * random.uniform(0.8, 1.2))
                    pause = min(pause * 2, LONGEST_PAUSE)

    async def leave(self) -> None:
        """Says goodbye, if anybody listens."""
        if self.is_registered:
            self.is_registered = False
            try:
                await self._super_peer.leave()
            except OutgoingError as error:
                log.info("could not say goodbye", extra={"reason": error.detail})

    def _lost(self, error: OutgoingError) -> None:
        if self.trouble != error.detail:
            log.warning("not registered", extra={"code": error.code, "reason": error.detail})
        self.is_registered = False
        self.trouble = error.detail

    async def _register(self) -> None:
        about = self._about
        answer = await self._super_peer.register(
            self.port, about.name, about.region, about.version, self._shared_files()
        )
        self._interval, self._sequence = sensible(answer.heartbeat_interval), 0
        self.address, self.is_registered, self.trouble = answer.address, True, ""
        self.last_heartbeat = self._clock.now()
        log.info("registered", extra={"address": answer.address, "port": self.port, "interval": self._interval})
        await self._compare(answer.catalogue_id, answer.catalogue_version)

    async def _stay(self) -> None:
        """Heartbeats and announcements. Raises OutgoingError when the super-peer does not know this peer any more."""
        due = self._clock.monotonic() + self._pause()
        failed = 0
        while True:
            try:
                if self._clock.monotonic() >= due:
                    due = self._clock.monotonic() + self._pause()
                    await self._beat()
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
        if error.code == "catalogue_out_of_step":
            held = error.problem
            await self._compare(held.get("catalogue_id"), int(held.get("catalogue_version") or 0))
            return
        if failed == 1:
            log.warning("super-peer does not answer as it should", extra={"code": error.code, "reason": error.detail})
        self.trouble = error.detail
        await asyncio.sleep(_wish(error) or min(FIRST_PAUSE * 2 ** (failed - 1), self._interval, LONGEST_PAUSE))

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
        self._interval, self.last_heartbeat, self.trouble = sensible(answer.heartbeat_interval), self._clock.now(), ""
        await self._compare(answer.catalogue_id, answer.catalogue_version)

    async def _announce(self) -> bool:
        """Sends one batch of changes; False when there are none."""
        catalogue = self._catalogue
        catalogue.changed.clear()
        pending = await catalogue.pending(ENTRIES)
        if not (pending.add or pending.remove or catalogue.restarting):
            return False
        delta = CatalogueDelta(
            catalogue.catalogue_id,
            catalogue.announced_version,
            pending.add,
            pending.remove,
            complete=catalogue.restarting and not pending.more,
        )
        self._in_flight = pending
        answer = await self._super_peer.announce(delta)
        self._in_flight = None
        await catalogue.mark_announced(pending, answer.catalogue_version, complete=delta.complete)
        return True

    async def _compare(self, catalogue_id: str | None, version: int) -> None:
        """Goes on from what the super-peer holds, or begins the catalogue anew."""
        catalogue, in_flight = self._catalogue, self._in_flight
        self._in_flight = None
        ours = catalogue_id == catalogue.catalogue_id
        if ours and version == catalogue.announced_version:
            return
        if catalogue.announced_version == 0 and catalogue.restarting:
            return  # about to begin anew as it is
        if ours and in_flight is not None and version == catalogue.announced_version + 1 and not catalogue.restarting:
            await catalogue.mark_announced(in_flight, version, complete=False)
            return
        log.info("announcing everything", extra={"held": version, "announced": catalogue.announced_version})
        await catalogue.restart_catalogue()


def _wish(error: OutgoingError) -> float:
    """The pause that the super-peer asked for, 0 for none."""
    return min(max(error.retry_after or 0.0, 0.0), LONGEST_INTERVAL)


def sensible(interval: float) -> float:
    """The time between heartbeats that was asked for, within what does not wear a peer out or let it be forgotten."""
    return min(max(interval, SHORTEST_INTERVAL), LONGEST_INTERVAL)
