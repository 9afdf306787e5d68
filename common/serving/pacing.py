"""One transfer taking its turns: asks its line how much may go, and waits until it may."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from common.runtime.clock import Clock

Sleep = Callable[[float], Awaitable[object]]


class Line(Protocol):
    """What `common.serving.bandwidth` gives."""

    def share(self, wanted: int) -> int: ...

    def reserve(self, count: int, now: float) -> float: ...


class Turns:
    """A Pace of `file_reply`, by the limits of a line. `sleep` is how it waits, for tests that do not."""

    def __init__(self, line: Line, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        self._line = line
        self._clock = clock
        self._sleep = sleep

    async def __call__(self, wanted: int) -> int:
        """Returns when it may, how many of `wanted` bytes go."""
        count = self._line.share(wanted)
        wait = self._line.reserve(count, self._clock.monotonic())
        if wait > 0:
            await self._sleep(wait)
        return count
