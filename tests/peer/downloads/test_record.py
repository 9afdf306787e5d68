"""What becomes of a download that ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import errors
from peer.downloads.record import FIRST_PAUSE, FOR_GOOD, LONGEST_PAUSE, NO_SPACE_PAUSE, after


def refusal(code: str) -> errors.Refusal:
    return errors.Unavailable(code, "")


@pytest.mark.parametrize("code", sorted(FOR_GOOD))
def test_what_will_not_get_better_has_failed(code: str) -> None:
    assert after(refusal(code), 1) == ("failed", 0.0)


def test_what_may_get_better_is_tried_again_later_each_time() -> None:
    pauses = [after(refusal("no_source_online"), failures)[1] for failures in range(1, 12)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_a_full_disk_is_looked_at_again_soon_however_long_it_has_been_full() -> None:
    for failures in (1, 100):
        assert after(errors.NoSpace("disk_full", ""), failures) == ("stalled", NO_SPACE_PAUSE)


@given(st.integers(0, 10**9))
def test_however_often_it_failed_there_is_an_answer(failures: int) -> None:
    state, pause = after(refusal("source_unavailable"), failures)
    assert state == "stalled"
    assert FIRST_PAUSE <= pause <= LONGEST_PAUSE
