"""Sources that send what they should not: the file is right, who did it is named and left, and nobody else is blamed.

Each is a real peer behind a front that spoils its answers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support import faults
from tests.support.fetching import (
    MIB,
    Told,
    add,
    fetcher,
    fronted,
    make_file,
    peer_id,
    reputation,
    until_sources,
)
from tests.support.front import Fault
from tests.support.network import Network, network

NEUTRAL = 50
BAD_PIECES = 3  # before a source is dropped


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


def state_of(told: Told, source: str) -> str:
    """`dropped` and so on; empty for one that is not among the sources."""
    return next((each["state"] for each in told["sources"] if each["peer_id"] == source), "")


def rated(net: Network, name: str, holds: Callable[[int], bool]) -> Callable[[], object]:
    """Whether what the super-peer thinks of this peer is so by now."""

    async def told() -> bool:
        return holds(await reputation(net, net.peers[name]))

    return told


async def test_who_flips_bits_is_named_and_dropped_and_nobody_else_is_blamed(net: Network) -> None:
    size, names = 24 * MIB, ("one", "two", "three")
    file_id = make_file(net.folder / "a" / "file.bin", size)
    pace = {"PEER_UPLOAD_LIMIT": "2MB/s"}
    async with fronted(net, "bad", net.folder / "a", **pace) as front:
        flipping = faults.Flipping(size, 0.3)
        front.faults = {"download": flipping, "next": flipping}
        await asyncio.gather(*(add(net, name, net.folder / "a", **pace) for name in names))
        await until_sources(net, file_id, 4)
        fetching = await fetcher(net)
        download = await fetching.begin(file_id)
        bad = await peer_id(net, net.peers["bad"])
        told = await fetching.until(download, lambda told: state_of(told, bad) == "dropped")
        [source] = [each for each in told["sources"] if each["peer_id"] == bad]
        assert "not piece" in source["why"]
        assert told["state"] == "running"
        told = await fetching.until(download, lambda told: told["verified"] > 0.9 * size or told["finished"])
        for name in names:
            assert state_of(told, await peer_id(net, net.peers[name])) != "dropped"
        await fetching.finishes(download)
    assert 1 <= len(flipping.damaged) <= BAD_PIECES
    await net.until(rated(net, "bad", lambda rating: rating < NEUTRAL))
    for name in names:
        await net.until(rated(net, name, lambda rating: rating > NEUTRAL))


@pytest.mark.parametrize("liars", [1, 2])
async def test_a_false_manifest_is_found_out_and_blamed_on_who_made_it_alone(net: Network, liars: int) -> None:
    """Two liars who agree are believed first, against two honest sources that are only one in what they say."""
    size = 8 * MIB
    file_id = make_file(net.folder / "a" / "file.bin", size, 1)
    make_file(net.folder / "false.bin", size, 2)
    false = (net.folder / "false.bin").read_bytes()
    bad, good = [f"bad {n}" for n in range(liars)], [f"good {n}" for n in range(3 - liars)]
    async with AsyncExitStack() as stack:
        for name in bad:
            front = await stack.enter_async_context(fronted(net, name, net.folder / "a"))
            front.faults = faults.lying(false)
        for name in good:
            await add(net, name, net.folder / "a")
        await until_sources(net, file_id, 3)
        fetching = await fetcher(net)
        await fetching.finishes(await fetching.begin(file_id))
    await net.until(rated(net, good[0], lambda rating: rating > NEUTRAL))
    if liars == 2:
        for name in bad:
            await net.until(rated(net, name, lambda rating: rating < NEUTRAL))


FAULTS: dict[str, tuple[Fault, str]] = {
    "more": (faults.more, "another length"),
    "less": (faults.less, "broke off"),
    "other_range": (faults.other_range, "another range"),
    "other_bytes": (faults.other_bytes, "not this file"),
    "whole": (faults.whole, "another range"),
    "redirect": (faults.redirect, "redirect"),
    "compressed": (faults.compressed, "ompressed"),
    "without_length": (faults.without_length, "does not say how many"),
    "endless_headers": (faults.endless_headers, "headers without end"),
}


async def share_spoilt(net: Network, size: int, *folders: str) -> dict[str, dict[str, str]]:
    """A file for each fault in each of these folders; the ids by folder and fault."""
    return {
        folder: {
            fault: make_file(net.folder / folder / f"{fault}.bin", size, 100 * nth + number)
            for number, fault in enumerate([*FAULTS, "more_unannounced"])
        }
        for nth, folder in enumerate(folders)
    }


async def test_what_is_not_as_asked_is_never_taken_for_the_file(net: Network) -> None:
    """With an honest source beside it each file comes; from such a source alone none does, and the reason is told."""
    files = await share_spoilt(net, 3 * MIB, "alone", "beside")
    where = net.folder / "alone", net.folder / "beside"
    async with fronted(net, "bad", *where) as front:
        for folder in files.values():
            for fault, file_id in folder.items():
                front.faults[f"download/{file_id}"] = getattr(faults, fault)
        await add(net, "good", net.folder / "beside")
        for file_id in files["beside"].values():
            await until_sources(net, file_id, 2)
        fetching = await fetcher(net, PEER_DOWNLOADS_AT_ONCE="20")
        beside = [await fetching.begin(file_id) for file_id in files["beside"].values()]
        alone = {fault: await fetching.begin(file_id) for fault, file_id in files["alone"].items()}
        # What follows an answer on its connection is not read at all.
        await fetching.until(alone.pop("more_unannounced"), lambda told: told["state"] == "finished")
        for download in beside:
            await fetching.until(download, lambda told: told["state"] == "finished")
        for fault, download in alone.items():
            told = await fetching.stalls(download)
            assert FAULTS[fault][1] in told["why"], (fault, told["why"])
        fetching.check(*files["beside"].values(), files["alone"]["more_unannounced"])
