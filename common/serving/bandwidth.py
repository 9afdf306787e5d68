"""How fast bytes may move in one direction: in all, with each address, and in each transfer. Pure arithmetic.

Who moves bytes opens a line, asks `share` how many to move in one go, tells them to `reserve`, and waits as long as
that says. Lines of one bucket take turns, so each gets an equal part. No limit costs next to nothing. A changed limit
holds for the next turn, and a turn is short. Any thread may call, with the time of the one monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from types import TracebackType

BURST = 0.02  # seconds' worth that may leave at once, which makes up for waking late
TURN = 0.1  # seconds that one round of all lines takes, at most
LEAST_SHARE = 16
USUAL_SHARE = 32 * 1024
FEW = 64  # buckets that need no tidying
MOST_REMEMBERED = 1024  # buckets that nobody uses and that are not empty yet

Exempt = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second in one direction, 0 for no limit. `lan_exempt`: near addresses do not count."""

    total: int = 0
    per_peer: int = 0
    per_transfer: int = 0
    lan_exempt: bool = False


class Bucket:
    """Paces what is reserved to `rate` bytes a second, with BURST seconds' worth at once; 0 is no limit.

    The Generic Cell Rate Algorithm (ITU-T I.371, Annex A) in its form as a continuous-state leaky bucket: `level` is
    what was reserved and has not drained yet, in bytes, so that a changed rate holds for it at once.
    """

    __slots__ = ("_level", "_seen", "lines", "rate")

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate
        self.lines = 0
        self._level = 0.0
        self._seen = 0.0

    def set(self, rate: int) -> None:
        """What left under another rate is not held against a slower one."""
        self.rate = rate
        self._level = min(self._level, rate * BURST)

    def reserve(self, count: int, now: float) -> float:
        """Seconds until `count` bytes may leave. They count from now on, whether they leave or not."""
        if not self.rate:
            return 0.0
        ahead = self.level(now)
        self._level = ahead + count
        return max(0.0, ahead / self.rate - BURST)

    def level(self, now: float) -> float:
        """Bytes that were reserved and have not drained."""
        if now > self._seen:
            self._level = max(0.0, self._level - (now - self._seen) * self.rate)
            self._seen = now
        return self._level

    def is_full(self, now: float) -> bool:
        """Whether more would have to wait, or nearly so."""
        return self.level(now) > self.rate * BURST / 2

    def share(self, wanted: int) -> int:
        """How many bytes one of its lines moves in one turn, so that a round of all stays short."""
        if not self.rate:
            return wanted
        each = self.rate / max(1, self.lines)
        return min(wanted, max(LEAST_SHARE, min(int(each * TURN), max(USUAL_SHARE, int(each * TURN / 4)))))


class Line:
    """One transfer's way through the limits; a context manager. Use it in one thread or task at a time."""

    __slots__ = ("_bandwidth", "_keys", "address", "buckets", "changed")

    def __init__(self, bandwidth: "Bandwidth", address: str, keys: tuple["Key", ...]) -> None:
        self.address = address
        self.buckets: tuple[Bucket, ...] = ()
        self.changed = False
        self._bandwidth = bandwidth
        self._keys = keys

    def share(self, wanted: int) -> int:
        """How many of `wanted` bytes to move in one go: at least one, all of them when nothing limits."""
        self.changed = False
        for bucket in self.buckets:
            wanted = bucket.share(wanted)
        return wanted

    def reserve(self, count: int, now: float) -> float:
        """Seconds to wait, before `count` bytes go out or after they came in; 0.0 when nothing limits."""
        if not self.buckets:
            return 0.0
        if self.changed:
            # This was begun under other limits, and must not be paid for at a much slower rate.
            count = self.share(count)
        return self._bandwidth.reserve(self.buckets, count, now)

    def close(self) -> None:
        self._bandwidth.forget(self, self._keys)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


Key = tuple[str, ...]
EVERYTHING: Key = ()


class Bandwidth:
    """One direction. `is_near` tells the addresses that `lan_exempt` spares."""

    def __init__(self, is_near: Exempt, rates: Rates | None = None) -> None:
        self.rates = rates or Rates()
        self._is_near = is_near
        self._lock = Lock()
        self._all = Bucket(self.rates.total)
        self._buckets: dict[Key, Bucket] = {}  # in the order in which they came out of use, those in use somewhere
        self._lines: set[Line] = set()
        self._now = 0.0
        self._crowded = FEW

    def line(self, address: str, transfer: str) -> Line:
        """A line for a transfer with `address`; lines of the same two share its limits. Close it after use."""
        keys: tuple[Key, ...] = (EVERYTHING, (address,), (address, transfer))
        line = Line(self, address, keys)
        with self._lock:
            self._tidy()
            for key in keys:
                self._bucket(key).lines += 1
            self._lines.add(line)
            self._lead(line, keys)
        return line

    def set(self, rates: Rates) -> None:
        """Other limits, from now on."""
        with self._lock:
            self.rates = rates
            self._all.set(rates.total)
            for key, bucket in self._buckets.items():
                bucket.set(self._rate(key))
            for line in self._lines:
                self._lead(line, line._keys)
                line.changed = True

    def is_drained(self, now: float) -> bool:
        """Whether all that the limit in all allows is being moved; never without such a limit."""
        with self._lock:
            return self._all.rate > 0 and self._all.is_full(now)

    def has_spare(self, now: float) -> bool:
        """Whether there is a limit in all and not all of it is being moved."""
        return self.rates.total > 0 and not self.is_drained(now)

    def reserve(self, buckets: tuple[Bucket, ...], count: int, now: float) -> float:
        """Of a line: seconds to wait until all of its buckets have let `count` bytes pass."""
        with self._lock:
            self._now = max(self._now, now)
            return max(bucket.reserve(count, now) for bucket in buckets)

    def forget(self, line: Line, keys: tuple[Key, ...]) -> None:
        """Of a line: it is closed. Its buckets stay until what was reserved has drained."""
        with self._lock:
            if line not in self._lines:
                return
            self._lines.remove(line)
            for key in keys:
                bucket = self._bucket(key)
                bucket.lines -= 1
                if key and not bucket.lines:
                    self._buckets[key] = self._buckets.pop(key)

    def _lead(self, line: Line, keys: tuple[Key, ...]) -> None:
        """Sets by which buckets the line is held up."""
        exempt = self.rates.lan_exempt and self._is_near(line.address)
        line.buckets = () if exempt else tuple(bucket for key in keys if (bucket := self._bucket(key)).rate)

    def _bucket(self, key: Key) -> Bucket:
        if key == EVERYTHING:
            return self._all
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = Bucket(self._rate(key))
        return found

    def _rate(self, key: Key) -> int:
        return self.rates.per_peer if len(key) == 1 else self.rates.per_transfer

    def _tidy(self) -> None:
        """Now and then, forgets unused buckets that have drained, and the oldest where there are far too many."""
        if len(self._buckets) < self._crowded:
            return
        unused = [key for key, bucket in self._buckets.items() if not bucket.lines]
        surplus = len(unused) - MOST_REMEMBERED
        for place, key in enumerate(unused):
            if place < surplus or not self._buckets[key].level(self._now):
                del self._buckets[key]
        self._crowded = max(FEW, 2 * len(self._buckets))
