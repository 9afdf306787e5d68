"""The line for an upload slot: who stands where, who may go, and who is forgotten. Pure."""

from peer.uploads.askers import Asker
from peer.uploads.waiting import GRACE, KEPT, LONGEST_WAIT, MOST, MOST_OF_ONE, PATIENCE, Waiting, wait_of


def who(number: int) -> Asker:
    return Asker(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")


def anybody(asker: Asker) -> bool:
    return True


def line_of(number: int, now: float = 0.0) -> Waiting:
    line = Waiting()
    for place in range(number):
        assert line.stand(who(place), 1.0, now)[0] == place + 1
    return line


def test_asking_again_keeps_the_place_and_nobody_has_two() -> None:
    line = line_of(3)
    assert [line.stand(who(place), 1.0, 1.0)[0] for place in (2, 0, 1)] == [3, 1, 2]
    assert len(line) == 3


def test_who_gets_a_slot_leaves_and_the_others_move_up() -> None:
    line = line_of(3)
    line.leave(who(0))
    line.leave(who(99))
    assert [line.stand(who(place), 1.0, 1.0)[0] for place in (1, 2)] == [1, 2]


def test_a_place_that_nobody_comes_back_for_vanishes() -> None:
    line = line_of(2)
    line.forget_absent(1.0 + PATIENCE)
    assert len(line) == 2
    line.forget_absent(1.1 + PATIENCE)
    assert line.stand(who(1), 1.0, 2.0 + PATIENCE)[0] == 1


def test_as_many_may_go_as_there_are_free_slots_in_their_order() -> None:
    line = line_of(4)
    assert line.offer(0, anybody, 1.0) == frozenset()
    assert line.offer(2, anybody, 1.0) == {who(0), who(1)}
    assert line.kept(1.0) == 2


def test_who_may_not_is_passed_over() -> None:
    line = line_of(3)
    assert line.offer(1, lambda asker: asker != who(0), 1.0) == {who(1)}
    assert line.stand(who(0), 1.0, 1.0)[0] == 1


def test_a_slot_is_kept_for_a_moment_only_and_the_place_longer() -> None:
    line = line_of(2)
    assert line.stand(who(0), 100.0, 0.0) == (1, 5.0)
    assert line.offer(1, anybody, 1.0) == {who(0)}
    assert line.offer(1, anybody, 5.0 + GRACE) == {who(0)}
    late = 1.0 + KEPT + GRACE + 0.1
    assert line.offer(1, anybody, late) == {who(0), who(1)}
    assert line.kept(late) == 1
    assert line.offer(0, anybody, late) == frozenset()
    assert line.offer(1, anybody, late) == {who(0)}  # a new slot, and a new moment


def test_an_address_has_a_few_places_and_all_together_have_many() -> None:
    line = Waiting()
    for number in range(MOST_OF_ONE):
        assert line.stand(Asker("10.0.0.1", str(number)), 1.0, 0.0)[0] == number + 1
    assert line.stand(Asker("10.0.0.1", "more"), 1.0, 0.0)[0] is None
    for number in range(MOST - MOST_OF_ONE):
        assert line.stand(who(1000 + number), 1.0, 0.0)[0] == MOST_OF_ONE + number + 1
    assert line.stand(who(9999), 1.0, 0.0) == (None, LONGEST_WAIT)
    assert line.stand(who(1000), 1.0, 0.0)[0] == MOST_OF_ONE + 1
    assert len(line) == MOST


def test_those_in_front_are_not_sent_far_away() -> None:
    assert [wait_of(1, 0.01), wait_of(1, 600.0), wait_of(3, 600.0), wait_of(100, 600.0)] == [
        1.0,
        5.0,
        15.0,
        LONGEST_WAIT,
    ]
    assert wait_of(10, 2.0) == 20.0
    assert [wait_of(1, None), wait_of(100, None)] == [5.0, 5.0]
