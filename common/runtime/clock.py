"""The two clocks. Rules take `now` as an argument; only edges hold a Clock, and tests move a ManualClock by hand.

`now` is wall time (what people and files are told), `monotonic` never jumps (what durations and deadlines are
measured by).
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where an edge reads the time."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class ManualClock:
    """A clock that tests move."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


def utc(timestamp: float) -> datetime:
    """An aware UTC datetime, which the wire shows with `Z`; cut to milliseconds."""
    return datetime.fromtimestamp(round(timestamp, 3), UTC)
