"""What reports come to, and how little a liar moves it. Pure."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.transfer import Outcome
from superpeer.peers.reputation import (
    HALF_LIFE,
    NEUTRAL,
    NEW,
    Opinion,
    Standing,
    after,
    least_worth,
    may_rate,
    network,
    standing,
)

DAY = 86_400.0
MB = 1_000_000


def opinion(*outcomes: Outcome, at: float = 0.0, speed: float = 1.0, **about: Any) -> Opinion:
    """What one reporter thinks after these transfers, each of a second at so many MB/s."""
    blank = Opinion(**({"address": "192.0.2.1", "verified": True, "good": 0.0, "bad": 0.0} | about), speed=None, at=at)
    made = blank
    for outcome in outcomes:
        made = after(made, blank, outcome, round(speed * MB), 1.0)
    return made


def somewhere(n: int) -> str:
    """An address in a network of its own."""
    return f"10.{n // 256}.{n % 256}.1"


def score(*opinions: Opinion, now: float = 0.0) -> int:
    return standing(opinions, now).reputation


def test_nothing_said_is_neutral() -> None:
    assert standing([], 0.0) == NEW == Standing(NEUTRAL, None)


def test_good_reports_raise_and_bad_ones_lower() -> None:
    assert score(opinion("ok")) > NEUTRAL
    for outcome in ("timeout", "refused", "corrupt"):
        assert score(opinion(outcome)) < NEUTRAL, outcome


def test_corrupt_weighs_most_and_busy_least() -> None:
    good: list[Outcome] = ["ok"] * 5
    scores = [score(opinion(*good, outcome)) for outcome in ("corrupt", "timeout", "refused")]
    assert scores == sorted(scores) and len(set(scores)) == 3


def test_one_reporter_weighs_little_however_often_it_reports() -> None:
    assert score(opinion(*["ok"] * 10_000)) <= 64
    assert score(opinion(*["corrupt"] * 10_000)) >= 36


def test_one_network_weighs_no_more_than_one_reporter() -> None:
    slander = [opinion(*["corrupt"] * 100, address=f"192.0.2.{n}") for n in range(200)]
    assert score(*slander) >= 36
    praise = [opinion(*["ok"] * 100, address=f"2001:db8:7::{n:x}") for n in range(200)]
    assert score(*praise) <= 64


def test_many_networks_that_agree_are_believed() -> None:
    assert score(*(opinion(*["ok"] * 5, address=somewhere(n)) for n in range(30))) >= 85
    assert score(*(opinion(*["corrupt"] * 2, address=somewhere(n)) for n in range(30))) <= 15


def test_a_program_without_a_key_weighs_less() -> None:
    assert NEUTRAL < score(opinion("ok", "ok", verified=False)) < score(opinion("ok", "ok"))
    assert score(opinion("corrupt")) < score(opinion("corrupt", verified=False)) < NEUTRAL


def test_what_was_said_fades() -> None:
    said = opinion(*["corrupt"] * 5)
    scores = [score(said, now=weeks * HALF_LIFE) for weeks in (0, 1, 2, 4, 8, 20)]
    assert scores == sorted(scores)
    assert scores[0] < 40 and scores[-1] == NEUTRAL
    assert score(said, now=-DAY) == scores[0]  # a clock set back raises nothing to powers


def test_a_new_report_stands_on_what_is_left_of_the_old() -> None:
    old = opinion(*["corrupt"] * 4)
    later = after(old, opinion(at=10 * HALF_LIFE), "ok", MB, 1.0)
    assert later.bad < 0.05 and later.good == 1.0
    assert score(later, now=10 * HALF_LIFE) > NEUTRAL


def test_a_few_liars_among_many_hardly_count() -> None:
    honest = [opinion(*["ok"] * 10, address=somewhere(n)) for n in range(6)]
    alone = score(*honest)
    liars = [opinion(*["corrupt"] * 10, address=somewhere(100 + n)) for n in range(4)]
    assert alone - score(*honest, *liars) <= 5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.4])
def test_good_and_bad_sources_are_told_apart_with_liars_among_the_reporters(share: float) -> None:
    """Liars say the opposite, ten times as often, and a thousand false identities in two networks help the bad."""
    chance = random.Random(7)
    reporters = [(somewhere(n), n < share * 30) for n in range(30)]

    def heard(quality: float) -> int:
        opinions = []
        for address, lies in reporters:
            true: list[Outcome] = ["ok" if chance.random() < quality else "corrupt" for _ in range(4)]
            lie: Outcome = "ok" if quality < 0.5 else "corrupt"
            opinions.append(opinion(*([lie] * 40 if lies else true), address=address))
        if quality < 0.5:
            opinions += [opinion("ok", address=f"203.0.{n % 2}.{n // 2 % 250}") for n in range(1000)]
        return score(*opinions)

    good, bad = [heard(0.98) for _ in range(20)], [heard(0.3) for _ in range(20)]
    assert min(good) > max(bad)
    assert sum(good) / 20 >= 70 and sum(bad) / 20 <= 50


@given(
    st.lists(
        st.builds(
            Opinion,
            st.one_of(st.ip_addresses().map(str), st.just("?")),
            st.booleans(),
            st.floats(0, 1e6),
            st.floats(0, 1e6),
            st.one_of(st.none(), st.floats(0, 1e11)),
            st.floats(0, 1e9),
        ),
        max_size=40,
    ),
    st.floats(0, 1e9),
)
def test_whatever_was_said_a_standing_is_in_its_bounds(opinions: list[Opinion], now: float) -> None:
    made = standing(opinions, now)
    assert 0 <= made.reputation <= 100
    speeds = [o.speed for o in opinions if o.speed is not None]
    assert made.speed is None if not speeds else made.speed is not None and min(speeds) <= made.speed <= max(speeds)


@given(st.sampled_from(["ok", "corrupt", "timeout", "refused"]), st.integers(0, 2**53), st.floats(0, 31_536_000))
def test_any_report_can_be_taken(outcome: Outcome, count: int, seconds: float) -> None:
    made = after(opinion("ok"), opinion(), outcome, count, seconds)
    assert made.speed is not None and 0 <= made.speed <= 1e11


# Speed


def test_speed_is_smoothed() -> None:
    said = opinion("ok", speed=10)
    assert said.speed == 10 * MB
    faster = after(said, opinion(), "ok", 20 * MB, 1.0).speed
    assert faster is not None and 10 * MB < faster < 20 * MB


def test_what_is_small_or_failed_measures_nothing() -> None:
    blank = opinion()
    assert after(None, blank, "ok", 1000, 1.0).speed is None
    assert after(None, blank, "ok", 10 * MB, 0.0).speed is None
    assert after(None, blank, "corrupt", 10 * MB, 1.0).speed is None


def test_the_speed_is_what_most_networks_measured() -> None:
    said = [opinion("ok", speed=10, address=somewhere(n)) for n in range(3)]
    boast = [opinion("ok", speed=90_000, address=f"192.0.2.{n}") for n in range(50)]
    assert standing([*said, *boast], 0.0).speed == 10 * MB


def test_programs_measure_where_nobody_else_did() -> None:
    program = opinion("ok", speed=9, verified=False)
    assert standing([program], 0.0).speed == 9 * MB
    assert standing([program, opinion("ok", speed=2, address="198.51.100.1")], 0.0).speed == 2 * MB


# Whose opinion counts, and goes


@pytest.mark.parametrize(
    ("reporter", "source", "counts"),
    [
        ("192.0.2.1", "192.0.2.2", True),
        ("192.0.2.1", "192.0.2.1", False),
        ("2001:db8::1", "2001:db8::1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("?", "?", False),
    ],
)
def test_nobody_rates_its_own_machine_except_where_all_are_on_it(reporter: str, source: str, counts: bool) -> None:
    assert may_rate(reporter, source) is counts


def test_neighbours_are_one_network() -> None:
    assert network("192.0.2.1") == network("192.0.2.250") != network("192.0.3.1")
    assert network("2001:db8:1::1") == network("2001:db8:1:2::3") != network("2001:db8:2::1")
    assert network("::ffff:192.0.2.9") == network("192.0.2.1")


def test_where_there_are_too_many_a_crowd_of_neighbours_goes_first() -> None:
    opinions = {n: opinion("ok", address=somewhere(n), at=0.0) for n in range(5)}
    opinions |= {100 + n: opinion("ok", address=f"192.0.2.{n}", at=50.0 + n) for n in range(3)}
    assert least_worth(opinions) == 100
