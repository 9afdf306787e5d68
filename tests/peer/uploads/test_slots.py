"""How many are served at one time, and what is counted. Pure."""

import pytest

from common.errors import Unavailable
from common.runtime.clock import ManualClock
from peer.uploads.slots import RATE_WINDOW, Slots


def slots(number: int) -> Slots:
    return Slots(number, ManualClock())


def test_when_all_are_taken_the_next_is_told_when_to_come_back() -> None:
    made = slots(2)
    with made.taken("10.0.0.1"), made.taken("10.0.0.2"):
        with pytest.raises(Unavailable, match="All 2 upload slots are taken") as refused, made.taken("10.0.0.3"):
            pass
        assert (refused.value.code, refused.value.retry_after) == ("too_many_requests", 5.0)
        assert (made.active, made.refused) == (2, 1)
    assert made.active == 0
    with made.taken("10.0.0.3"):
        pass


def test_one_address_leaves_half_of_them_to_others() -> None:
    made = slots(4)
    with made.taken("10.0.0.1"), made.taken("10.0.0.1"):
        with (
            pytest.raises(Unavailable, match="2 of 4 upload slots, the most that one may have"),
            made.taken("10.0.0.1"),
        ):
            pass
        with made.taken("10.0.0.2"):
            assert made.active == 3
    with made.taken("10.0.0.1"), made.taken("10.0.0.1"):
        assert made.active == 2


def test_a_single_slot_is_for_anybody() -> None:
    made = slots(1)
    with made.taken("10.0.0.1"):
        pass
    with made.taken("10.0.0.1"):
        assert made.active == 1


def test_a_slot_is_free_again_however_its_use_ends() -> None:
    made = slots(2)
    for _ in range(5):
        with pytest.raises(ConnectionResetError), made.taken("10.0.0.1"):
            raise ConnectionResetError
    assert (made.active, made._held) == (0, {})


def test_the_rate_is_that_of_the_last_window() -> None:
    clock = ManualClock()
    made = Slots(1, clock)
    made.sent(1000)
    assert (made.rate(), made.bytes) == (0, 1000)
    clock.advance(RATE_WINDOW)
    assert made.rate() == 1000 / RATE_WINDOW
    made.sent(10)
    assert made.rate() == 1000 / RATE_WINDOW
    clock.advance(2 * RATE_WINDOW)
    assert made.rate() == 10 // (2 * RATE_WINDOW)
    clock.advance(RATE_WINDOW)
    assert made.rate() == 0
