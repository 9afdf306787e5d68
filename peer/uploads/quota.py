"""How many bytes an address may fetch in a day. Pure; the time is an argument, and a day is one of local time.

This machine's own addresses are exempt. What is counted survives a restart by way of `kept` and `take_up`.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from common import errors
from common.http.addresses import is_loopback_host
from common.runtime.units import format_size

MOST_ADDRESSES = 50_000


class Quota:
    """`limit` bytes for each address and day, 0 for no limit. Addresses are as `Asker` has them."""

    def __init__(self, limit: int, is_exempt: Callable[[str], bool] = is_loopback_host) -> None:
        self.limit = limit
        self.is_exempt = is_exempt
        self.refused = 0
        self.is_changed = False
        self._day: date | None = None
        self._spent: dict[str, int] = {}

    def is_used_up(self, address: str, now: float) -> bool:
        """Whether the address gets nothing more today."""
        if not self.limit:
            return False
        self._begin_day(now)
        return self._spent.get(address, 0) >= self.limit

    def require(self, address: str, now: float) -> None:
        """Raises TooMany when nothing is left for today."""
        if self.is_used_up(address, now):
            self.refused += 1
            raise errors.TooMany(
                "quota_exceeded",
                f"Your address has had its {format_size(self.limit)} of today from this peer; come back after its "
                "midnight, or ask another source.",
                retry_after=seconds_to_midnight(now),
            )

    def spend(self, address: str, count: int, now: float) -> None:
        """Bytes have left for an address."""
        if not self.limit or self.is_exempt(address):
            return
        self._begin_day(now)
        self._spent[address] = self._spent.get(address, 0) + count
        self.is_changed = True
        if len(self._spent) > MOST_ADDRESSES:
            self._forget_the_modest()

    def kept(self) -> dict[str, Any]:
        """What is to be written down."""
        self.is_changed = False
        return {"day": self._day.isoformat() if self._day else "", "spent": dict(self._spent)}

    def take_up(self, kept: Any, now: float) -> None:
        """Goes on from what was written down, if it is of today. Raises ValueError for what is no such thing."""
        if not isinstance(kept, dict) or not isinstance(kept.get("spent"), dict):
            raise ValueError("it does not hold what was fetched")
        if kept.get("day") == _day_of(now).isoformat():
            self._begin_day(now)
            self._spent |= {str(address): int(count) for address, count in kept["spent"].items()}

    def _begin_day(self, now: float) -> None:
        today = _day_of(now)
        if today != self._day:
            self._day = today
            self._spent.clear()
            self.is_changed = True

    def _forget_the_modest(self) -> None:
        """Keeps the half that has fetched the most: whoever is near the limit is not forgotten."""
        most = sorted(self._spent.items(), key=lambda item: item[1], reverse=True)
        self._spent = dict(most[: MOST_ADDRESSES // 2])


def seconds_to_midnight(now: float) -> float:
    """Until the next day begins here; right on days that have 23 or 25 hours, too."""
    tomorrow = datetime.combine(_day_of(now) + timedelta(days=1), datetime.min.time())
    return tomorrow.timestamp() - now


def _day_of(now: float) -> date:
    return datetime.fromtimestamp(now).date()
