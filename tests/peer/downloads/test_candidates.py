"""Which source is asked next, and that it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Refusal
from peer.downloads.standing import ENOUGH, KEPT, Candidates, Patience, SourceTrouble
from tests.support.sources import source

A, B = source("http://127.0.0.1:2000/a", "a"), source("http://127.0.0.1:2000/b", "b")
OUTCOMES = ["unreachable", "timeout", "broken", "slow", "busy", "refused", "corrupt"]


def candidates(*sources: object, **patience: float) -> Candidates:
    return Candidates(sources, Patience(**patience))  # type: ignore[arg-type]


def code_of_the_end(these: Candidates, now: float) -> str:
    with pytest.raises(Refusal) as refused:
        these.pause(now)
    return refused.value.code


def test_the_order_given_is_the_order_of_preference() -> None:
    assert candidates(A, B).next(0) is A
    assert candidates(B, A).next(0) is B


def test_a_source_with_some_pieces_only_is_not_asked() -> None:
    assert candidates(source("http://127.0.0.1:2000/", complete=False), B).next(0) is B


def test_who_failed_stands_back_for_longer_each_time() -> None:
    these = candidates(A)
    for pause in (1.0, 2.0):
        these.failed(A, SourceTrouble("unreachable", ""), 0, now=0)
        assert these.next(0) is None
        assert these.pause(0) == pause
        assert these.next(pause) is A
    these.failed(A, SourceTrouble("unreachable", ""), 0, now=0)
    assert code_of_the_end(these, 0) == "no_source_online"


@pytest.mark.parametrize("outcome", ["refused", "corrupt"])
def test_who_misbehaves_is_not_asked_again(outcome: str) -> None:
    these = candidates(A)
    these.failed(A, SourceTrouble(outcome, "did wrong"), ENOUGH, now=0)
    assert these.next(1000) is None
    assert code_of_the_end(these, 1000) == {"refused": "source_unavailable", "corrupt": "proof_failed"}[outcome]


def test_a_busy_source_is_asked_when_it_said_and_not_for_ever() -> None:
    these = candidates(A, waiting=50)
    for _ in range(2):
        these.failed(A, SourceTrouble("busy", "", 20), 0, now=0)
        assert these.pause(0) == 20
        assert these.next(20) is A
    these.failed(A, SourceTrouble("busy", "", 20), 0, now=0)
    assert code_of_the_end(these, 0) == "source_unavailable"


def test_a_pause_has_an_upper_and_a_lower_bound() -> None:
    these = candidates(A)
    these.failed(A, SourceTrouble("busy", "", 86400), 0, now=0)
    assert these.pause(0) == 30
    these.failed(A, SourceTrouble("busy", "", 0), 0, now=0)
    assert 0 < these.pause(0) < 1


@pytest.mark.parametrize("why", ["compressed its answer unasked.", "compressed its answer unasked"])
def test_what_went_wrong_is_told_in_whole_sentences(why: str) -> None:
    these = candidates(A)
    these.failed(A, SourceTrouble("refused", why), 0, now=0)
    with pytest.raises(Refusal) as refused:
        these.pause(0)
    assert refused.value.detail.endswith("the last one compressed its answer unasked. Try again later.")


def test_a_source_that_broke_off_and_answers_no_more_is_nobody_online() -> None:
    these = candidates(A, B)
    these.failed(A, SourceTrouble("broken", "broke off"), 0, now=0)
    for source_away in (A, A, B, B, B):
        these.failed(source_away, SourceTrouble("unreachable", ""), 0, now=0)
    assert code_of_the_end(these, 0) == "no_source_online"


def test_a_source_that_breaks_off_and_still_answers_is_online() -> None:
    these = candidates(A, B)
    for outcome in ("unreachable", "broken", "broken"):
        these.failed(A, SourceTrouble(outcome, "broke off"), 0, now=0)
        these.failed(B, SourceTrouble("unreachable", ""), 0, now=0)
    assert code_of_the_end(these, 0) == "source_unavailable"


@pytest.mark.parametrize("outcome", ["unreachable", "busy", "refused"])
def test_what_came_is_said_to_be_kept_only_where_something_came(outcome: str) -> None:
    for kept in (True, False):
        these = candidates(A, attempts=1, waiting=0)
        these.failed(A, SourceTrouble(outcome, "did wrong"), 0, now=0)
        with pytest.raises(Refusal) as refused:
            these.pause(0, kept=kept)
        assert refused.value.detail.endswith(KEPT) is kept


def test_bytes_gained_restore_the_patience() -> None:
    these = candidates(A, attempts=2)
    for _ in range(10):
        these.failed(A, SourceTrouble("broken", "broke off"), ENOUGH, now=0)
    assert these.next(1) is A
    these.failed(A, SourceTrouble("broken", "broke off"), ENOUGH - 1, now=0)
    assert code_of_the_end(these, 1) == "source_unavailable"


def test_a_crawling_source_is_the_last_resort() -> None:
    these = candidates(A, B)
    assert these.has_other(A, 0)
    these.failed(A, SourceTrouble("slow", ""), 0, now=0)
    assert these.next(0) is B
    assert not these.has_other(B, 0)
    these.failed(B, SourceTrouble("refused", ""), 0, now=0)
    assert these.next(0) is A
    assert not these.has_other(A, 0)


def test_no_sources_is_nobody_online() -> None:
    assert code_of_the_end(candidates(), 0) == "no_source_online"


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.none() | st.floats(0, 1e6)), min_size=60, max_size=60))
def test_without_gain_it_ends_soon(troubles: list[tuple[str, float | None]]) -> None:
    these, now, waited = candidates(A, B), 0.0, 0.0
    trouble = iter(troubles)
    with pytest.raises((Refusal, StopIteration)):
        while True:
            asked = these.next(now)
            if asked is None:
                pause = these.pause(now)
                now, waited = now + pause, waited + pause
                assert waited <= 120
            else:
                outcome, retry_after = next(trouble)
                these.failed(asked, SourceTrouble(outcome, "", retry_after), 0, now)
