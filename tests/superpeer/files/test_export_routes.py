"""`.meta4` and `.torrent` of a file, over HTTP, with sources that know piece hashes, lie about them, or know none."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from common.content.torrent_pieces import piece_length
from superpeer.files.torrent_hashes import KEPT
from tests.support.exports import bdecode, metalink_of, sha1_pieces
from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.sources import serve
from tests.support.superpeers import Site, serving

CONTENT = "what the file holds"
FILE = content_id(CONTENT)
SIZE = len(CONTENT)
PIECES = sha1_pieces(CONTENT.encode(), piece_length(SIZE))
Tell = Callable[[], web.Response]


def told(**changes: Any) -> Tell:
    """A source's answer, right but for these keys."""
    right = {"id": FILE, "size": SIZE, "piece_length": piece_length(SIZE), "pieces": base64.b64encode(PIECES).decode()}
    return lambda: web.json_response(right | changes)


def pending() -> web.Response:
    problem = {"code": "hashes_pending", "detail": "d", "status": 503, "title": "t", "type": "about:blank"}
    headers = {"Retry-After": "7"}
    return web.json_response(problem, status=503, content_type="application/problem+json", headers=headers)


class Sources:
    """Peers that announce the file, and listeners that answer for them; `asked` says which were."""

    def __init__(self, site: Site, stack: AsyncExitStack) -> None:
        self.site = site
        self.asked: list[str] = []
        self._stack = stack

    async def add(self, seed: str, tell: Tell, name: str = "file.txt") -> KeyedPeer:
        async def handle(request: web.Request) -> web.Response:
            assert request.path == f"/api/v1/torrent-pieces/{FILE}"
            self.asked.append(seed)
            return tell()

        address = await serve(self._stack, handle)
        peer = KeyedPeer(self.site, seed, int(address.rpartition(":")[2]))
        await peer.register()
        await peer.announce(entry(name, CONTENT))
        return peer


@pytest.fixture
async def sources(site: Site) -> AsyncIterator[Sources]:
    async with AsyncExitStack() as stack:
        yield Sources(site, stack)


async def torrent(site: Site) -> Any:
    answer = await site.call("GET", f"/api/v1/files/{FILE}.torrent")
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/x-bittorrent"
    assert 'filename="file.txt.torrent"' in answer.headers["Content-Disposition"]
    return bdecode(answer.body)


async def test_a_metalink_names_every_complete_source_online_best_first(site: Site) -> None:
    one, two, away, part = [KeyedPeer(site, seed, 9001 + n) for n, seed in enumerate(("one", "two", "away", "part"))]
    for peer in (one, two, away, part):
        await peer.register()
    for peer in (one, two, away):
        await peer.announce(entry("a & <b>.txt", CONTENT))
    await one.beat(load={"active_uploads": 3, "upload_slots": 4})
    await site.call("POST", f"/api/v1/files/{FILE}/swarm", {"manifest": FILE, "proven": 1}, part.headers)
    await away.leave()
    answer = await site.call("GET", f"/api/v1/files/{FILE}.meta4")
    assert answer.headers["Content-Type"] == "application/metalink4+xml"
    document = metalink_of(answer.body)
    assert (document.name, document.size, document.sha256) == ("a & _b_.txt", SIZE, FILE)
    assert document.urls == [f"http://127.0.0.1:{port}/api/v1/download/{FILE}" for port in (9002, 9001)]


async def test_where_files_are_named_by_another_hash_none_is_claimed_to_be_a_sha256(tmp_path: Path) -> None:
    async with serving(tmp_path, security={"hash_algorithm": "blake3"}) as site:
        peer = KeyedPeer(site)
        await peer.register()
        await peer.announce(entry("a.txt", CONTENT))
        assert metalink_of((await site.call("GET", f"/api/v1/files/{FILE}.meta4")).body).sha256 is None


