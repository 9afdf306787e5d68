"""A source at 1 kB/s among others: what it costs, as a ratio of two downloads that follow one another.

Everybody's pace is limited, so that what is compared are seconds of waiting and not of computing.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import faults
from tests.support.fetching import MIB, add, fetcher, fronted, make_file, until_sources
from tests.support.front import Front
from tests.support.network import Network, network

PACE = {"PEER_UPLOAD_LIMIT": "4MB/s"}
AT_MOST = 1.5  # times as long as without it


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


async def seconds(net: Network, name: str, file_id: str) -> float:
    """How long a peer of its own takes to fetch it."""
    fetching = await fetcher(net, name)
    began = asyncio.get_running_loop().time()
    await fetching.finishes(await fetching.begin(file_id))
    took = asyncio.get_running_loop().time() - began
    # It shares what it has fetched, which the next one must not find.
    await fetching.peer.stop()
    return took


async def costs(net: Network, size: int, rounds: int, *slow: str) -> float:
    """The time of a download with the tarpit over that of one without, of the quickest of some rounds."""
    file_id = make_file(net.folder / "a" / "file.bin", size)
    async with fronted(net, "tarpit", net.folder / "a") as front:
        await asyncio.gather(*(add(net, name, net.folder / "a", **PACE) for name in ("one", "two")))
        with_it, without = [], []
        for turn in range(rounds):
            front.faults = dict.fromkeys(slow, faults.tarpit)
            await until_sources(net, file_id, 3)
            with_it.append(await seconds(net, f"with {turn}", file_id))
            assert was_asked(front)
            tarpit = net.peers["tarpit"]
            await tarpit.stop()
            await until_sources(net, file_id, 2)
            without.append(await seconds(net, f"without {turn}", file_id))
            if turn + 1 < rounds:
                await net.start(tarpit)
    return min(with_it) / min(without)


def was_asked(front: Front) -> bool:
    """It had its part in the download."""
    return bool(front.asked["download"] or front.asked["manifest"])


async def test_a_tarpit_among_others_hardly_costs_time(net: Network) -> None:
    assert await costs(net, 24 * MIB, 1, "download") <= AT_MOST


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("slow", [("download",), ("download", "manifest")])
async def test_a_tarpit_hardly_costs_time_however_often(net: Network, slow: tuple[str, ...]) -> None:
    assert await costs(net, 64 * MIB, 3, *slow) <= AT_MOST
