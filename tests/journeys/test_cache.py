"""What one peer has fetched others fetch from it, with real processes, until its owner, its cap or its disk says no."""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.network import Network, Process, id_of, network, write


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path, PEER_SWEEP_INTERVAL="500ms") as made:
        yield made


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder of another file system."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


async def add(net: Network, name: str) -> Process:
    """A peer that shares an empty folder."""
    (net.folder / f"{name}'s").mkdir(exist_ok=True)
    return await net.add_peer(name, net.folder / f"{name}'s")


async def own(net: Network, peer: Process, *arguments: str) -> Any:
    """Runs a command of its owner, which succeeds."""
    ran = await net.run(*arguments, "--peer", peer.address, "--data", str(net.folder / peer.name))
    assert ran.code == 0, ran.err
    return ran.lines


async def fetch(net: Network, peer: Process, file_id: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    await own(net, peer, "get", file_id, "-o", f"{folder}/")


async def cached(net: Network, peer: Process) -> list[str]:
    return [file["filename"] for file in await own(net, peer, "cache")]


async def until_sources(net: Network, file_id: str, count: int) -> list[dict[str, Any]]:
    """Once so many are online with it."""

    async def known() -> list[dict[str, Any]] | None:
        found = await net.get(f"{net.super_peer.url}/api/v1/files/{file_id}/sources")
        return found if found is not None and len(found) == count else None

    return list(await net.until(known))


async def test_a_file_outlives_the_peer_that_shared_it(net: Network, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    file_id = write(tmp_path / "a" / "holiday.bin", content)
    first = await net.add_peer("first", tmp_path / "a")
    await net.until_found("holiday", file_id)
    second, third = await add(net, "second"), await add(net, "third")
    await fetch(net, second, file_id, tmp_path / "got")
    sources = await until_sources(net, file_id, 2)
    assert len({source["manifest"] for source in sources}) == 1
    assert None not in {source["manifest"] for source in sources}
    await first.stop()
    await until_sources(net, file_id, 1)
    (tmp_path / "got" / "holiday.bin").unlink()  # its owner has moved on; the peer still has it
    await fetch(net, third, file_id, tmp_path / "got by the third")
    assert (tmp_path / "got by the third" / "holiday.bin").read_bytes() == content


async def test_what_was_fetched_survives_a_kill(net: Network, tmp_path: Path) -> None:
    file_id = write(tmp_path / "a" / "kept.bin", os.urandom(400_000))
    first = await net.add_peer("first", tmp_path / "a")
    await net.until_found("kept", file_id)
    second = await add(net, "second")
    await fetch(net, second, file_id, tmp_path / "got")
    await until_sources(net, file_id, 2)
    await second.kill()
    await first.stop()
    await net.start(second)
    await until_sources(net, file_id, 1)
    await fetch(net, await add(net, "third"), file_id, tmp_path / "got by the third")


async def test_what_a_kill_interrupts_is_whole_or_gone(net: Network, tmp_path: Path, other_disk: Path) -> None:
    content = os.urandom(64_000_000)
    file_id = write(tmp_path / "a" / "large.bin", content)
    await net.add_peer("first", tmp_path / "a")
    await net.until_found("large", file_id)
    second = await add(net, "second")
    await own(net, second, "get", file_id, "-o", f"{other_disk}/", "--later")
    kept = tmp_path / "second" / "cache" / file_id

    async def begun() -> bool:
        return kept.exists()

    await net.until(begun)
    await second.kill()
    await net.start(second)
    assert [file["id"] for file in await own(net, second, "cache")] == ([file_id] if kept.exists() else [])
    if kept.exists():
        assert (kept / "large.bin").read_bytes() == content


async def test_the_cap_lets_go_what_was_used_least_recently(net: Network, tmp_path: Path) -> None:
    names = ("one", "two", "three")
    ids = {name: write(tmp_path / "a" / f"{name}.bin", os.urandom(400_000)) for name in names}
    first = await net.add_peer("first", tmp_path / "a")
    await net.until_found("bin", *ids.values())
    net.settings["PEER_CACHE_SIZE"] = "1MB"
    second = await add(net, "second")
    for name in ("one", "two"):
        await fetch(net, second, ids[name], tmp_path / "got")
        await until_sources(net, ids[name], 2)
    async with net.session.get(f"{second.url}/api/v1/download/{ids['one']}") as answer:
        assert id_of(await answer.read()) == ids["one"]
    await fetch(net, second, ids["three"], tmp_path / "got")
    await until_sources(net, ids["three"], 2)
    await until_sources(net, ids["two"], 1)
    await until_sources(net, ids["one"], 2)
    assert await cached(net, second) == ["three.bin", "one.bin"]
    assert (tmp_path / "got" / "two.bin").exists()
    await first.stop()
    assert set(await net.until_found("bin", ids["one"], ids["three"])) == {ids["one"], ids["three"]}


async def test_an_edit_in_place_withdraws_what_was_offered(net: Network, tmp_path: Path) -> None:
    file_id = write(tmp_path / "a" / "draft.txt", b"as it was")
    await net.add_peer("first", tmp_path / "a")
    await net.until_found("draft", file_id)
    second = await add(net, "second")
    await fetch(net, second, file_id, tmp_path / "got")
    await until_sources(net, file_id, 2)
    with (tmp_path / "got" / "draft.txt").open("r+") as file:
        file.write("no longer")
    await until_sources(net, file_id, 1)
    assert await cached(net, second) == []
    assert (tmp_path / "got" / "draft.txt").read_text() == "no longer"


async def test_the_owner_decides_what_is_offered_on(net: Network, tmp_path: Path) -> None:
    ids = {name: write(tmp_path / "a" / f"{name}.txt", name.encode()) for name in ("one", "two", "three")}
    await net.add_peer("first", tmp_path / "a")
    await net.until_found("txt", *ids.values())
    second = await add(net, "second")
    for file_id in ids.values():
        await fetch(net, second, file_id, tmp_path / "got")
        await until_sources(net, file_id, 2)
    await own(net, second, "unshare", ids["one"])
    await until_sources(net, ids["one"], 1)
    await own(net, second, "cache", "drop", ids["two"])
    await until_sources(net, ids["two"], 1)
    assert await cached(net, second) == ["three.txt"]
    again = await net.run("cache", "drop", ids["two"], "--peer", second.address, "--data", str(tmp_path / "second"))
    assert (again.code, again.lines[-1]["code"]) == (3, "file_not_found")
    wrong = await net.run("cache", "drop", "--peer", second.address, "--data", str(tmp_path / "second"))
    assert wrong.code == 2
    await own(net, second, "cache", "clear")
    await until_sources(net, ids["three"], 1)
    assert os.listdir(tmp_path / "second" / "cache") == []
    assert len(list((tmp_path / "got").iterdir())) == 3
    async with net.session.get(f"{second.url}/api/v1/cache") as answer:
        assert answer.status == 401


async def test_a_peer_that_does_not_pass_on_keeps_nothing(net: Network, tmp_path: Path) -> None:
    file_id = write(tmp_path / "a" / "mine.txt", b"mine")
    await net.add_peer("first", tmp_path / "a")
    await net.until_found("mine", file_id)
    net.settings["PEER_SHARE_DOWNLOADS"] = "false"
    second = await add(net, "second")
    await fetch(net, second, file_id, tmp_path / "got")
    (status,) = await own(net, second, "status")
    assert (status["shared_files"], await cached(net, second)) == (0, [])
    assert not (tmp_path / "second" / "cache").exists()
    assert second.process is not None
    second.process.send_signal(signal.SIGTERM)
    assert await second.process.wait() == 0
