"""How long a transfer takes in virtual time, beside what its sources could give at most."""

import pytest

from peer.downloads.course import Publish
from tests.simulation.world import SimSource, World, megabytes, truth

SIZE = megabytes(100)
LOOKS = (
    0.15  # seconds that the world's own steps cost: it tells a manifest after 0.02 s and answers `Check` after 0.1 s
)


def seconds(*sources: SimSource, seed: int = 1) -> float:
    world = World(seed, SIZE, list(sources))
    world.run()
    assert isinstance(world.outcome, Publish)
    return world.now


def source(name: str, rate: float = 10e6, **more: float) -> SimSource:
    return SimSource(name, truth(SIZE), rate, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_all_sources_are_used_all_the_time(count: int) -> None:
    assert seconds(*(source(f"s{n}") for n in range(count))) <= SIZE / (count * 10e6) / 0.92 + LOOKS


def test_sources_of_different_speed_end_together() -> None:
    rates = [1e6, 3e6, 10e6, 30e6]
    assert seconds(*(source(f"s{n}", rate) for n, rate in enumerate(rates))) <= SIZE / sum(rates) / 0.9 + LOOKS


@pytest.mark.parametrize("seed", range(10))
def test_a_tarpit_costs_little(seed: int) -> None:
    good = [source(f"s{n}") for n in range(3)]
    without = seconds(*good, seed=seed)
    tarpit = SimSource("tarpit", truth(SIZE), 1000.0)
    assert seconds(*(source(f"s{n}") for n in range(3)), tarpit, seed=seed) <= 1.2 * without


@pytest.mark.parametrize("seed", range(10))
def test_a_source_that_never_answers_costs_little(seed: int) -> None:
    without = seconds(*(source(f"s{n}") for n in range(3)), seed=seed)
    dead = SimSource("dead", truth(SIZE), 10e6, latency=1e6)
    assert seconds(*(source(f"s{n}") for n in range(3)), dead, seed=seed) <= 1.5 * without + LOOKS


def test_who_vanishes_is_made_up_for() -> None:
    sources = [source("s0"), source("s1", until=2.0), source("s2", until=3.0)]
    least = (SIZE - 10e6 * 2.0 - 10e6 * 3.0) / 10e6
    assert seconds(*sources) <= 1.15 * least + LOOKS


def test_who_comes_later_helps() -> None:
    assert seconds(source("s0"), source("s1", since=1.0), source("s2", since=1.0)) <= 0.75 * SIZE / 10e6


def test_little_is_fetched_twice() -> None:
    world = World(5, SIZE, [source(f"s{n}", rate) for n, rate in enumerate([1e5, 1e6, 1e7])])
    world.run()
    assert world.wrote <= 1.02 * SIZE
