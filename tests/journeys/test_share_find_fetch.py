"""The main job with real processes: share a folder, find a file, fetch it proven; and everything that happens
meanwhile."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.network import Network, id_of, network, write


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


async def test_a_shared_file_is_found_and_fetched(net: Network, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    file_id = write(tmp_path / "a" / "holiday photos" / "beach.jpg", content)
    await net.add_peer("one", tmp_path / "a")
    found = await net.until_found("beach", file_id)
    assert found[file_id]["category"] == "image"
    ran = await net.run("get", "beach.jpg", "-o", "got.jpg", "--super-peer", net.super_peer.address)
    assert ran.code == 0, ran.err
    assert (tmp_path / "got.jpg").read_bytes() == content
    assert ran.lines[-1]["event"] == "finished"


async def test_equal_contents_are_one_file_with_two_sources(net: Network, tmp_path: Path) -> None:
    content = b"the same everywhere"
    file_id = write(tmp_path / "a" / "first name.txt", content)
    write(tmp_path / "b" / "second name.txt", content)
    await net.add_peer("one", tmp_path / "a")
    await net.until_found("name", file_id)
    await net.add_peer("two", tmp_path / "b")

    async def both() -> bool:
        return (await net.find("name"))[file_id]["sources"] == 2

    await net.until(both)
    found = (await net.find("second"))[file_id]
    assert {found["filename"], *found["names"]} == {"first name.txt", "second name.txt"}


async def test_the_disk_is_followed_while_it_runs(net: Network, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    first = write(folder / "draft.txt", b"one")
    await net.add_peer("one", folder)
    await net.until_found("draft", first)
    second = write(folder / "draft.txt", b"two")
    await net.until_found("draft", second)
    os.rename(folder / "draft.txt", folder / "final.txt")
    await net.until_found("final", second)
    await net.until_found("draft")
    deep = write(folder / "new" / "deeper" / "still deeper" / "note.md", b"hidden well")
    await net.until_found("note", deep)
    shutil.rmtree(folder / "new")
    await net.until_found("note")
    (folder / "final.txt").unlink()
    await net.until_found("final")


async def test_a_peer_that_leaves_takes_its_files_out_of_sight_and_brings_them_back(
    net: Network, tmp_path: Path
) -> None:
    file_id = write(tmp_path / "a" / "there.txt", b"there")
    peer = await net.add_peer("one", tmp_path / "a")
    await net.until_found("there", file_id)
    assert await peer.stop() == 0
    await net.until_found("there")
    assert set(await net.find("there", online="false")) == {file_id}
    async with net.session.get(f"{net.super_peer.url}/api/v1/download/{file_id}") as answer:
        assert answer.status == 503
        assert (await answer.json())["code"] == "no_source_online"
        assert "Retry-After" in answer.headers
    await net.start(peer)
    await net.until_found("there", file_id)


async def test_a_killed_peer_is_missed_after_three_heartbeats(net: Network, tmp_path: Path) -> None:
    file_id = write(tmp_path / "a" / "there.txt", b"there")
    peer = await net.add_peer("one", tmp_path / "a")
    await net.until_found("there", file_id)
    await peer.kill()
    await net.until_found("there")


async def test_a_super_peer_that_lost_its_database_is_whole_again(net: Network, tmp_path: Path) -> None:
    ids = [write(tmp_path / "a" / f"number {n}.txt", b"%d" % n) for n in range(50)]
    await net.add_peer("one", tmp_path / "a")
    await net.until_found("number", *ids, limit="1000")
    await net.super_peer.kill()
    shutil.rmtree(tmp_path / "superpeer")
    await net.start(net.super_peer)
    await net.until_found("number", *ids, limit="1000")


async def test_a_killed_super_peer_goes_on_where_it_was(net: Network, tmp_path: Path) -> None:
    file_id = write(tmp_path / "a" / "there.txt", b"there")
    await net.add_peer("one", tmp_path / "a")
    await net.until_found("there", file_id)
    await net.super_peer.kill()
    await net.start(net.super_peer)
    # Who was online at the last write is believed to be so: nothing has to be announced again.
    assert set(await net.find("there")) == {file_id}
    second = write(tmp_path / "a" / "there too.txt", b"there too")
    await net.until_found("there", file_id, second)


async def test_a_peer_that_lost_its_database_announces_anew_and_leaves_nothing_stale(
    net: Network, tmp_path: Path
) -> None:
    kept = write(tmp_path / "a" / "kept.txt", b"kept")
    gone = write(tmp_path / "a" / "gone.txt", b"gone")
    peer = await net.add_peer("one", tmp_path / "a")
    await net.until_found("", kept, gone)
    await peer.kill()
    for path in (tmp_path / "one").glob("*.sqlite*"):
        path.unlink()
    (tmp_path / "a" / "gone.txt").unlink()
    await net.start(peer)
    await net.until_found("", kept)


async def test_many_real_files_with_many_equal_ones(net: Network, tmp_path: Path) -> None:
    shutil.copytree(Path(os.__file__).parent / "email", tmp_path / "a" / "email", ignore=shutil.ignore_patterns(".*"))
    for number in range(20):
        write(tmp_path / "a" / f"package {number}" / "__init__.py", b"")
    await net.add_peer("one", tmp_path / "a")
    expected = {
        id_of(path.read_bytes())
        for path in (tmp_path / "a").rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    await net.until_found("", *expected, limit="1000")
    stats = await net.get(f"{net.super_peer.url}/api/v1/stats")
    assert stats["total_files"] == len(expected)


async def test_the_owner_shares_and_unshares_from_the_command_line(net: Network, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    elsewhere = write(tmp_path / "elsewhere" / "song.mp3", b"la la la")
    peer = await net.add_peer("one", tmp_path / "a")
    own = ("--peer", peer.address, "--data", str(tmp_path / "one"))
    shared = await net.run("share", str(tmp_path / "elsewhere" / "song.mp3"), "--tag", "summer", *own)
    assert shared.code == 0, shared.err
    assert shared.lines[-1]["file_id"] == elsewhere
    assert set(await net.until_found("summer", elsewhere)) == {elsewhere}
    assert [file["id"] for file in (await net.run("ls", *own)).lines] == [elsewhere]
    assert (await net.run("unshare", elsewhere, *own)).code == 0
    await net.until_found("song")
    await peer.stop()
    await net.start(peer)
    registered = (await net.run("status", *own)).lines[-1]
    assert registered["shared_files"] == 0
    assert (await net.run("share", str(tmp_path / "elsewhere" / "song.mp3"), *own)).code == 0
    await net.until_found("song", elsewhere)


async def test_three_peers_start_at_once(net: Network, tmp_path: Path) -> None:
    names = ("red", "green", "blue")
    ids = [write(tmp_path / "shares" / name / f"{name}.txt", name.encode()) for name in names]
    await asyncio.gather(*(net.add_peer(name, tmp_path / "shares" / name) for name in names))
    await net.until_found("txt", *ids)
    peers = await net.get(f"{net.super_peer.url}/api/v1/peers")
    assert all(peer["verified"] and peer["is_online"] for peer in peers)
    assert len(peers) == 3
