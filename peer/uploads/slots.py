"""How many are served at one time, and what has been served. Pure counting.

A small answer needs no slot of its own: what fits into a socket's buffer is gone before a slot could be waited for. No
address has more than half of the slots, so that one slow crowd does not keep everybody else out.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from common import errors
from common.runtime.clock import Clock

RETRY_AFTER = 5.0
RATE_WINDOW = 5.0  # seconds over which the rate is told


class Slots:
    """The upload slots of one peer and its counters."""

    def __init__(self, slots: int, clock: Clock) -> None:
        self.slots = slots
        self.most_of_one = max(1, slots // 2)
        self.active = 0
        self.finished = 0
        self.bytes = 0
        self.refused = 0
        self._clock = clock
        self._window: tuple[float, int] = (clock.monotonic(), 0)
        self._rate = 0
        self._held = Counter[str]()

    @contextmanager
    def taken(self, address: str) -> Iterator[None]:
        """A slot for who asks from `address`, as long as the block runs. Raises Unavailable when it gets none."""
        self._check_room(address)
        self.active += 1
        self._held[address] += 1
        try:
            yield
        finally:
            self.active -= 1
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]

    def _check_room(self, address: str) -> None:
        if self.active >= self.slots:
            self._refuse(f"All {self.slots} upload slots are taken; try again.")
        if self._held[address] >= self.most_of_one:
            most = f"{self.most_of_one} of {self.slots} upload slots, the most that one may have"
            self._refuse(f"Your address has {most}; try again.")

    def _refuse(self, why: str) -> NoReturn:
        self.refused += 1
        raise errors.Unavailable("too_many_requests", why, retry_after=RETRY_AFTER)

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
