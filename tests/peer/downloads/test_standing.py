"""How a source stands: who is asked again, when, and what is held against it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.downloads.standing import (
    ENOUGH,
    KEPT,
    LONGEST_PAUSE,
    MOST_BAD,
    Patience,
    SourceTrouble,
    Standing,
    nobody_left,
)
from tests.support.sources import source

OUTCOMES = ["unreachable", "timeout", "broken", "slow", "busy", "refused", "corrupt"]


def standing(**patience: float) -> Standing:
    return Standing(source("http://127.0.0.1:2000/a", "a"), Patience(**patience))  # type: ignore[arg-type]


def trouble(outcome: str, retry_after: float | None = None) -> SourceTrouble:
    return SourceTrouble(outcome, f"was {outcome}", retry_after)


def test_who_fails_stands_back_for_longer_each_time_and_is_dropped_in_the_end() -> None:
    one, now = standing(attempts=3, pause=1.0), 100.0
    for pause in (1.0, 2.0):
        one.failed(trouble("timeout"), 0, now)
        assert not one.may_be_asked(now + pause - 0.01)
        now += pause
        assert one.may_be_asked(now)
    one.failed(trouble("timeout"), 0, now)
    assert one.dropped
    assert not one.may_be_asked(now + 1e9)


def test_requests_that_fail_together_count_once() -> None:
    one = standing(attempts=2, pause=1.0)
    for moment in (10.0, 10.0, 11.0, 12.0):
        one.failed(trouble("broken"), 0, moment, asked=5.0)
    assert not one.dropped
    one.failed(trouble("broken"), 0, 20.0, asked=15.0)
    assert one.dropped


def test_what_it_brought_makes_up_for_earlier_failures() -> None:
    one = standing(attempts=2)
    for _ in range(10):
        one.failed(trouble("broken"), ENOUGH, 0)
    assert not one.dropped
    one.failed(trouble("broken"), ENOUGH - 1, 0)
    assert one.dropped


def test_a_source_that_refuses_is_dropped_at_once_and_one_that_lies_soon() -> None:
    refusing, lying = standing(attempts=100), standing(attempts=100)
    refusing.failed(trouble("refused"), ENOUGH, 0)
    assert refusing.dropped
    for number in range(MOST_BAD):
        assert not lying.dropped
        lying.failed(trouble("corrupt"), ENOUGH, 0)
        assert lying.bad == number + 1
    assert lying.dropped
    assert lying.worst == "corrupt"


@pytest.mark.parametrize("outcome", ["busy", "slow"])
def test_one_that_is_busy_or_slow_is_never_dropped_for_it(outcome: str) -> None:
    one = standing(attempts=1)
    for _ in range(100):
        one.failed(trouble(outcome), 0, 0)
    assert not one.dropped


@pytest.mark.parametrize(("wished", "waits"), [(0.0, 0.1), (20.0, 20.0), (86400.0, LONGEST_PAUSE)])
def test_a_busy_source_is_asked_when_it_said_within_bounds(wished: float, waits: float) -> None:
    one = standing()
    one.failed(trouble("busy", wished), 0, 50)
    assert one.not_before == 50 + waits


def test_absence_is_forgiven_and_misbehaviour_is_not() -> None:
    for outcome, forgiven in [("timeout", True), ("unreachable", True), ("broken", True), ("refused", False)]:
        one = standing(attempts=1)
        one.failed(trouble(outcome), 0, 0)
        assert one.dropped
        one.forgive(10)
        assert one.may_be_asked(100) is forgiven


def test_what_it_was_dropped_for_is_remembered() -> None:
    one = standing()
    one.failed(trouble("refused"), 0, 0)
    one.failed(trouble("timeout"), 0, 0)
    one.succeeded()
    assert (one.dropped, one.worst) == (True, "refused")


@pytest.mark.parametrize("later", ["timeout", "broken", "busy"])
def test_one_dropped_for_lies_stays_so_whatever_its_other_requests_end_in(later: str) -> None:
    one = standing()
    for _ in range(MOST_BAD):
        one.failed(trouble("corrupt"), 0, 0)
    one.failed(trouble(later), 0, 0)
    one.succeeded()
    one.forgive(1000)
    assert one.dropped
    assert one.worst == "corrupt"


def test_success_restores_all_patience() -> None:
    one = standing(attempts=2)
    one.failed(trouble("timeout"), 0, 0)
    one.succeeded()
    one.failed(trouble("timeout"), 0, 0)
    assert not one.dropped
    assert one.worst == "timeout"


def test_its_rate_follows_what_it_brings() -> None:
    one = standing()
    one.gained(1000, 1.0)
    assert one.rate == 1000
    for _ in range(50):
        one.gained(4000, 2.0)
    assert math.isclose(one.rate, 2000, rel_tol=0.01)
    one.gained(0, 100.0)
    assert math.isclose(one.rate, 2000, rel_tol=0.01)
    assert one.busy_seconds == 201.0


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.none() | st.floats(0, 1e9), st.integers(0, 1 << 40))))
def test_a_pause_is_bounded_and_the_dropped_are_not_asked(troubles: list[tuple[str, float | None, int]]) -> None:
    one, now = standing(), 0.0
    for outcome, retry_after, gained in troubles:
        one.failed(trouble(outcome, retry_after), gained, now)
        assert one.not_before <= now + LONGEST_PAUSE
        assert not (one.dropped and one.may_be_asked(now + 1e6))
        now += 1.0


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], "no_source_online"),
        (["timeout", "unreachable"], "no_source_online"),
        (["busy"], "source_unavailable"),
        (["slow", "timeout"], "source_unavailable"),
        (["broken"], "source_unavailable"),
        (["refused", "timeout"], "source_unavailable"),
        (["corrupt"], "proof_failed"),
        (["corrupt", "refused"], "proof_failed"),
        (["corrupt", "timeout"], "no_source_online"),
        (["busy", "corrupt"], "source_unavailable"),
    ],
)
def test_how_all_failed_is_told_by_those_who_may_come_back(outcomes: list[str], code: str) -> None:
    for kept in (True, False):
        refusal = nobody_left([trouble(outcome) for outcome in outcomes], kept)
        assert refusal.code == code
        assert (KEPT in refusal.detail) is kept


@pytest.mark.parametrize("why", ["compressed its answer unasked.", "compressed its answer unasked"])
def test_what_went_wrong_is_told_in_whole_sentences(why: str) -> None:
    refusal = nobody_left([SourceTrouble("refused", why), trouble("timeout")], kept=False)
    assert refusal.detail.endswith("the last one compressed its answer unasked. Try again later.")
