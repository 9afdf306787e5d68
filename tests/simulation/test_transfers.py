"""A thousand seeded transfers in virtual time, each with sources of every kind."""

import random

import pytest

from common.content.grid import Grid
from peer.downloads.course import Fail, Publish
from tests.simulation.world import FALSE, TRUE, SimSource, World, megabytes, truth

SEEDS = 1000
BATCH = 50


def some_sources(chance: random.Random, size: int) -> list[SimSource]:
    """Up to eight sources, good and bad."""
    count = Grid.of(size).count
    lie = [FALSE if chance.random() < 0.3 else TRUE for _ in range(count)]
    sources = []
    for number in range(chance.randint(1, 8)):
        source = SimSource(f"s{number}", truth(size), chance.choice([1e5, 1e6, 1e7, 1e8]))
        kind = chance.choice(KINDS)
        kind(chance, source, lie, count)
        source.latency = chance.choice([0.001, 0.01, 0.1])
        source.announces = chance.random() < 0.7
        sources.append(source)
    return sources


def honest(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    pass


def tarpit(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.rate = 1000.0


def stalling(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.stalls_after = chance.choice([0, 300_000, 3_000_000])


def vanishing(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.until = chance.uniform(0, 20)
    if chance.random() < 0.5:
        source.again = source.until + chance.uniform(0, 60)


def coming(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.since = chance.uniform(0, 60)


def flipping(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.flips = chance.choice([0.3, 1.0])


def lying(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.values = lie


def deceived(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.values, source.complete = lie, False
    source.has = chance.getrandbits(count)


def partial(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.complete, source.has = False, chance.getrandbits(count)


def keyless(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.has_manifest = False
    source.values = lie if chance.random() < 0.3 else source.values


def often_busy(chance: random.Random, source: SimSource, lie: list[int], count: int) -> None:
    source.busy = 0.7


KINDS = [honest, tarpit, stalling, vanishing, coming, flipping, lying, deceived, partial, keyless, often_busy]


def blamed(world: World) -> set[str]:
    return {source.peer_id for source, _ in world.course.blamed} | set(world.corrupted)


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_a_file_comes_whole_or_its_lack_is_told_and_only_the_guilty_are_blamed(first: int) -> None:
    for seed in range(first, first + BATCH):
        chance = random.Random(seed)
        size = megabytes(chance.choice([0.25, 1, 5, 15])) - chance.choice([0, 1, 100_000])
        world = World(seed, size, some_sources(chance, size), sequential=chance.random() < 0.2)
        try:
            world.run()
            assert isinstance(world.outcome, Publish | Fail)
            if isinstance(world.outcome, Publish):
                assert set(world.disk.values()) <= {TRUE}
            if any(
                source.is_lasting and source.since == 0 and source.until == float("inf") for source in world.sources
            ):
                assert isinstance(world.outcome, Publish), "somebody had it all the time"
            innocent = {source.name for source in world.sources if source.is_honest or not source.complete}
            assert not blamed(world) & innocent, "an honest source is blamed"
            assert all(count <= 2 + 32 for count in world.corrupted.values())
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
