"""Which peers can be dialled: each is, after its registration and again from time to time.

Guarantees: no registration waits for it; a peer is dialled no more often than every SHORTEST seconds whatever it does,
AT_ONCE at a time; what is dialled is the address that others are sent to, if policy allows it; the peer is told yes or
no and nothing of what answered.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

import msgspec

from common.http.addresses import canonical, is_loopback_host, url_host
from common.http.outgoing import Outgoing, OutgoingError, read_bounded
from common.runtime.clock import Clock
from superpeer.peers.presence import Presence, Seat

log = logging.getLogger("shoal.peers")

DEADLINE = 3.0  # seconds for one peer
AT_ONCE = 16
SHORTEST = 10.0  # seconds between two attempts at one peer
AGAIN, AGAIN_DIRECT = 180.0, 1800.0  # seconds until a peer that could not be dialled, or could, is dialled again
LARGEST_INFO = 64 * 1024
TICK = 1.0
KNOWN_WITHIN = DEADLINE + TICK  # seconds after a registration, when no crowd registers at once
PROBED = "/api/v1/info"
NOWHERE = ("192.0.2.1", 9)  # an address of nobody's (RFC 5737), which lies behind the way to everybody


class _Info(msgspec.Struct, frozen=True):
    """What of a peer's own word matters here."""

    id: str = ""


class DialBack:
    """`outward` is an address of this machine that others reach it under, where it listens for others; else empty.

    `changed` is told when a peer turns out to be reachable, or not, otherwise than before.
    """

    def __init__(self, presence: Presence, clock: Clock, changed: Callable[[Seat], None]) -> None:
        self._presence = presence
        self._clock = clock
        self._changed = changed
        self._due: dict[str, float] = {}
        self._dialled: dict[str, float] = {}
        self._woken = asyncio.Event()
        self._outgoing: Outgoing | None = None
        self.outward = ""

    def through(self, outgoing: Outgoing) -> None:
        """Peers are dialled through `outgoing`, which can be made only once the loop runs."""
        self._outgoing = outgoing

    def soon(self, seat: Seat) -> None:
        """This peer has registered, or is back."""
        earliest = self._dialled.get(seat.id, -SHORTEST) + SHORTEST
        self._due[seat.id] = max(self._clock.monotonic(), earliest)
        self._woken.set()

    def forget(self, seat: Seat) -> None:
        """This peer is not known any more."""
        self._due.pop(seat.id, None)
        self._dialled.pop(seat.id, None)

    async def run(self) -> None:
        """For ever."""
        for seat in self._presence.online():
            self.soon(seat)
        queue: asyncio.Queue[Seat] = asyncio.Queue(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work(queue), name="dial back")
            while True:
                await self._wait()
                for seat in self._take_due():
                    await queue.put(seat)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(TICK):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def _take_due(self) -> list[Seat]:
        now = self._clock.monotonic()
        ids = [peer_id for peer_id, due in self._due.items() if due <= now]
        for peer_id in ids:
            del self._due[peer_id]
        return [seat for peer_id in ids if (seat := self._presence.find(peer_id)) is not None and seat.online]

    async def _work(self, queue: asyncio.Queue[Seat]) -> None:
        while True:
            seat = await queue.get()
            self._dialled[seat.id] = self._clock.monotonic()
            direct, near = await self._reached(seat)
            self._note(seat, direct, near)

    async def _reached(self, seat: Seat) -> tuple[bool, bool]:
        """Whether others reach the peer; and, of one on this machine, whether programs on this machine do."""
        reached = await self._answers(seat, seat.address)
        if not is_loopback_host(seat.address):
            return reached, False
        if not self.outward:
            return reached, reached  # everybody who can ask here is on this machine
        return await self._answers(seat, self.outward), reached

    async def _answers(self, seat: Seat, host: str) -> bool:
        """Whether this very peer answers there; of a program without a key, whether anything speaks HTTP."""
        if self._outgoing is None:
            return False
        url = f"http://{url_host(host)}:{seat.port}{PROBED}"
        try:
            # A connection of its own: one that is still open from before would prove nothing.
            asking = self._outgoing.request("GET", url, headers={"Connection": "close"}, deadline=DEADLINE)
            async with asking as response:
                if not seat.keyed:
                    return True
                found = msgspec.json.decode(await read_bounded(response, LARGEST_INFO), type=_Info)
                return found.id == seat.id
        except OutgoingError as error:
            return not seat.keyed and error.status is not None
        except (ValueError, RecursionError):
            return False

    def _note(self, dialled: Seat, direct: bool, near: bool) -> None:
        seat = self._presence.find(dialled.id)
        if seat is None or (seat.address, seat.port) != (dialled.address, dialled.port):
            return  # gone, or somewhere else by now: its own turn comes
        self._due.setdefault(seat.id, self._clock.monotonic() + (AGAIN_DIRECT if direct else AGAIN))
        before, seat.direct, seat.near = seat.direct, direct, near
        if before is not direct:
            log.info("peer dialled back", extra={"peer": seat.id, "direct": direct})
            self._changed(seat)


def outward(bound: str) -> str:
    """An address under which others reach a daemon that is bound to `bound`; empty when there is none."""
    address = canonical(bound)
    if not address.is_unspecified:
        return "" if address.is_loopback else str(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOWHERE)  # sends nothing: the kernel says from where it would
            found: str = probe.getsockname()[0]
        except OSError:
            return ""
    return "" if is_loopback_host(found) else found
