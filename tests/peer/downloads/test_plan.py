"""Who is asked for what. The invariants at the head of the plan are asserted after whatever happens, in any order."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from common.content.grid import SMALLEST_PIECE, Grid
from common.content.pieces import all_of, members, set_of
from common.wire.files import Source
from peer.downloads.plan import CROWD_SHARE, LANES, LONGEST_RUN, MOST_REQUESTS, Plan
from peer.downloads.requests import Ask, Cancel, Order, Request, Trim
from peer.downloads.standing import MOST_BAD, Patience, SourceTrouble
from tests.support.sources import source

PIECE = SMALLEST_PIECE


def named(name: str, complete: bool = True) -> Source:
    return source(f"http://127.0.0.1:2000/{name}", name, complete)


def plan(count: int = 40, sequential: bool = False, alone: bool = False, proven: int = 0) -> Plan:
    return Plan(Grid.of(count * PIECE), Patience(), random.Random(1), sequential, alone, proven)


def asked(orders: list[Order]) -> list[Request]:
    return [order.request for order in orders if isinstance(order, Ask)]


def pieces_of(requests: list[Request]) -> list[int]:
    return [piece for request in requests for piece in members(request.pieces())]


def finish(made: Plan, request: Request, now: float, seconds: float = 0.1) -> None:
    made.answered(request, now)
    for piece in range(request.first, request.last + 1):
        made.received(request, request.received + made.grid.span(piece).length)
        made.prove(request, piece)
    made.ended(request, None, now + seconds)


def test_one_whole_source_is_asked_from_the_front_by_several_requests_at_a_time() -> None:
    made = plan()
    made.add(named("a"))
    requests = asked(made.step(0))
    assert 2 <= len(requests) <= LANES
    found = pieces_of(requests)
    assert found == list(range(len(found)))


def test_several_share_the_work_and_none_is_asked_for_a_piece_twice() -> None:
    made = plan(100)
    for name in "abc":
        made.add(named(name))
    requests = asked(made.step(0))
    assert {request.standing.source.peer_id for request in requests} == set("abc")
    found = pieces_of(requests)
    assert len(found) == len(set(found))


def test_who_has_sent_a_bad_piece_keeps_one_request_and_gets_no_more() -> None:
    made = plan(100)
    made.add(named("a"))
    first, *others = asked(made.step(0))
    made.ended(first, SourceTrouble("corrupt", ""), 0.1)
    orders = made.step(0.2)
    assert [order.request for order in orders if isinstance(order, Cancel)] == others[1:]
    assert not asked(orders)
    for request in others[1:]:
        made.ended(request, None, 0.3)
    assert not asked(made.step(0.4)) and made.requests == others[:1]


def test_all_is_fetched_and_then_nothing_more_is_asked() -> None:
    made, now = plan(100), 0.0
    made.add(named("a"))
    found: list[int] = []
    while not made.is_done:
        for request in asked(made.step(now)):
            found += members(request.pieces())
        finish(made, made.requests[0], now)
        now += 0.1
    assert sorted(found) == list(range(100))
    assert made.step(now) == []


def test_runs_grow_with_what_a_source_brings_and_are_bounded() -> None:
    made = plan(2000)
    made.add(named("a"))
    now, longest = 0.0, 0
    while not made.is_done:
        made.step(now)
        longest = max([longest, *(request.last - request.first + 1 for request in made.requests)])
        finish(made, made.requests[0], now, seconds=0.001)
        now += 0.1
    assert longest == LONGEST_RUN // PIECE


def test_what_was_proven_before_is_never_asked_for() -> None:
    had = set_of([0, 1, 5, 39])
    made = plan(proven=had)
    made.add(named("a"))
    for _ in range(30):
        made.step(0)
        if made.requests:
            finish(made, made.requests[0], 0)
    assert made.is_done
    assert made.standings[named("a").url].verified == 36 * PIECE


def test_a_source_without_proof_is_asked_alone_for_everything_in_one_go() -> None:
    made = plan(alone=True)
    made.add(named("a"))
    made.add(named("b"))
    (request,) = asked(made.step(0))
    assert (request.first, request.last) == (0, 39)
    assert asked(made.step(1)) == []


def test_for_who_watches_it_comes_strictly_in_order_even_from_a_crowd() -> None:
    made = plan(sequential=True)
    made.add(named("whole"))
    made.add(named("part", complete=False), all_of(40))
    found = pieces_of(asked(made.step(0)))
    assert sorted(found) == list(range(len(found)))


def test_next_to_a_crowd_who_has_everything_chooses_and_the_others_are_asked_for_what_is_rare() -> None:
    made = plan(4)
    made.add(named("whole"))
    for name, have in [("a", 0b0111), ("b", 0b0011), ("c", 0b0011)]:
        made.add(named(name, complete=False), have)
    requests = asked(made.step(0))
    by = {request.standing.source.peer_id: request for request in requests}
    assert by["whole"].is_open
    assert by["a"].first == 2
    assert len({r.first for r in requests if not r.is_open}) == sum(not r.is_open for r in requests)


def test_a_chosen_piece_that_is_not_wanted_is_not_taken() -> None:
    made = plan(4, proven=0b0001)
    made.add(named("whole"))
    made.add(named("part", complete=False), 0b0010)
    requests = asked(made.step(0))
    busy = next(request.first for request in requests if not request.is_open)
    first, second = [request for request in requests if request.is_open][:2]
    for unwanted in (-1, 0, busy):
        assert not made.answered(first, 1.0, unwanted)
        assert first.is_open
    free = next(members(made.free))
    assert made.answered(first, 1.0, free)
    assert not made.answered(second, 1.0, free)
    made.ended(second, None, 1.0)
    assert made.busy >> free & 1, "it is fetched by the first alone"


def test_one_that_chooses_nothing_more_is_asked_for_pieces_like_others() -> None:
    made = plan(4)
    standing = made.add(named("whole"))
    made.add(named("part", complete=False), 0)
    assert asked(made.step(0))[0].is_open
    standing.gives_next = False
    for request in list(made.requests):
        made.ended(request, None, 0)
    assert not any(request.is_open for request in asked(made.step(0)))


def test_a_long_run_is_cut_short_when_a_crowd_comes() -> None:
    made = plan(100)
    made.add(named("whole"))
    made.step(0)
    made.add(named("part", complete=False), 0)
    trims = [order for order in made.step(0) if isinstance(order, Trim)]
    assert {order.request.standing.source.peer_id for order in trims} == {"whole"}
    assert all(order.last == order.request.at for order in trims)


def test_news_of_pieces_brings_requests_for_them() -> None:
    made = plan(4)
    part = named("part", complete=False)
    made.add(part, 0)
    assert made.step(0) == []
    made.news(part.url, 0b0100)
    assert pieces_of(asked(made.step(0))) == [2]
    made.news("http://unknown/", 0b1)


def test_one_that_is_removed_loses_its_requests_and_its_pieces_are_free_once_they_ended() -> None:
    made = plan()
    made.add(named("a"))
    requests = asked(made.step(0))
    orders = made.remove(named("a").url)
    assert {order.request for order in orders if isinstance(order, Cancel)} == set(requests)
    assert not made.free & requests[0].pieces()
    for request in requests:
        made.ended(request, None, 0)
    assert made.free == all_of(40)
    assert made.remove("http://unknown/") == []


def test_one_that_is_dropped_loses_its_other_requests() -> None:
    made = plan()
    made.add(named("a"))
    requests = asked(made.step(0))
    for request in requests[:MOST_BAD]:
        made.ended(request, SourceTrouble("corrupt", ""), 0)
    orders = made.step(0)
    assert {order.request for order in orders if isinstance(order, Cancel)} == set(requests[MOST_BAD:])
    assert not asked(orders)


def test_when_all_is_there_what_still_runs_is_broken_off_once() -> None:
    made = plan(4)
    made.add(named("a"))
    requests = asked(made.step(0))
    for piece in range(4):
        made.prove(requests[0], piece)
    assert {type(order) for order in made.step(0)} == {Cancel}
    assert made.step(0) == []


ACTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1 << 16)), max_size=120)


@settings(max_examples=60, deadline=None)
@given(ACTS, st.booleans(), st.booleans(), st.integers(1, 40))
def test_whatever_happens_the_invariants_hold(
    acts: list[tuple[int, int]], sequential: bool, alone: bool, count: int
) -> None:
    made, now, names = plan(count, sequential, alone), 0.0, [named(f"s{n}", n % 2 == 0) for n in range(6)]
    for act, number in acts:
        now += 0.3
        do(made, act, number, now, names)
        for order in made.step(now):
            if isinstance(order, Trim):
                made.trimmed(order.request, max(order.last, order.request.at))
        check(made, now)


def do(made: Plan, act: int, number: int, now: float, names: list[Source]) -> None:
    """One thing that may happen."""
    chosen = names[number % len(names)]
    request = made.requests[number % len(made.requests)] if made.requests else None
    if act <= 1:
        made.add(chosen, None if chosen.complete else number & all_of(made.grid.count))
    elif act == 2:
        made.remove(chosen.url)
    elif act == 3 and not chosen.complete:
        made.news(chosen.url, number & all_of(made.grid.count))
    elif request is not None and act == 4 and request.begun is None:
        made.answered(request, now, number % made.grid.count)
    elif request is not None and act in (5, 6, 7) and request.begun is not None and not request.is_open:
        made.received(request, request.received + made.grid.span(request.at).length)
        made.prove(request, request.at)
        if request.at > request.last:
            made.ended(request, None, now)
    elif request is not None and act == 8:
        made.ended(request, SourceTrouble(["timeout", "busy", "slow", "corrupt"][number % 4], ""), now)
    elif request is not None and act == 9:
        made.ended(request, None, now)


def check(made: Plan, now: float) -> None:
    taken = 0
    for request in made.requests:
        pieces = request.pieces()
        assert not pieces & taken, "a piece is asked for by two"
        assert not pieces & made.proven, "a proven piece is asked for"
        assert not pieces & ~made.busy
        taken |= pieces
    assert made.busy == taken
    assert len(made.requests) <= MOST_REQUESTS
    for standing in made.standings.values():
        own = [request for request in made.requests if request.standing is standing]
        assert standing.requests == len(own) <= max(LANES, CROWD_SHARE)
        assert not any(request.pieces() & ~standing.have for request in own)
        if made.alone:
            assert len(made.requests) <= 1
