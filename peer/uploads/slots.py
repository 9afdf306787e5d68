"""How many are served at one time, and what has been served. Pure counting.

A small answer needs no slot of its own: what fits into a socket's buffer is gone before a slot could be waited for.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from common import errors
from common.runtime.clock import Clock

RETRY_AFTER = 5.0
RATE_WINDOW = 5.0  # seconds over which the rate is told


class Slots:
    """The upload slots of one peer and its counters."""

    def __init__(self, slots: int, clock: Clock) -> None:
        self.slots = slots
        self.active = 0
        self.finished = 0
        self.bytes = 0
        self.refused = 0
        self._clock = clock
        self._window: tuple[float, int] = (clock.monotonic(), 0)
        self._rate = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A slot for as long as the block runs. Raises Unavailable when none is free."""
        if self.active >= self.slots:
            self.refused += 1
            raise errors.Unavailable(
                "too_many_requests", f"All {self.slots} upload slots are taken; try again.", retry_after=RETRY_AFTER
            )
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

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
