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
# Far below what the machine can: what waits in the kernel, unread, is lost with a kill, and counted as sent.
PACE, SLOW_PACE = "16MB/s", "5MB/s"


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


async def two_sources(net: Network, size: int = SIZE, pace: str = PACE) -> tuple[str, list[Process]]:
    """A file, and two who serve it at a pace that leaves time to see how far it is."""
    file_id = make_file(net.folder / "a" / "file.bin", size)
    limit = {"PEER_UPLOAD_LIMIT": pace}
    sources = await asyncio.gather(*(add(net, name, net.folder / "a", **limit) for name in ("one", "two")))
    await until_sources(net, file_id, 2)
    return file_id, list(sources)


async def kill_at(net: Network, tenths: Sequence[int], pace: str) -> None:
    """Killed and started again at each of these, it finishes, and hardly anything was sent twice."""
    file_id, sources = await two_sources(net, SIZE, pace)
    fetching = await fetcher(net)
    download = await fetching.begin(file_id)
    for tenth in tenths:
        await fetching.reaches(download, tenth / 10)
        await fetching.peer.kill()
        fetching.check(file_id)
        await net.start(fetching.peer)
    await finish_thriftily(fetching, download, sources)


async def finish_thriftily(fetching: Fetcher, download: str, sources: list[Process]) -> None:
    """It finishes, and hardly anything was sent twice."""
    await fetching.finishes(download)
    again = await served(fetching.net, *sources) - SIZE
    assert 0 <= again <= AGAIN * SIZE, f"fetched again: {again / SIZE:.2%}"


async def test_killed_again_and_again_it_fetches_hardly_anything_twice(net: Network) -> None:
    await kill_at(net, (2, 5, 8), PACE)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_killed_at_every_tenth_it_fetches_hardly_anything_twice(net: Network) -> None:
    await kill_at(net, range(1, 10), SLOW_PACE)


async def die_at_writes(net: Network, writes: Sequence[int], file_id: str) -> tuple[Fetcher, str]:
    """Killed in the middle of these writes, one after another, each counted from its start, and started once more."""
    fetching = await fetcher(net, module="tests.support.dying_peer", DIES_AT=str(writes[0]))
    download = await fetching.begin(file_id)
    for following in (*writes[1:], 0):
        assert fetching.peer.process is not None
        await asyncio.wait_for(fetching.peer.process.wait(), 60)
        fetching.check(file_id)
        fetching.peer.inside = ("env", f"DIES_AT={following}")
        await net.launch(fetching.peer)
    await net.until(lambda: net.get(f"{fetching.peer.url}/readyz"))
    return fetching, download


async def test_killed_within_a_write_it_takes_no_torn_piece_for_a_whole_one(net: Network) -> None:
    file_id, _ = await two_sources(net, 32 * MIB)
    fetching, download = await die_at_writes(net, [2, 200, 37], file_id)
    await fetching.finishes(download)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_random_writes_it_fetches_hardly_anything_twice(net: Network, seed: int) -> None:
    chance = random.Random(seed)
    file_id, sources = await two_sources(net, SIZE, SLOW_PACE)
    fetching, download = await die_at_writes(net, [chance.randrange(1, 400) for _ in range(8)], file_id)
    await finish_thriftily(fetching, download, sources)


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
