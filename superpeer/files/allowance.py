"""How often somebody may say something: a bucket for each, filled again as time passes. Pure (monotonic seconds)."""

from collections import OrderedDict

from common import errors

REMEMBERED = 10_000


class Allowance:
    """`burst` calls at once and `rate` a second on and on, for each caller."""

    def __init__(self, burst: int, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def spend(self, caller: int, now: float) -> None:
        """One call. Raises TooMany."""
        left, at = self._left.pop(caller, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        allowed = left >= 1.0
        self._left[caller] = (left - allowed, now)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        if not allowed:
            raise errors.TooMany(
                "too_many_requests",
                f"That is more than {self._rate:g} calls a second; come back in a moment.",
                retry_after=(1.0 - left) / self._rate,
            )
