"""Which piece goes out next to a crowd, and who is let through."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from common.errors import Refusal
from peer.uploads.seeding import AT_ONCE, MOST_AT_ONCE, MOST_FILES, MOST_WAITING, REMEMBERED, Gate, Seeding


def test_nothing_is_sent_twice_before_all_was_sent_once() -> None:
    seeding = Seeding()
    assert sorted(seeding.choose("f", 5, 0, "a", 0.0) or 0 for _ in range(5)) == [0, 1, 2, 3, 4]
    assert seeding.choose("f", 5, 0, "a", 0.0) is None
    assert seeding.choose("other", 1, 0, "a", 0.0) == 0


def test_nobody_is_sent_what_it_has() -> None:
    seeding = Seeding()
    assert seeding.choose("f", 3, 0b011, "a", 0.0) == 2
    assert seeding.choose("f", 3, 0b111, "a", 0.0) is None
    assert seeding.choose("f", 3, 0b001, "a", 0.0) == 1


def test_what_went_out_otherwise_counts_and_what_did_not_arrive_does_not() -> None:
    seeding = Seeding()
    seeding.sent("f", 3, 0b011, 0.0)
    assert seeding.choose("f", 3, 0, "a", 0.0) == 2
    seeding.missed("f", 2)
    assert seeding.choose("f", 3, 0, "a", 0.0) == 2
    seeding.missed("unknown", 2)


def test_after_a_while_without_a_request_it_begins_anew() -> None:
    seeding = Seeding()
    assert seeding.choose("f", 1, 0, "a", 0.0) == 0
    assert seeding.choose("f", 1, 0, "a", REMEMBERED) is None
    assert seeding.choose("f", 1, 0, "a", 2 * REMEMBERED + 1) == 0


def test_what_is_remembered_is_bounded_whatever_is_asked_for() -> None:
    seeding = Seeding()
    for number in range(3 * MOST_FILES):
        seeding.sent(f"s{number}", 4, 1, 0.0)
        seeding.choose(f"c{number}", 4, 0, "a", 0.0)
    assert len(seeding._files) <= MOST_FILES + 2


def test_it_is_known_how_much_each_was_given() -> None:
    seeding = Seeding()
    assert seeding.given("f", "a") == 0
    for asker in ("a", "b", "a"):
        seeding.choose("f", 3, 0, asker, 0.0)
    seeding.choose("f", 3, 0, "c", 0.0)
    assert [seeding.given("f", asker) for asker in ("a", "b", "c")] == [2, 1, 0]
    assert seeding.given("other", "a") == 0


async def enter(gate: Gate, stack: AsyncExitStack, pieces: int = 0, patience: float = 30.0) -> None:
    await stack.enter_async_context(gate.turn(pieces, patience))


async def test_so_many_are_let_through_at_once_and_the_next_when_one_is_done() -> None:
    gate = Gate(lambda: True)
    async with AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await enter(gate, stack)
        async with AsyncExitStack() as other:
            waiting = asyncio.create_task(enter(gate, other))
            await asyncio.sleep(0)
            assert not waiting.done()
            await stack.pop_all().aclose()
            await waiting


async def test_while_the_limit_leaves_room_more_are_let_through_and_not_without_end() -> None:
    gate = Gate(lambda: False)
    async with AsyncExitStack() as stack:
        for _ in range(MOST_AT_ONCE):
            await enter(gate, stack)
        with pytest.raises(Refusal) as refused:
            await enter(gate, stack, patience=0.001)
        assert refused.value.code == "too_many_requests"


async def test_a_limit_that_leaves_room_again_is_noticed() -> None:
    drained = True
    gate = Gate(lambda: drained)
    async with AsyncExitStack() as stack, AsyncExitStack() as other:
        for _ in range(AT_ONCE):
            await enter(gate, stack)
        waiting = asyncio.create_task(enter(gate, other))
        await asyncio.sleep(0)
        drained = False
        await waiting


async def test_whoever_has_the_fewest_pieces_goes_first_and_among_equals_who_came_first() -> None:
    gate, order = Gate(lambda: True), list[str]()

    async def wait(name: str, pieces: int) -> None:
        async with gate.turn(pieces, 30.0):
            order.append(name)

    async with AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await enter(gate, stack)
        tasks = [asyncio.create_task(wait(name, pieces)) for name, pieces in [("c", 9), ("a", 1), ("b", 1), ("d", 10)]]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c", "d"]


async def test_too_many_that_wait_are_sent_away() -> None:
    gate = Gate(lambda: True)
    async with AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await enter(gate, stack)
        tasks = [asyncio.create_task(enter(gate, stack)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await enter(gate, stack)
        assert refused.value.code == "too_many_requests"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("turns", range(4))
async def test_whoever_goes_at_the_very_moment_of_its_turn_leaves_its_room_to_others(turns: int) -> None:
    """Again and again, so that a leak of room would stop all."""
    gate = Gate(lambda: True)
    for _ in range(2 * MOST_AT_ONCE):
        async with AsyncExitStack() as stack:
            for _ in range(AT_ONCE):
                await enter(gate, stack)
            waiting = asyncio.create_task(enter(gate, AsyncExitStack()))
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        if waiting.cancel():
            await asyncio.wait([waiting])
        if not waiting.cancelled():
            break
    else:
        async with AsyncExitStack() as stack:
            for _ in range(AT_ONCE):
                await enter(gate, stack, patience=1.0)
