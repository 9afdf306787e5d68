"""When a file counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.shares.settling import settles_in

NOW = 1_700_000_000.0


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


@pytest.mark.parametrize(
    ("changed", "seen_for", "expected"),
    [
        (NOW - 100, 0.0, 0.0),  # long ago
        (NOW - 0.5, 0.0, 0.0),  # just long enough ago
        (NOW - 0.2, 0.0, 0.3),  # recent: the rest of the time
        (NOW - 0.2, 0.4, 0.1),  # recent, and we have watched it for longer
        (NOW - 0.2, 0.5, 0.0),
        (NOW, 0.0, 0.5),
        (NOW + 1000, 0.0, 0.5),  # in the future: only watching tells
        (NOW + 1000, 0.3, 0.2),
        (NOW + 1000, 0.5, 0.0),
        (-1e9, 0.0, 0.0),  # before 1970
    ],
)
def test_the_rule(changed: float, seen_for: float, expected: float) -> None:
    assert settles_in(ns(changed), NOW, 0.5, seen_for) == pytest.approx(expected, abs=1e-6)


def test_without_a_time_to_settle_everything_counts() -> None:
    assert settles_in(ns(NOW + 5), NOW, 0.0, 0.0) == 0


@given(st.floats(-1e9, 1e9), st.floats(0, 1e6), st.floats(0, 100))
def test_nothing_waits_longer_than_the_time_to_settle(age: float, seen_for: float, settle: float) -> None:
    assert 0 <= settles_in(ns(NOW - age), NOW, settle, seen_for) <= settle


@given(st.floats(-1e6, 1e6), st.floats(0.001, 100))
def test_what_was_watched_for_that_long_counts_whatever_its_time_says(age: float, settle: float) -> None:
    assert settles_in(ns(NOW - age), NOW, settle, settle) == 0
