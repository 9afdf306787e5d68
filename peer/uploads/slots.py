"""How many are served at one time, and what has been served. Pure counting.

A small file needs no slot of its own: what fits into a socket's buffer is gone before a slot could be waited for. No
address has more than half of the slots, so that one slow crowd does not keep everybody else out, and those who share an
address have equal parts of that when they all want it. Who fetches a file part by part keeps its slot between two of
them, but not for ever while others wait. While an upload limit is not used up, a few more are served than slots.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from common import errors
from common.runtime.clock import Clock
from peer.uploads.askers import Asker
from peer.uploads.waiting import Waiting

RATE_WINDOW = 5.0  # seconds over which the rate is told
LINGER = 0.5  # seconds that a slot waits for the next part of its file
LATELY = 60.0  # seconds without a slot that fell free, after which it is not known when the next one will
TENURE = 20.0  # seconds after which a slot goes to who waits for it


@dataclass(slots=True)
class _Slot:
    """One in use, or waiting for its holder's next part until `until`."""

    asker: Asker
    since: float
    until: float = 0.0


class Slots:
    """The upload slots of one peer, the line of those who wait for one, and its counters."""

    def __init__(self, slots: int, clock: Clock, has_spare: Callable[[float], bool] = lambda now: False) -> None:
        """`has_spare` tells whether the limit of the upload, if there is one, leaves something over."""
        self.slots = slots
        self.active = 0
        self.finished = 0
        self.bytes = 0
        self.refused = 0
        self.waiting = Waiting()
        self._clock = clock
        self._has_spare = has_spare
        self._window: tuple[float, int] = (clock.monotonic(), 0)
        self._rate = 0
        self._held = Counter[Asker]()
        self._lingering: list[_Slot] = []
        self._freed: deque[float] = deque(maxlen=16)

    @contextmanager
    def taken(self, asker: Asker, is_part: bool = False) -> Iterator[None]:
        """A slot for who asks, as long as the block runs. Raises Unavailable, with a place in the line."""
        slot = self._resumed(asker) or self._admitted(asker)
        self.active += 1
        self._held[asker] += 1
        try:
            yield
        finally:
            self.active -= 1
            self._held[asker] -= 1
            if not self._held[asker]:
                del self._held[asker]
            self._release(slot, is_part)

    def _resumed(self, asker: Asker) -> _Slot | None:
        """The slot that waited for this asker's next part."""
        self._let_go()
        slot = next((slot for slot in self._lingering if slot.asker == asker), None)
        if slot is not None:
            self._lingering.remove(slot)
        return slot

    def _admitted(self, asker: Asker) -> _Slot:
        now = self._clock.monotonic()
        total = self.slots + (max(1, self.slots // 2) if self._has_spare(now) else 0)
        free = total - self.active - len(self._lingering)
        may = self._within_share(max(1, total // 2))
        self.waiting.forget_absent(now)
        offered = self.waiting.offer(free, may, now)
        if asker not in offered and (not may(asker) or free <= self.waiting.kept(now)):
            self._refuse(asker, may(asker), now)
        self.waiting.leave(asker)
        return _Slot(asker, now)

    def _within_share(self, most: int) -> Callable[[Asker], bool]:
        """Tells who has less than its part of the slots, of which one address may have `most`."""
        held = self._held + Counter(slot.asker for slot in self._lingering)
        addresses = Counter[str]()
        for holder, count in held.items():
            addresses[holder.address] += count

        def may(asker: Asker) -> bool:
            waiting = self.waiting.names(asker.address) - {asker.name}
            here = {holder.name for holder in held if holder.address == asker.address}
            part = -(-most // len(here | waiting | {asker.name})) if waiting else most
            return addresses[asker.address] < most and held[asker] < part

        return may

    def _release(self, slot: _Slot, is_part: bool) -> None:
        now = self._clock.monotonic()
        if is_part and (not self.waiting or now - slot.since < TENURE):
            slot.until = now + LINGER
            self._lingering.append(slot)
        else:
            self._freed.append(now)

    def _let_go(self) -> None:
        """Frees the slots whose next part did not come."""
        now = self._clock.monotonic()
        self._freed.extend(slot.until for slot in self._lingering if slot.until < now)
        self._lingering = [slot for slot in self._lingering if slot.until >= now]

    def _refuse(self, asker: Asker, within_share: bool, now: float) -> NoReturn:
        self.refused += 1
        place, wait = self.waiting.stand(asker, self._interval(now), now)
        why = f"All {self.slots} upload slots are taken"
        if not within_share:
            most = f"{max(1, self.slots // 2)} of {self.slots} upload slots"
            why = f"You have your part of what your address may have, which is {most}"
        if place is None:
            raise errors.Unavailable("too_many_requests", f"{why}; try again.", retry_after=wait)
        told = f"{why}; your place in the line is {place}: come back after Retry-After to keep it."
        raise errors.Unavailable("too_many_requests", told, retry_after=wait, place=place)

    def _interval(self, now: float) -> float | None:
        """Seconds from one slot that falls free to the next, as it was lately."""
        if len(self._freed) < 2 or now - self._freed[-1] > LATELY:
            return None
        return (now - self._freed[0]) / len(self._freed)

    def sent(self, count: int) -> None:
        """Bytes have left."""
        self.bytes += count

    def rate(self) -> int:
        """Bytes a second, over the last moments."""
        now, (since, before) = self._clock.monotonic(), self._window
        if now - since >= RATE_WINDOW:
            self._rate = int((self.bytes - before) / (now - since))
            self._window = (now, self.bytes)
        return self._rate
