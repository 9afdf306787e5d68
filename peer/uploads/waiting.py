"""The line of those who wait for an upload slot. Pure; the time is an argument.

Who is refused gets a place and keeps it by coming back when told. A free slot is kept for who is first, for a moment;
then others may have it. Each asker has one place, an address a few, and a place that nobody comes back for vanishes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from peer.uploads.askers import Asker

MOST = 256  # places
MOST_OF_ONE = 16  # of one address
KEPT = 5.0  # seconds that a free slot is kept for somebody who was told to come back later
GRACE = 1.0  # seconds that whoever comes back may be late for a slot
PATIENCE = 10.0  # and for the place
USUAL_WAIT = 5.0
LONGEST_WAIT = 30.0


@dataclass(slots=True)
class _Place:
    """`due`: when the asker should be back. `free_since`: since when there has been a slot for it."""

    due: float
    free_since: float | None = None

    def is_kept_a_slot(self, now: float) -> bool:
        since = now if self.free_since is None else self.free_since
        return now <= min(max(self.due, since), since + KEPT) + GRACE


class Waiting:
    """The line, first come first served."""

    def __init__(self) -> None:
        self._places: dict[Asker, _Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def names(self, address: str) -> set[str]:
        """Those who wait at an address."""
        return {asker.name for asker in self._places if asker.address == address}

    def leave(self, asker: Asker) -> None:
        """Somebody has got a slot."""
        self._places.pop(asker, None)

    def forget_absent(self, now: float) -> None:
        """Takes away the places of those who did not come back."""
        for asker in [asker for asker, place in self._places.items() if now > place.due + PATIENCE]:
            del self._places[asker]

    def offer(self, free: int, may: Callable[[Asker], bool], now: float) -> frozenset[Asker]:
        """Who in the line may have one of the `free` slots. What `kept` leaves of them is for others.

        `may` tells who has less than its share.
        """
        offered = set()
        for asker, place in self._places.items():
            if free <= 0 or not may(asker):
                place.free_since = None
                continue
            offered.add(asker)
            place.free_since = now if place.free_since is None else place.free_since
            free -= place.is_kept_a_slot(now)
        return frozenset(offered)

    def kept(self, now: float) -> int:
        """How many slots are kept for those in the line, as `offer` last found."""
        return sum(place.free_since is not None and place.is_kept_a_slot(now) for place in self._places.values())

    def stand(self, asker: Asker, interval: float | None, now: float) -> tuple[int | None, float]:
        """(the asker's place, 1 being next, or None where there is no room in the line; seconds until it comes back).

        `interval`: seconds from one slot that falls free to the next, None where that is not known.
        """
        if asker not in self._places and not self._has_room(asker.address):
            return None, wait_of(len(self._places) + 1, interval)
        place = self._places.setdefault(asker, _Place(now))
        number = list(self._places).index(asker) + 1
        wait = wait_of(number, interval)
        place.due = now + wait
        return number, wait

    def _has_room(self, address: str) -> bool:
        return len(self._places) < MOST and sum(asker.address == address for asker in self._places) < MOST_OF_ONE


def wait_of(place: int, interval: float | None) -> float:
    """When to come back: about when the place's slot falls free, those in front soon enough not to miss it."""
    if interval is None:
        return USUAL_WAIT
    return max(1.0, min(place * interval, place * USUAL_WAIT, LONGEST_WAIT))
