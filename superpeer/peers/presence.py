"""Who is here, and for how long a silence is forgiven. Soft state: a heartbeat changes memory only.

Pure: time is an argument (monotonic seconds for silence, wall seconds for what people are told). A peer is offline
after three missed intervals; what changed is written behind by whoever calls `take_written_behind`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from common.wire.peers import Load

MISSED_INTERVALS = 3


@dataclass(slots=True)
class Seat:
    """What the super-peer holds in memory of one peer."""

    n: int
    id: str
    name: str
    address: str
    port: int
    registered_from: str
    region: str
    keyed: bool
    token_digest: bytes
    sequence: int
    catalogue_id: str | None
    catalogue_version: int
    online: bool
    last_seen: float
    heard: float
    load: Load = field(default_factory=Load)
    direct: bool | None = None  # others can dial it; None: not tried yet
    near: bool = False  # programs on this very machine can
    proven_token: str | None = None  # the last one that fitted the digest


class Presence:
    """The seats of all peers that are not forgotten, by id and by number."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._by_id: dict[str, Seat] = {}
        self._by_n: dict[int, Seat] = {}
        self._keyless_at: dict[tuple[str, int], Seat] = {}
        self._unwritten: set[int] = set()
        self._at = Counter[str]()

    def __len__(self) -> int:
        return len(self._by_id)

    def seat(self, seat: Seat) -> None:
        """Adds a peer, or replaces what was held of it."""
        before = self._by_id.get(seat.id)
        if before is not None:
            self._vacate(before)
            if (before.address, before.port) == (seat.address, seat.port):
                seat.direct, seat.near = before.direct, before.near
        self._by_id[seat.id] = seat
        self._by_n[seat.n] = seat
        self._at[seat.registered_from] += 1
        if not seat.keyed:
            self._keyless_at[seat.registered_from, seat.port] = seat

    def _vacate(self, seat: Seat) -> None:
        self._at[seat.registered_from] -= 1
        if not self._at[seat.registered_from]:
            del self._at[seat.registered_from]
        place = (seat.registered_from, seat.port)
        if self._keyless_at.get(place) is seat:
            del self._keyless_at[place]

    def find(self, peer_id: str) -> Seat | None:
        return self._by_id.get(peer_id)

    def numbered(self, n: int) -> Seat | None:
        return self._by_n.get(n)

    def count_at(self, address: str) -> int:
        """How many peers registered from this address."""
        return self._at[address]

    def at(self, address: str, port: int) -> Seat | None:
        """The keyless peer last registered from this address, with this port."""
        return self._keyless_at.get((address, port))

    def hear(self, seat: Seat, now: float, monotonic: float) -> None:
        """A sign of life."""
        seat.last_seen = now
        seat.heard = monotonic
        self._unwritten.add(seat.n)

    def silent(self, monotonic: float) -> list[Seat]:
        """Online peers whose silence is no longer forgiven."""
        limit = monotonic - MISSED_INTERVALS * self.interval
        return [seat for seat in self._by_id.values() if seat.online and seat.heard < limit]

    def long_gone(self, now: float, grace: float) -> list[Seat]:
        """Offline peers that have been away longer than `grace` seconds."""
        return [seat for seat in self._by_id.values() if not seat.online and seat.last_seen < now - grace]

    def forget(self, seat: Seat) -> None:
        if self._by_id.pop(seat.id, None):
            self._vacate(seat)
        self._by_n.pop(seat.n, None)
        self._unwritten.discard(seat.n)

    def online(self) -> list[Seat]:
        return [seat for seat in self._by_id.values() if seat.online]

    def undiallable(self) -> int:
        """How many are online that others cannot dial."""
        return sum(seat.online and seat.direct is False for seat in self._by_id.values())

    def take_written_behind(self) -> list[Seat]:
        """The seats heard of since the last call; the caller writes them, or gives them back."""
        taken = [seat for n in self._unwritten if (seat := self._by_n.get(n))]
        self._unwritten.clear()
        return taken

    def give_back(self, seats: Iterable[Seat]) -> None:
        """These could not be written."""
        self._unwritten.update(seat.n for seat in seats if seat.n in self._by_n)
