"""Who can be asked for a file now: those who announced it and are online, and the members of its swarm.

What may be seen is decided by the index alone. A swarm of a file that nobody announces any more is still told; one of
a file that is announced, but not for this asker's eyes, never is.
"""

import random
from ipaddress import ip_address
from typing import NamedTuple, Protocol, TypeVar

from common import errors
from common.http.addresses import url_host
from common.runtime.clock import Clock
from common.wire.files import Source
from common.wire.peers import Load
from superpeer.files.shelf import Holder, Shelf
from superpeer.files.sources import Candidate, ranked
from superpeer.files.swarms import Member, Swarms

T = TypeVar("T")
MOST_MEMBERS = 64  # of a swarm that are told in one answer
MOST_HOLDERS = 256  # that are compared for a member of a swarm, which asks often


class Seat(Protocol):
    """What files need to know of a peer that is here."""

    n: int
    id: str
    address: str
    port: int
    registered_from: str
    region: str
    keyed: bool
    online: bool
    direct: bool | None
    near: bool
    load: Load
    catalogue_id: str | None
    catalogue_version: int


class Standing(Protocol):
    """What is thought of a peer as a source: 0 to 100, and bytes a second where it was measured."""

    @property
    def reputation(self) -> int: ...

    @property
    def speed(self) -> float | None: ...


class Peers(Protocol):
    """Who is here."""

    def numbered(self, n: int) -> Seat | None: ...

    def standing(self, n: int) -> Standing: ...

    def has_line(self, peer_id: str) -> bool:
        """Whether it can be had through this super-peer."""


class Reached(NamedTuple):
    """How an asker reached this daemon: at which address of ours, and the origin of our URLs for it."""

    address: str = ""
    origin: str = ""


SOMEHOW = Reached()


class Found(NamedTuple):
    """The file's number, where it is announced, and its sources, best first."""

    n: int | None
    sources: list[Source]

    @property
    def complete(self) -> list[Source]:
        """Those that have the whole file."""
        return [source for source in self.sources if source.complete]


class AtHand:
    """The sources of files."""

    def __init__(self, shelf: Shelf, peers: Peers, swarms: Swarms, clock: Clock) -> None:
        self._shelf = shelf
        self._peers = peers
        self._swarms = swarms
        self._clock = clock

    async def of(self, wanted: str, region: str = "", here: Reached = SOMEHOW) -> Found:
        """Everybody who has something to give. Raises NotFound."""
        n, holders, members = await self._who(wanted)
        members = {peer_n: member for peer_n, member in members.items() if member.proven}
        return Found(n, self._ranked(wanted, holders, members, region, here))

    async def for_member(self, wanted: str, asker: Seat, here: Reached) -> list[Source]:
        """Whom a member of the swarm may ask, or be asked by: those too that have nothing yet. Raises NotFound."""
        _, holders, members = await self._who(wanted)
        others = [holder for holder in holders if holder.n != asker.n and self._online(holder.n)]
        members.pop(asker.n, None)
        return self._ranked(wanted, _some(others, MOST_HOLDERS), members, asker.region, here)[:MOST_MEMBERS]

    async def _who(self, wanted: str) -> tuple[int | None, list[Holder], dict[int, Member]]:
        try:
            n, holders = await self._shelf.holders(wanted)
        except errors.NotFound:
            members = self._swarms.of(wanted, self._clock.monotonic())
            if not members or await self._shelf.is_announced(wanted):
                raise
            return None, [], members
        return n, holders, self._swarms.of(wanted, self._clock.monotonic())

    def _ranked(
        self, wanted: str, holders: list[Holder], members: dict[int, Member], region: str, here: Reached
    ) -> list[Source]:
        complete = {holder.n for holder in holders}
        offers = [(holder.n, holder.manifest, True) for holder in holders]
        partial = [(n, member.manifest, False) for n, member in members.items() if n not in complete]
        candidates = [
            self._candidate(seat, wanted, manifest, here, whole)
            for n, manifest, whole in (*offers, *_some(partial, MOST_MEMBERS))
            if (seat := self._online(n))
        ]
        return ranked(candidates, region, [random.random() for _ in candidates])

    def _online(self, n: int) -> Seat | None:
        seat = self._peers.numbered(n)
        return seat if seat is not None and seat.online else None

    def _candidate(self, seat: Seat, wanted: str, manifest: str | None, here: Reached, whole: bool) -> Candidate:
        standing, has_line = self._peers.standing(seat.n), self._peers.has_line(seat.id)
        direct = is_direct(seat, here.address, has_line)
        relayed = has_line and not direct
        return Candidate(
            peer_id=seat.id,
            url=relayed_url(seat, wanted, here.origin) if relayed else url_of(seat, wanted, here.address),
            manifest=manifest,
            region=seat.region,
            verified=seat.keyed,
            load=seat.load,
            complete=whole,
            direct=direct,
            relayed=relayed,
            reputation=standing.reputation,
            speed=standing.speed,
        )


def is_direct(seat: Seat, here: str, has_line: bool) -> bool:
    """Whether somebody who reached us at the address `here` can dial the peer, as far as is known."""
    if seat.direct is None:
        return not has_line  # not dialled back yet: one with a line has it because it could not be before
    same_machine = bool(here) and ip_address(here.partition("%")[0]).is_loopback
    return seat.direct or (seat.near and same_machine)


def relayed_url(seat: Seat, wanted: str, origin: str) -> str:
    """Where a peer's file is had through this super-peer."""
    return f"{origin}/api/v1/download/{wanted}?relay={seat.id}"


def url_of(seat: Seat, wanted: str, here: str) -> str:
    """Where a peer serves a file, for somebody who reached us at the address `here`."""
    host = seat.address
    if here and ip_address(host).is_loopback and not ip_address(here.partition("%")[0]).is_loopback:
        # A peer on this very machine: others reach it where they reached us.
        host = here
    return f"http://{url_host(host)}:{seat.port}/api/v1/download/{wanted}"


def _some(items: list[T], most: int) -> list[T]:
    return items if len(items) <= most else random.sample(items, most)
