"""Power cuts: the downloading daemon is killed again and again, and goes on where it was each time.

What is fetched twice is counted at the sources. 5 % is for all kills together.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.fetching import MIB, Fetcher, add, fetcher, make_file, served, until_sources
from tests.support.network import Network, Process, free_port, network

SIZE = 256 * MIB
AGAIN = 0.05  # of the file that may be fetched twice
PACE = {"PEER_UPLOAD_LIMIT": "40MB/s"}


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


async def two_sources(net: Network, size: int = SIZE) -> tuple[str, list[Process]]:
    """A file, and two who serve it at a pace that leaves time to see how far it is."""
    file_id = make_file(net.folder / "a" / "file.bin", size)
    sources = await asyncio.gather(*(add(net, name, net.folder / "a", **PACE) for name in ("one", "two")))
    await until_sources(net, file_id, 2)
    return file_id, list(sources)


async def kill_at(fetching: Fetcher, download: str, file_id: str, tenths: Sequence[int]) -> None:
    """Kills it there, and starts it again."""
    for tenth in tenths:
        await fetching.reaches(download, tenth / 10)
        await fetching.peer.kill()
        fetching.check(file_id)
        await fetching.net.start(fetching.peer)


async def finish_thriftily(fetching: Fetcher, download: str, sources: list[Process], size: int = SIZE) -> None:
    """It finishes, and hardly anything was sent twice."""
    await fetching.finishes(download)
    again = await served(fetching.net, *sources) - size
    print(f"fetched again: {again} bytes, {again / size:.2%}")
    assert 0 <= again <= AGAIN * size


async def test_killed_at_every_tenth_it_fetches_hardly_anything_twice(net: Network) -> None:
    file_id, sources = await two_sources(net)
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    await kill_at(fetching, download, file_id, range(1, 10))
    await finish_thriftily(fetching, download, sources)


async def die_at_writes(net: Network, writes: Sequence[int], size: int) -> None:
    """Killed in the middle of these writes, one after another, each counted from its start."""
    file_id, sources = await two_sources(net, size)
    fetching = await fetcher(net, module="tests.support.dying_peer", DIES_AT=str(writes[0]))
    download = await fetching.begin(file_id)
    for following in (*writes[1:], 0):
        assert fetching.peer.process is not None
        await asyncio.wait_for(fetching.peer.process.wait(), 60)
        fetching.check(file_id)
        fetching.peer.inside = ("env", f"DIES_AT={following}")
        await net.launch(fetching.peer)
    await net.until(lambda: net.get(f"{fetching.peer.url}/readyz"))
    await finish_thriftily(fetching, download, sources, size)


async def test_killed_within_a_write_it_takes_no_torn_piece_for_a_whole_one(net: Network) -> None:
    await die_at_writes(net, [1, 2, 200, 37], 64 * MIB)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_random_writes_it_fetches_hardly_anything_twice(net: Network, seed: int) -> None:
    chance = random.Random(seed)
    await die_at_writes(net, [chance.randrange(1, 400) for _ in range(10)], SIZE)


async def test_after_a_loss_of_power_it_goes_on_at_another_address(net: Network) -> None:
    """What was not flushed is lost of the part file and of the database's log, whose index is gone."""
    file_id, _ = await two_sources(net, 32 * MIB)
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    await fetching.reaches(download, 0.5)
    await fetching.peer.kill()
    log = fetching.data / "downloads.db-wal"
    assert log.stat().st_size, "this was to be found after a kill"
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 1000)
    (fetching.data / "downloads.db-shm").unlink()
    [part] = fetching.folder.glob("*.part")
    with part.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(bytes(3 * MIB))
    port, command = free_port(), fetching.peer.command
    fetching.peer.port, fetching.peer.host = port, "127.0.0.2"
    command[command.index("--port") + 1], command[command.index("--host") + 1] = str(port), "127.0.0.2"
    await net.start(fetching.peer)
    await fetching.finishes(download)
