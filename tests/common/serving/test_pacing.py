"""Turns on a clock that the waiting itself moves: what leaves in ten seconds, and what no limit costs."""

import pytest

from common.runtime.clock import ManualClock
from common.serving.bandwidth import Bandwidth, Rates
from common.serving.pacing import Turns

MB = 1_000_000
BLOCK = 4 * 1024 * 1024


def turns(rates: Rates, clock: ManualClock, waits: list[float]) -> Turns:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)

    return Turns(Bandwidth(lambda _: False, rates).line("10.0.0.1", "a"), clock, sleep)


@pytest.mark.parametrize("rate", [1000, 5 * MB, 20 * MB])
async def test_ten_seconds_bring_what_the_limit_allows(rate: int) -> None:
    clock, waits = ManualClock(), list[float]()
    turn = turns(Rates(rate), clock, waits)
    began, sent = clock.monotonic(), 0
    while clock.monotonic() < began + 10:
        sent += await turn(BLOCK)
    assert sent == pytest.approx(10 * rate, rel=0.05)
    assert max(waits) <= 0.2


async def test_without_a_limit_whole_blocks_go_and_nobody_waits() -> None:
    clock, waits = ManualClock(), list[float]()
    turn = turns(Rates(), clock, waits)
    assert [await turn(BLOCK) for _ in range(100)] == [BLOCK] * 100
    assert waits == []