@pytest.mark.parametrize("kind", ["meta4", "torrent"])
async def test_what_nobody_has_or_may_see_is_not_exported(site: Site, kind: str) -> None:
    path = f"/api/v1/files/{FILE}.{kind}"
    assert await site.refused(path) == (404, "file_not_found")
    assert await site.refused(f"/api/v1/files/x.{kind}") == (404, "file_not_found")
    peer = KeyedPeer(site)
    await peer.register()
    await peer.announce(entry("a.txt", CONTENT, audience="friends"))
    assert await site.refused(path) == (404, "file_not_found")
    await peer.announce(entry("a.txt", CONTENT))
    await peer.leave()
    assert await site.refused(path) == (503, "no_source_online")


async def test_a_torrent_has_the_sources_as_web_seeds_and_their_hashes(sources: Sources) -> None:
    peer = await sources.add("one", told())
    document = await torrent(sources.site)
    assert document[b"info"][b"pieces"] == PIECES
    assert (document[b"info"][b"name"], document[b"info"][b"length"]) == (b"file.txt", SIZE)
    assert document[b"url-list"] == [f"http://127.0.0.1:{peer.port}/api/v1/download/{FILE}".encode()]
    assert b"announce" not in document


async def test_hashes_are_asked_for_once_in_a_while(sources: Sources) -> None:
    peer = await sources.add("one", told())
    first = await torrent(sources.site)
    assert await torrent(sources.site) == first
    assert sources.asked == ["one"]
    sources.site.clock.advance(KEPT + 1)
    await peer.beat()
    assert await torrent(sources.site) == first
    assert sources.asked == ["one", "one"]


async def test_hashes_that_are_being_made_are_worth_coming_back_for(sources: Sources) -> None:
    await sources.add("one", pending)
    answer = await sources.site.call("GET", f"/api/v1/files/{FILE}.torrent")
    assert answer.problem() == (503, "hashes_pending")
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    "wrong",
    [
        told(pieces=base64.b64encode(PIECES * 2).decode()),
        told(pieces=base64.b64encode(PIECES[:-1]).decode()),
        told(pieces=""),
        told(pieces="AAA"),
        told(pieces="%%%"),
        told(id="0" * 64),
        told(size=SIZE + 1),
        told(piece_length=1),
        told(pieces=None),
        lambda: web.Response(body=b"<html>"),
        lambda: web.Response(status=404),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        lambda: web.Response(body=b"[" * 2_000_000),
    ],
)
async def test_what_cannot_be_the_hashes_is_asked_of_another(sources: Sources, wrong: Tell) -> None:
    liar = await sources.add("liar", wrong)
    assert await sources.site.refused(f"/api/v1/files/{FILE}.torrent") == (503, "no_source_online")
    honest = await sources.add("honest", told())
    await liar.beat(load={"active_uploads": 0, "upload_slots": 4})
    await honest.beat(load={"active_uploads": 3, "upload_slots": 4})
    assert (await torrent(sources.site))[b"info"][b"pieces"] == PIECES
    assert sources.asked == ["liar", "liar", "honest"]


async def test_no_more_than_a_few_are_asked(sources: Sources) -> None:
    for n in range(5):
        await sources.add(f"{n}", told(size=0))
    assert await sources.site.refused(f"/api/v1/files/{FILE}.torrent") == (503, "no_source_online")
    assert len(sources.asked) == 3


async def test_an_address_that_may_not_be_dialled_is_not(site: Site) -> None:
    program = Peer(site, "program", 80)
    await program.register()
    await program.announce(entry("a.txt", CONTENT))
    assert await site.refused(f"/api/v1/files/{FILE}.torrent") == (503, "no_source_online")


async def test_an_id_may_be_written_in_capitals(sources: Sources) -> None:
    await sources.add("one", told())
    for kind in ("meta4", "torrent"):
        assert (await sources.site.call("GET", f"/api/v1/files/{FILE.upper()}.{kind}")).status == 200


async def test_an_empty_file_has_a_metalink_but_no_torrent(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.announce(entry("empty.txt", ""))
    path = f"/api/v1/files/{content_id('')}"
    assert metalink_of((await site.call("GET", f"{path}.meta4")).body).size == 0
    assert await site.refused(f"{path}.torrent") == (404, "not_found")
