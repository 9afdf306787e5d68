"""How often somebody may call. Pure."""

import pytest

from common.errors import TooMany
from superpeer.files.allowance import REMEMBERED, Allowance


def spend(allowance: Allowance, count: int, now: float, caller: int = 1) -> int:
    """How many of so many calls are let through."""
    through = 0
    for _ in range(count):
        try:
            allowance.spend(caller, now)
            through += 1
        except TooMany:
            pass
    return through


def test_a_burst_and_then_so_many_a_second() -> None:
    allowance = Allowance(5, 2.0)
    assert spend(allowance, 10, 0.0) == 5
    assert spend(allowance, 10, 1.0) == 2
    assert spend(allowance, 10, 1000.0) == 5


def test_each_caller_has_its_own() -> None:
    allowance = Allowance(1, 1.0)
    assert spend(allowance, 5, 0.0, caller=1) == 1
    assert spend(allowance, 5, 0.0, caller=2) == 1


def test_a_refusal_says_when_to_come_back() -> None:
    allowance = Allowance(1, 0.5)
    allowance.spend(1, 0.0)
    with pytest.raises(TooMany) as refused:
        allowance.spend(1, 0.0)
    assert (refused.value.code, refused.value.retry_after) == ("too_many_requests", 2.0)
    allowance.spend(1, 2.0)


def test_no_more_callers_are_remembered_than_have_room() -> None:
    allowance = Allowance(1, 1.0)
    for caller in range(REMEMBERED + 3):
        allowance.spend(caller, 0.0)
    assert len(allowance._left) == REMEMBERED
