"""How fast bytes arrive and how long the rest will take, over a sliding window."""

from collections import deque

WINDOW = 5.0  # seconds
STEP = WINDOW / 20


class Meter:
    """Counts bytes; time is an argument."""

    def __init__(self, now: float) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])
        self._total = 0

    def add(self, count: int, now: float) -> None:
        """`count` bytes arrived."""
        self._total += count
        if now - self._samples[-1][0] >= STEP:
            self._samples.append((now, self._total))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW:
            self._samples.popleft()

    def rate(self, now: float) -> float:
        """Bytes a second over the last WINDOW."""
        since, before = self._samples[0]
        return (self._total - before) / (now - since) if now > since else 0.0

    def eta(self, missing: int, now: float) -> float | None:
        """Seconds until `missing` bytes have come at this rate; None while nothing comes."""
        rate = self.rate(now)
        return missing / rate if rate > 0 else None


class Pace:
    """Tells when bytes have come more slowly than `slowest` a second over the last `window` seconds."""

    def __init__(self, window: float, slowest: int, now: float) -> None:
        self._window = window
        self._slowest = slowest
        self._since = now
        self._count = 0

    def crawls(self, count: int, now: float) -> bool:
        """`count` bytes more have come: True when a window ended that had too few."""
        self._count += count
        elapsed = now - self._since
        if elapsed < self._window:
            return False
        too_few = self._count < self._slowest * elapsed
        self._since, self._count = now, 0
        return too_few
