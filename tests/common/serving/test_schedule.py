"""The week's schedule: what counts when, and what is said about a line that is none."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.serving.schedule import InForce, Schedule, Unreadable, parse_line

MONDAY = datetime(2026, 11, 23)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def at(day: str, time: str) -> datetime:
    hour, minute, *second = map(int, time.split(":"))
    return MONDAY + timedelta(days=DAYS.index(day), hours=hour, minutes=minute, seconds=sum(second))


def both(rate: int) -> InForce:
    return InForce(rate, rate)


WORK = "Mon-Fri 08:00-18:00 1MB/s"


@pytest.mark.parametrize(
    ("line", "day", "time", "counts"),
    [
        (WORK, "Mon", "08:00", both(1_000_000)),
        (WORK, "Mon", "07:59:59", InForce()),
        (WORK, "Fri", "17:59:59", both(1_000_000)),
        (WORK, "Fri", "18:00", InForce()),
        (WORK, "Sat", "12:00", InForce()),
        ("Sat,Sun 00:00-24:00 up 500kB/s", "Sun", "23:59:59", InForce(upload=500_000)),
        ("Sat,Sun 00:00-24:00 up 500kB/s", "Mon", "00:00", InForce()),
        ("sun 00:00-24:00 DOWN 1MiB", "Sun", "00:00", InForce(download=1024 * 1024)),
        ("22:00-06:00 0", "Wed", "23:00", both(0)),
        ("22:00-06:00 0", "Mon", "05:59", both(0)),
        ("22:00-06:00 0", "Mon", "06:00", InForce()),
        ("Fri 22:00-06:00 7", "Sat", "05:00", both(7)),
        ("Fri 22:00-06:00 7", "Fri", "05:00", InForce()),
        ("Sun 22:00-06:00 7", "Mon", "05:00", both(7)),
        ("Sat-Mon 10:00-11:00 7", "Sun", "10:30", both(7)),
        ("Sat-Mon 10:00-11:00 7", "Tue", "10:30", InForce()),
        ("Mon,Wed-Thu 9:00-10:00 7", "Thu", "09:30", both(7)),
    ],
)
def test_a_line_counts_in_its_hours(line: str, day: str, time: str, counts: InForce) -> None:
    assert Schedule([line]).in_force(at(day, time)) == counts


def test_the_later_line_counts_where_they_overlap() -> None:
    schedule = Schedule([WORK, "12:00-13:00 up 0", "Wed 12:30-12:45 5"])
    assert schedule.in_force(at("Tue", "12:30")) == InForce(0, 1_000_000)
    assert schedule.in_force(at("Wed", "12:30")) == both(5)
    assert schedule.in_force(at("Sat", "12:30")) == InForce(upload=0)


def test_it_says_when_something_else_counts() -> None:
    schedule = Schedule([WORK, "12:00-13:00 1000000"])
    assert schedule.next_change(at("Mon", "07:00")) == at("Mon", "08:00")
    assert schedule.next_change(at("Mon", "08:00")) == at("Mon", "18:00")  # at noon nothing changes
    assert schedule.next_change(at("Fri", "18:00")) == at("Sat", "12:00")
    assert schedule.next_change(at("Sun", "13:00")) == at("Mon", "08:00") + timedelta(days=7)


@pytest.mark.parametrize("lines", [[], ["00:00-24:00 5"], ["12:00-13:00 5", "00:00-24:00 7"]])
def test_where_nothing_ever_changes_it_says_so(lines: list[str]) -> None:
    assert Schedule(lines).next_change(at("Wed", "12:34:56")) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "other parts"),
        ("08:00-18:00", "other parts"),
        ("Mon 08:00-18:00 up 1MB/s please", "other parts"),
        ("Mon 08:00-18:00 sideways 1MB/s", "neither up nor down"),
        ("Mo 08:00-18:00 1MB/s", "'mo' is no day"),
        ("Mon- 08:00-18:00 1MB/s", "'' is no day"),
        ("Mon,, 08:00-18:00 1MB/s", "'' is no day"),
        ("Mon 8-18 1MB/s", "'8-18' are no hours"),
        ("Mon 08:00-24:01 1MB/s", "no hours of a day"),
        ("Mon 24:00-06:00 1MB/s", "no hours of a day"),
        ("Mon 08:60-09:00 1MB/s", "no hours of a day"),
        ("Mon 08:00-08:00 1MB/s", "do not last"),
        ("Mon 08:00-18:00 fast", "a rate such as"),
        ("Mon 08:00-18:00 -1", "a rate such as"),
        ("x" * 500, "other parts"),
    ],
)
def test_a_line_that_is_none_is_told_with_its_reason(line: str, why: str) -> None:
    with pytest.raises(Unreadable) as told:
        parse_line(line)
    assert why in str(told.value)
    assert line[:40] in str(told.value)
    assert "Mon-Fri 08:00-18:00 1MB/s" in str(told.value)
    assert len(str(told.value)) < 400


LINES = st.builds(
    "{0} {1:02}:{2:02}-{3:02}:{4:02} {5}".format,
    st.sampled_from(["", "Mon", "Sat-Tue", "Wed,Sun"]),
    st.integers(0, 23),
    st.sampled_from([0, 30]),
    st.integers(0, 23),
    st.sampled_from([15, 45]),
    st.sampled_from(["0", "5", "up 7", "down 9"]),
)


@given(st.lists(LINES, max_size=5), st.integers(0, 7 * 24 * 60 * 60 - 1))
def test_between_now_and_the_next_change_the_same_counts(lines: list[str], second: int) -> None:
    schedule, now = Schedule(lines), MONDAY + timedelta(seconds=second)
    change = schedule.next_change(now)
    until = change or now + timedelta(days=7)
    assert now < until <= now + timedelta(days=7)
    for part in range(1, 20):
        assert schedule.in_force(now + (until - now) * part / 20) == schedule.in_force(now)
    if change is not None:
        assert schedule.in_force(change) != schedule.in_force(now)
