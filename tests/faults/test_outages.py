"""What goes away in the middle of a download: its sources, the super-peer, the file at a source. It goes on."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fetching import MIB, Told, add, fetcher, make_file, served, until_sources
from tests.support.network import Network, Process, network

SIZE = 24 * MIB
PACE = {"PEER_UPLOAD_LIMIT": "8MB/s"}


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


async def share(net: Network, *names: str, size: int = SIZE) -> tuple[str, list[Process]]:
    """A file that these share, each from a folder of its own, at a slow pace."""
    for name in names:
        file_id = make_file(net.folder / f"of {name}" / "file.bin", size)
    sources = await asyncio.gather(*(add(net, name, net.folder / f"of {name}", **PACE) for name in names))
    await until_sources(net, file_id, len(names))
    return file_id, list(sources)


async def all_gone_and_back(net: Network, away: float) -> None:
    """Both sources are killed; after a while they are there again."""
    file_id, sources = await share(net, "one", "two")
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    half = await fetching.reaches(download, 0.5)
    before = await served(net, *sources)
    for source in sources:
        await source.kill()
    told = await fetching.stalls(download)
    assert told["state"] == "stalled" and "No source of this file answers" in told["why"]
    assert told["code"] == "no_source_online"
    assert told["verified"] >= half["verified"]
    await asyncio.sleep(away)  # this is the fault itself, not a wait for something
    for source in sources:
        await net.start(source)
    await fetching.finishes(download)
    assert before + await served(net, *sources) - SIZE <= 2 * MIB, "what had come was fetched again"


async def test_all_sources_gone_at_half_and_back_it_goes_on(net: Network) -> None:
    await all_gone_and_back(net, 0.0)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_all_sources_gone_for_a_minute_it_goes_on(net: Network) -> None:
    await all_gone_and_back(net, 60.0)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_sources_that_stand_still_are_no_hindrance_once_they_move_again(net: Network) -> None:
    """Their connections stay, and nothing comes: each is left after a while, and the reason told."""
    file_id, sources = await share(net, "one", "two")
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    await fetching.reaches(download, 0.5)
    for source in sources:
        assert source.process is not None
        source.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(240):
            while (told := await fetching.look(download))["state"] != "stalled":
                await asyncio.sleep(0.1)
        assert told["why"]
    finally:
        for source in sources:
            assert source.process is not None
            source.process.send_signal(signal.SIGCONT)
    await fetching.finishes(download)


async def test_without_its_super_peer_it_goes_on_and_even_begins_again(net: Network) -> None:
    file_id, _ = await share(net, "one", "two")
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    await fetching.reaches(download, 0.3)
    await net.super_peer.kill()
    await fetching.reaches(download, 0.6)
    await fetching.peer.kill()
    await net.start(fetching.peer)
    await fetching.finishes(download)


async def test_a_source_whose_file_changes_is_left_and_the_others_give_the_rest(net: Network) -> None:
    file_id, _ = await share(net, "one", "two")
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    await fetching.reaches(download, 0.3)
    with (net.folder / "of one" / "file.bin").open("r+b") as file:
        for start in range(0, SIZE, MIB):
            file.seek(start)
            file.write(os.urandom(1000))
    await fetching.finishes(download)


@pytest.mark.faults
async def test_the_only_source_loses_its_file_and_has_it_again(net: Network) -> None:
    file_id, _ = await share(net, "one")
    path = net.folder / "of one" / "file.bin"
    content = path.read_bytes()
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    half = await fetching.reaches(download, 0.5)
    path.write_bytes(hashlib.sha256(content).digest() * (SIZE // 32))
    told: Told = await fetching.stalls(download)
    assert told["state"] == "stalled" and told["verified"] >= half["verified"]
    path.write_bytes(content)
    await fetching.finishes(download)
