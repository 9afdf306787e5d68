"""A disk that is full, and has room again: a small one of its own, with all that the downloading daemon keeps on it."""

import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.fetching import MIB, Fetcher, add, fetcher, make_file, until_sources
from tests.support.network import Network, network

DISK = 48 * MIB
SIZE = 24 * MIB


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of DISK bytes, which only root may mount. Where that matters, not to be able to is a failure."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        if os.geteuid() == 0 or "CI" in os.environ or request.config.option.markexpr == "faults":
            pytest.fail(f"A small disk could not be mounted: {error}. Run this as root.")
        pytest.skip("NOT TESTED HERE: a full disk, for which the tests must run as root")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


def fill(disk: Path) -> Path:
    """Takes all the room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (bytes(MIB), bytes(4096)):
            try:
                while True:
                    file.write(block)
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return ballast


async def until_full(net: Network, disk: Path, data: Path) -> tuple[Fetcher, str, str, Path]:
    """A download that the disk has no room for, in the middle of it; who fetches, which, another file, the ballast."""
    file_id = make_file(net.folder / "a" / "file.bin", SIZE)
    other = make_file(net.folder / "a" / "other.bin", MIB, 1)
    await add(net, "one", net.folder / "a", PEER_UPLOAD_LIMIT="16MB/s")
    await until_sources(net, file_id, 1)
    await until_sources(net, other, 1)
    fetching = await fetcher(net, data=data, PEER_DOWNLOADS=str(disk / "downloads"))
    download = await fetching.begin(file_id)
    half = await fetching.reaches(download, 0.3)
    ballast = fill(disk)
    told = await fetching.stalls(download)
    assert (told["state"], told["code"]) == ("stalled", "disk_full")
    assert "Free some space" in told["why"]
    assert told["verified"] >= half["verified"]
    status, refusal = await fetching.ask("POST", body={"file_id": other})
    assert (status, refusal["code"]) == (507, "disk_full")
    return fetching, download, other, ballast


async def test_a_full_disk_stalls_a_download_and_says_why_until_there_is_room(small_disk: Path, net: Network) -> None:
    """As it is usual, the database of the downloads lies on that disk too."""
    fetching, download, _, ballast = await until_full(net, small_disk, small_disk)
    ballast.unlink()
    status, _ = await fetching.ask("POST", f"/{download}/resume")
    assert status == 200
    await fetching.finishes(download)


@pytest.mark.faults
async def test_room_is_noticed_and_other_disks_are_used_meanwhile(small_disk: Path, net: Network) -> None:
    fetching, download, other, ballast = await until_full(net, small_disk, net.folder / "data")
    elsewhere = await fetching.begin(other, folder=str(net.folder / "elsewhere"))
    await fetching.until(elsewhere, lambda told: told["state"] == "finished")
    ballast.unlink()
    await fetching.finishes(download)


@pytest.mark.faults
async def test_a_daemon_killed_on_a_full_disk_starts_there_and_goes_on(small_disk: Path, net: Network) -> None:
    fetching, download, _, ballast = await until_full(net, small_disk, small_disk)
    await fetching.peer.kill()
    ballast.unlink()
    await net.start(fetching.peer)
    await fetching.finishes(download)
