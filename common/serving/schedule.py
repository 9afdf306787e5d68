"""A week's hours and the limits in force while they last. Pure; the local time is an argument.

A line is `[DAYS] HOURS [up|down] RATE`: `Mon-Fri 08:00-18:00 1MB/s`, `Sat,Sun 00:00-24:00 up 500kB/s`, `22:00-06:00 0`.
Without days it is every day; hours may go over midnight, and then belong to the day on which they begin. 0 is no limit.
Where lines overlap, the later one counts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.runtime.units import parse_rate

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60  # minutes
WEEK = 7 * DAY
EXAMPLE = "Mon-Fri 08:00-18:00 1MB/s"
_HOURS = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", re.ASCII)


class Unreadable(ValueError):
    """A line that is none; the text says which, what is wrong with it, and what to write."""


@dataclass(frozen=True, slots=True)
class Hours:
    """One line. Minutes since midnight, `stop` beyond 24 hours where it goes over midnight; None: nothing is said."""

    line: str
    days: frozenset[int]
    start: int
    stop: int
    upload: int | None
    download: int | None

    def cover(self, minute: float) -> bool:
        """Whether they last at this minute of the week."""
        return any((minute - day * DAY - self.start) % WEEK < self.stop - self.start for day in self.days)

    def edges(self) -> Iterable[int]:
        """The minutes of the week at which they begin and end."""
        for day in self.days:
            yield (day * DAY + self.start) % WEEK
            yield (day * DAY + self.stop) % WEEK


@dataclass(frozen=True, slots=True)
class InForce:
    """Bytes a second that the schedule demands now; None where it says nothing."""

    upload: int | None = None
    download: int | None = None


class Schedule:
    """All lines. Raises Unreadable."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.hours = tuple(parse_line(line) for line in lines)
        self._edges = sorted({edge for hours in self.hours for edge in hours.edges()})

    def in_force(self, local: datetime) -> InForce:
        """What counts at a moment of local time."""
        return self._at(_minute_of_week(local))

    def next_change(self, local: datetime) -> datetime | None:
        """The next moment of local time at which something else counts; None: never."""
        now = _minute_of_week(local)
        counts = self._at(now)
        monday = datetime.combine(local.date(), datetime.min.time()) - timedelta(days=local.weekday())
        later = [edge for edge in self._edges if edge > now] + [edge + WEEK for edge in self._edges if edge <= now]
        changes = (edge for edge in later if self._at(edge % WEEK) != counts)
        first = next(changes, None)
        return None if first is None else monday + timedelta(minutes=first)

    def _at(self, minute: float) -> InForce:
        upload = download = None
        for hours in self.hours:
            if hours.cover(minute):
                upload = upload if hours.upload is None else hours.upload
                download = download if hours.download is None else hours.download
        return InForce(upload, download)


def parse_line(line: str) -> Hours:
    """Raises Unreadable."""
    words = line.split()
    days, words = (words[0], words[1:]) if words and ":" not in words[0] else ("Mon-Sun", words)
    if len(words) not in (2, 3):
        raise _unreadable(line, "it has other parts than days, hours and a rate")
    direction = words[1].lower() if len(words) == 3 else "both"
    if direction not in ("up", "down", "both"):
        raise _unreadable(line, f"{words[1]!r} is neither up nor down")
    try:
        start, stop = _hours(words[0])
        rate = parse_rate(words[-1])
        named = frozenset(day for part in days.split(",") for day in _days(part))
    except ValueError as error:
        raise _unreadable(line, str(error)) from None
    return Hours(line, named, start, stop, rate if direction != "down" else None, rate if direction != "up" else None)


def _days(part: str) -> Iterable[int]:
    first, dash, last = part.lower().partition("-")
    for day in (first, last) if dash else (first,):
        if day not in DAYS:
            raise ValueError(f"{day!r} is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return ((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _hours(word: str) -> tuple[int, int]:
    match = _HOURS.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} are no hours: write 08:00-18:00")
    start_hour, start_minute, stop_hour, stop_minute = map(int, match.groups())
    start, stop = start_hour * 60 + start_minute, stop_hour * 60 + stop_minute
    if start >= DAY or stop > DAY or start_minute > 59 or stop_minute > 59:
        raise ValueError(f"{word!r} are no hours of a day, which go from 00:00 to 24:00")
    if start == stop:
        raise ValueError(f"{word!r} do not last: the whole day is 00:00-24:00")
    return start, stop if stop > start else stop + DAY


def _minute_of_week(local: datetime) -> float:
    return local.weekday() * DAY + local.hour * 60 + local.minute + (local.second + local.microsecond / 1e6) / 60


def _unreadable(line: str, why: str) -> Unreadable:
    shown = repr(line) if len(line) <= 60 else f"{line[:57]!r}…"
    return Unreadable(f"the line {shown} of the schedule cannot be read, {why}; an example is {EXAMPLE!r}")
