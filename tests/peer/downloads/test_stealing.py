"""What is taken from the slow for the sake of the fast, and what is not."""

import random

import pytest

from common.content.grid import SMALLEST_PIECE, Grid
from peer.downloads.plan import Plan
from peer.downloads.requests import Ask, Cancel, Request, Trim
from peer.downloads.standing import Patience, SourceTrouble, Standing
from peer.downloads.stealing import STALE_HEAD, for_the_idle, too_slow
from tests.support.sources import source

PIECE = SMALLEST_PIECE


def two(count: int = 8, rate: float = 0.0) -> tuple[Plan, Standing, Standing, Request]:
    """A slow source that has been asked for all pieces, and another one, which has brought `rate` bytes a second."""
    plan = Plan(Grid.of(count * PIECE), Patience(), random.Random(1))
    slow = plan.add(source("http://127.0.0.1:2000/slow", "slow"))
    fast = plan.add(source("http://127.0.0.1:2000/fast", "fast"))
    fast.rate = rate
    request = Request(slow, 0.0, 0, count - 1, 0)
    plan.requests.append(request)
    slow.requests = 1
    plan.busy = request.pieces()
    return plan, slow, fast, request


def begun(plan: Plan, request: Request, received: int, now: float = 0.0) -> None:
    plan.answered(request, now)
    plan.received(request, received)


def test_who_has_nothing_to_do_takes_the_tail_in_proportion_to_its_speed() -> None:
    plan, _, _, request = two(rate=3 * PIECE)
    begun(plan, request, PIECE // 2)
    (trim,) = [order for order in for_the_idle(plan, 0.5) if isinstance(order, Trim)]
    assert trim.request is request
    assert trim.last == 1, "of seven more pieces the source that is three times slower keeps one"


def test_nothing_is_taken_while_there_are_free_pieces_or_the_rest_is_short() -> None:
    plan, _, _, request = two(rate=3 * PIECE)
    begun(plan, request, PIECE // 2)
    plan.trimmed(request, 6)
    assert not list(for_the_idle(plan, 0.5))
    plan, _, _, request = two(rate=3 * PIECE)
    begun(plan, request, 7 * PIECE)
    request.at = 7
    assert not list(for_the_idle(plan, 0.1))


def test_a_single_piece_changes_hands_only_to_who_is_much_faster() -> None:
    for rate, taken in [(20 * PIECE, True), (PIECE / 60, False)]:
        plan, _, fast, request = two(count=1, rate=rate)
        begun(plan, request, PIECE // 100)
        orders = list(for_the_idle(plan, 1.0))
        assert [type(order) for order in orders] == ([Cancel] if taken else [])
        assert (request.heir is fast) is taken


def test_what_was_taken_goes_to_whom_it_was_taken_for_and_only_once_it_was_let_go_of() -> None:
    plan, _, fast, request = two(count=1, rate=20 * PIECE)
    begun(plan, request, PIECE // 100)
    assert [type(order) for order in plan.step(1.0)] == [Cancel]
    assert plan.step(1.1) == []
    plan.ended(request, None, 1.2)
    (ask,) = plan.step(1.2)
    assert isinstance(ask, Ask)
    assert ask.request.standing is fast


def test_nothing_is_taken_twice() -> None:
    plan, _, _, request = two(count=1, rate=20 * PIECE)
    begun(plan, request, PIECE // 100)
    assert list(for_the_idle(plan, 1.0))
    assert not list(for_the_idle(plan, 1.0))


def test_a_thief_takes_only_what_it_has() -> None:
    plan, _, fast, request = two(rate=3 * PIECE)
    begun(plan, request, PIECE // 2)
    fast.have = 0b1
    assert not list(for_the_idle(plan, 0.5))
    fast.have = 0
    assert not list(for_the_idle(plan, 0.5))


def test_who_is_hopelessly_slower_loses_its_request_with_a_word() -> None:
    plan, slow, _, request = two(rate=1e9)
    begun(plan, request, 1000)
    (cancel,) = too_slow(plan, 3.0)
    assert isinstance(cancel, Cancel)
    assert isinstance(cancel.why, SourceTrouble)
    assert cancel.why.outcome == "slow"
    plan.ended(request, cancel.why, 3.0)
    assert not slow.dropped
    assert not list(too_slow(plan, 4.0))


@pytest.mark.parametrize("why", ["too early", "not so much slower", "nobody else", "nobody else has it", "others busy"])
def test_who_is_slow_is_borne_where_nothing_is_gained(why: str) -> None:
    plan, _, fast, request = two(rate=1e9)
    begun(plan, request, 1000)
    now = 3.0
    if why == "too early":
        now = 1.0
    elif why == "not so much slower":
        fast.rate = 10 * request.speed(now)
    elif why == "nobody else":
        fast.dropped = True
    elif why == "nobody else has it":
        fast.have = 0b1
    else:
        fast.not_before = 100.0
    assert not list(too_slow(plan, now))


def test_one_that_never_begins_its_answer_counts_as_slow() -> None:
    plan, _, _, request = two(rate=1e9)
    assert not list(too_slow(plan, STALE_HEAD - 0.1))
    assert [order.request for order in too_slow(plan, STALE_HEAD)] == [request]


def test_a_request_whose_piece_the_source_is_still_to_choose_is_left_alone() -> None:
    plan, slow, _, request = two(rate=1e9)
    plan.requests.remove(request)
    waiting = Request(slow, 0.0, -1, -1, -1)
    plan.requests.append(waiting)
    plan.busy = 0
    assert not list(too_slow(plan, 100.0))
    plan.proven = 0b01111111
    plan.busy = 0b10000000
    assert not list(for_the_idle(plan, 100.0))
