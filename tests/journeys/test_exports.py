"""What other download programs are given works: every address in a Metalink or torrent of real peers leads to the file,
part by part, and what the documents promise of it is true."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.content.torrent_pieces import piece_length
from tests.support.exports import bdecode, metalink_of, sha1_pieces
from tests.support.network import Network, id_of, network, write

CONTENT = os.urandom(3 * 256 * 1024 + 4321)
FILE = id_of(CONTENT)


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    """Two peers that share the same under different names."""
    async with network(tmp_path) as made:
        for name in ("one", "two"):
            write(tmp_path / "shares" / name / f"{name} & more.bin", CONTENT)
            await made.add_peer(name, tmp_path / "shares" / name)

        async def both() -> bool:
            found = await made.get(f"{made.super_peer.url}/api/v1/files/{FILE}/sources")
            return found is not None and len(found) == 2

        await made.until(both)
        yield made


async def export(net: Network, kind: str) -> bytes | None:
    """The document, once it is there."""
    async with net.session.get(f"{net.super_peer.url}/api/v1/files/{FILE}.{kind}") as answer:
        assert answer.status in (200, 503), await answer.text()
        return await answer.read() if answer.status == 200 else None


async def test_every_address_of_a_metalink_gives_the_file_that_it_promises(net: Network) -> None:
    document = await export(net, "meta4")
    assert document is not None
    told = metalink_of(document)
    assert told.name in ("one & more.bin", "two & more.bin")
    assert len(told.urls) == 2
    for url in told.urls:
        async with net.session.get(url) as answer:
            body = await answer.read()
        assert (len(body), id_of(body)) == (told.size, told.sha256)


async def test_every_web_seed_of_a_torrent_gives_the_pieces_that_it_promises(net: Network) -> None:
    told = bdecode(await net.until(lambda: export(net, "torrent")))
    info = told[b"info"]
    assert (info[b"length"], info[b"piece length"]) == (len(CONTENT), piece_length(len(CONTENT)))
    assert info[b"pieces"] == sha1_pieces(CONTENT, info[b"piece length"])
    assert len(told[b"url-list"]) == 2
    for url in told[b"url-list"]:
        parts = []
        for start in range(0, info[b"length"], info[b"piece length"]):
            last = min(start + info[b"piece length"], info[b"length"]) - 1
            async with net.session.get(url.decode(), headers={"Range": f"bytes={start}-{last}"}) as answer:
                assert answer.status == 206
                parts.append(await answer.read())
        assert b"".join(parts) == CONTENT


async def test_curl_goes_on_where_it_stopped(net: Network, tmp_path: Path) -> None:
    """As `curl -C -` asks: what is missing, of wherever it is sent."""
    url = f"{net.super_peer.url}/api/v1/download/{FILE}"
    async with net.session.get(url, headers={"Range": "bytes=300000-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (
            206,
            f"bytes 300000-{len(CONTENT) - 1}/{len(CONTENT)}",
        )
        assert await answer.read() == CONTENT[300000:]
