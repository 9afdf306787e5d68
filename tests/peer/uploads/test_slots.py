"""How many are served at one time, and what is counted. Pure."""

import pytest

from common.errors import Unavailable
from common.runtime.clock import ManualClock
from peer.uploads.askers import Asker, asker
from peer.uploads.slots import LINGER, RATE_WINDOW, TENURE, Slots
from peer.uploads.waiting import LONGEST_WAIT

ONE, OTHER, THIRD = asker("10.0.0.1"), asker("10.0.0.2"), asker("10.0.0.3")


def slots(number: int) -> Slots:
    return Slots(number, ManualClock())


def refusal(made: Slots, who: Asker) -> Unavailable:
    with pytest.raises(Unavailable) as refused, made.taken(who):
        pass
    return refused.value


def is_served(made: Slots, who: Asker, is_part: bool = False) -> bool:
    """Whether who asks has a slot, for no time at all."""
    try:
        with made.taken(who, is_part):
            return True
    except Unavailable:
        return False


def test_when_all_are_taken_the_next_is_told_when_to_come_back() -> None:
    made = slots(2)
    with made.taken(ONE), made.taken(OTHER):
        with pytest.raises(Unavailable, match="All 2 upload slots are taken") as refused, made.taken(THIRD):
            pass
        assert (refused.value.code, refused.value.retry_after) == ("too_many_requests", 5.0)
        assert (made.active, made.refused) == (2, 1)
    assert made.active == 0
    with made.taken(THIRD):
        pass


def test_one_address_leaves_half_of_them_to_others() -> None:
    made = slots(4)
    with made.taken(ONE), made.taken(ONE):
        with (
            pytest.raises(Unavailable, match="your address may have, which is 2 of 4 upload slots"),
            made.taken(ONE),
        ):
            pass
        with made.taken(OTHER):
            assert made.active == 3
        with pytest.raises(Unavailable), made.taken(ONE):
            pass
    with made.taken(ONE), made.taken(ONE):
        assert made.active == 2


def test_a_single_slot_is_for_anybody() -> None:
    made = slots(1)
    with made.taken(ONE):
        pass
    with made.taken(ONE):
        assert made.active == 1


def test_a_slot_is_free_again_however_its_use_ends() -> None:
    made = slots(2)
    for _ in range(5):
        with pytest.raises(ConnectionResetError), made.taken(ONE):
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


def test_who_is_refused_has_a_place_in_the_line_and_keeps_it() -> None:
    clock = ManualClock()
    made = Slots(2, clock)
    with made.taken(ONE), made.taken(OTHER):
        first, second = asker("10.0.0.8"), asker("10.0.0.9")
        assert [refusal(made, who).extra["place"] for who in (first, second, first, second)] == [1, 2, 1, 2]
    assert not is_served(made, second) or is_served(made, first)  # two are free, one for each
    assert is_served(made, first)
    assert len(made.waiting) == 0


def test_a_free_slot_is_for_who_is_first_in_the_line_and_after_a_moment_for_anybody() -> None:
    clock = ManualClock()
    made = Slots(2, clock)
    with made.taken(ONE):
        with made.taken(OTHER):
            told = refusal(made, THIRD)
            assert told.retry_after is not None
        clock.advance(told.retry_after)
        assert not is_served(made, asker("10.0.0.9"))
        assert is_served(made, THIRD)
        clock.advance(LONGEST_WAIT)
        with made.taken(OTHER):
            told = refusal(made, THIRD)
            assert told.retry_after is not None
        assert not is_served(made, OTHER)
        clock.advance(told.retry_after + 1.1)
        assert is_served(made, OTHER)


def test_who_shares_an_address_with_others_has_an_equal_part_of_what_it_may_have() -> None:
    made = slots(8)
    names = [asker("127.0.0.1", name) for name in ("a", "b", "c")]
    with made.taken(names[0]), made.taken(names[0]), made.taken(names[1]):
        assert is_served(made, names[0])
        with made.taken(names[0]):
            assert not is_served(made, names[2])  # a fifth for the address
            assert is_served(made, ONE)
        assert not is_served(made, names[0])  # it has its part, and another waits
        assert is_served(made, names[2])


def test_names_do_not_gain_an_address_more() -> None:
    made = slots(4)
    with made.taken(asker("10.0.0.1", "a")), made.taken(asker("10.0.0.1", "b")):
        assert not any(is_served(made, asker("10.0.0.1", name)) for name in "abcdefgh")
        assert is_served(made, OTHER)


def test_who_fetches_part_by_part_keeps_its_slot_between_them_though_others_wait() -> None:
    clock = ManualClock()
    made = Slots(2, clock)
    with made.taken(OTHER):
        with made.taken(ONE, is_part=True):
            assert not is_served(made, THIRD)
        clock.advance(LINGER / 2)
        assert not is_served(made, THIRD)
        assert is_served(made, ONE, is_part=True)
        clock.advance(LINGER * 1.1)
        assert is_served(made, THIRD)


def test_after_its_time_the_slot_of_who_fetches_part_by_part_goes_to_who_waits() -> None:
    clock = ManualClock()
    made = Slots(2, clock)
    with made.taken(OTHER):
        with made.taken(ONE, is_part=True):
            assert not is_served(made, THIRD)
            clock.advance(TENURE)
            assert not is_served(made, THIRD)
        assert refusal(made, ONE).extra["place"] == 2
        assert is_served(made, THIRD)
        assert is_served(made, ONE)


def test_while_nobody_waits_a_slot_is_kept_as_long_as_its_parts_follow_one_another() -> None:
    clock = ManualClock()
    made = Slots(2, clock)
    with made.taken(OTHER):
        for _ in range(200):
            assert is_served(made, ONE, is_part=True)
            clock.advance(LINGER)


def test_what_a_limit_leaves_over_is_for_a_few_more() -> None:
    spare = True
    made = Slots(4, ManualClock(), lambda now: spare)
    with made.taken(ONE), made.taken(ONE), made.taken(ONE), made.taken(OTHER), made.taken(OTHER), made.taken(THIRD):
        assert not is_served(made, THIRD)
    with made.taken(ONE), made.taken(ONE), made.taken(OTHER), made.taken(OTHER):
        assert is_served(made, THIRD)
        spare = False
        assert not is_served(made, THIRD)


def test_when_to_come_back_follows_from_how_fast_slots_fall_free() -> None:
    clock = ManualClock()
    made = Slots(2, clock)
    for _ in range(20):
        with made.taken(ONE), made.taken(OTHER):
            clock.advance(4.0)
    with made.taken(ONE), made.taken(OTHER):
        waits = [refusal(made, asker(f"10.1.0.{number}")).retry_after for number in range(3)]
    assert waits == [pytest.approx(2.0, rel=0.2), pytest.approx(4.0, rel=0.2), pytest.approx(6.0, rel=0.2)]


def test_a_slot_resumed_by_another_name_is_not_its_own() -> None:
    made = slots(2)
    with made.taken(OTHER):
        assert is_served(made, asker("10.0.0.1", "a"), is_part=True)
        assert not is_served(made, asker("10.0.0.1", "b"))
        assert is_served(made, asker("10.0.0.1", "a"))
