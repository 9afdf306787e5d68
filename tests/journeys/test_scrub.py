"""A disk that loses a bit, with real processes: the file is withdrawn, its owner told, and it is back once repaired."""

import os
from pathlib import Path

from tests.peer.shares.test_scrub import rot
from tests.support.network import network, write


async def test_what_a_disk_has_lost_is_not_found_until_it_is_restored(tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    path = tmp_path / "share" / "beach.jpg"
    file_id = write(path, content)
    async with network(tmp_path, PEER_SCRUB_INTERVAL="300ms", PEER_SCRUB_RATE="0") as net:
        peer = await net.add_peer("one", tmp_path / "share")
        await net.until_found("beach", file_id)
        rot(path)
        await net.until_found("beach")
        ran = await net.run("status", "--peer", peer.address, "--data", str(tmp_path / "one"))
        [damaged] = ran.lines[0]["damaged"]
        assert (damaged["id"], damaged["path"]) == (file_id, str(path))
        async with net.session.get(f"{peer.url}/metrics") as answer:
            assert "shoal_peer_files_damaged 1.0" in await answer.text()
        async with net.session.get(f"{peer.url}/api/v1/files/damaged") as answer:
            assert answer.status == 401
        write(path, content)
        await net.until_found("beach", file_id)
