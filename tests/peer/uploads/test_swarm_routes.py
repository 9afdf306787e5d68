"""What a crowd asks of a peer, over real sockets: its pieces, news of them, and a piece of its choice."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from common.content.grid import SMALLEST_PIECE as PIECE
from common.content.pieces import from_text, set_of, to_text
from peer.uploads import swarm_routes
from peer.uploads.holdings import MOST_FOLLOWERS, Holding
from tests.support.crowds import Member, member
from tests.support.sources import Content
from tests.support.waiting import until
from tests.support.wire import asked

COUNT = 4


@pytest.fixture
def content() -> Content:
    return Content(os.urandom((COUNT - 1) * PIECE + 1000))


@pytest.fixture
async def seed(tmp_path: Path, content: Content) -> AsyncIterator[Member]:
    async with member(tmp_path / "seed") as made:
        assert made.shelf.put(content.data) == content.id
        made.shelf.manifests[content.id] = content.manifest().digest
        yield made


@pytest.fixture
async def fetching(tmp_path: Path) -> AsyncIterator[Member]:
    async with member(tmp_path / "fetching") as made:
        yield made


def holding(fetching: Member, content: Content, folder: Path, *pieces: int, met: Any = None) -> Holding:
    """What it has of a file: the bytes of these pieces, zeros elsewhere."""
    path = folder / "part"
    with path.open("wb") as part:
        for piece in pieces:
            part.seek(piece * PIECE)
            part.write(content.data[piece * PIECE : (piece + 1) * PIECE])
    fd = os.open(path, os.O_RDONLY)
    made = fetching.holdings.begin(
        content.id, len(content.data), "name.bin", content.manifest().digest, fd, met or (lambda address, port: None)
    )
    for piece in pieces:
        made.add(piece)
    return made


@asynccontextmanager
async def following(peer: Member, content: Content, query: str = "") -> AsyncIterator[AsyncIterator[Any]]:
    """The lines that a follower gets."""
    url = f"http://127.0.0.1:{peer.port}/api/v1/have/{content.id}?follow=true{query}"

    async def lines() -> AsyncIterator[Any]:
        async for line in response.content:
            yield msgspec.json.decode(line)

    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        yield lines()


async def test_a_whole_file_is_had_completely(seed: Member, content: Content) -> None:
    answer = await asked(seed.port, f"/api/v1/have/{content.id}")
    assert answer.json() == {
        "id": content.id,
        "size": len(content.data),
        "piece_size": PIECE,
        "manifest": content.manifest().digest,
        "complete": True,
        "pieces": "",
    }
    async with following(seed, content) as lines:
        assert [line["complete"] async for line in lines] == [True]


async def test_of_a_file_on_its_way_the_proven_pieces_are_told(
    fetching: Member, content: Content, tmp_path: Path
) -> None:
    holding(fetching, content, tmp_path, 1, 3)
    told = (await asked(fetching.port, f"/api/v1/have/{content.id.upper()}")).json()
    assert not told["complete"]
    assert from_text(told["pieces"], COUNT) == set_of([1, 3])


async def test_who_follows_hears_of_pieces_as_they_are_proven_and_of_the_last(
    fetching: Member, content: Content, tmp_path: Path
) -> None:
    met: list[tuple[str, int]] = []
    one = holding(fetching, content, tmp_path, 0, met=lambda address, port: met.append((address, port)))
    async with asyncio.timeout(20), following(fetching, content, "&port=2345") as lines:
        assert from_text((await anext(lines))["pieces"], COUNT) == 1
        one.add(2)
        assert await anext(lines) == {"add": [2], "complete": False}
        one.add(1)
        one.add(3)
        rest = [line async for line in lines]
        assert sorted(piece for line in rest for piece in line["add"]) == [1, 3]
        assert rest[-1]["complete"]
    assert met == [("127.0.0.1", 2345)]
    await until(lambda: one.followers == 0)


async def test_a_line_without_news_says_that_the_peer_is_still_there(
    fetching: Member, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarm_routes, "STILL_HERE", 0.01)
    holding(fetching, content, tmp_path)
    async with asyncio.timeout(20), following(fetching, content) as lines:
        await anext(lines)
        assert await anext(lines) == {"add": [], "complete": False}


async def test_followers_hear_when_it_is_over(fetching: Member, content: Content, tmp_path: Path) -> None:
    one = holding(fetching, content, tmp_path, 0)
    async with asyncio.timeout(20), following(fetching, content) as lines:
        await anext(lines)
        one.withdraw()
        assert [line async for line in lines] == []
    assert (await asked(fetching.port, f"/api/v1/have/{content.id}")).problem() == (404, "file_not_found")


async def test_too_many_followers_are_sent_elsewhere(fetching: Member, content: Content, tmp_path: Path) -> None:
    one = holding(fetching, content, tmp_path, 0)
    one._followers = {asyncio.Event(): set() for _ in range(MOST_FOLLOWERS)}
    answer = await asked(fetching.port, f"/api/v1/have/{content.id}?follow=true")
    assert answer.problem() == (503, "too_many_requests")


async def test_proven_pieces_are_served_and_nothing_beyond_them(
    fetching: Member, content: Content, tmp_path: Path
) -> None:
    holding(fetching, content, tmp_path, 1, 3)
    url = f"/api/v1/download/{content.id}"
    for first, last in [(1, 1), (3, 3)]:
        span = slice(first * PIECE, min((last + 1) * PIECE, len(content.data)))
        answer = await asked(fetching.port, url, Range=f"bytes={span.start}-{span.stop - 1}")
        assert (answer.status, answer.body) == (206, content.data[span])
    for refused in [f"bytes=0-{PIECE - 1}", f"bytes={PIECE}-{2 * PIECE}", None]:
        answer = await asked(fetching.port, url, "GET", b"", **({"Range": refused} if refused else {}))
        assert answer.status == 404


async def test_each_piece_of_its_choice_goes_out_once_and_then_there_are_none(seed: Member, content: Content) -> None:
    url, sent = f"/api/v1/next/{content.id}", {}
    for _ in range(COUNT):
        answer = await asked(seed.port, url)
        assert answer.status == 206
        sent[answer.headers["Content-Range"]] = answer.body
    assert b"".join(sent[key] for key in sorted(sent, key=lambda span: int(span[6:].split("-")[0]))) == content.data
    assert (await asked(seed.port, url)).status == 204


async def test_nobody_is_sent_a_piece_that_it_has(seed: Member, content: Content) -> None:
    has = to_text(set_of([0, 1, 3]), COUNT)
    answer = await asked(seed.port, f"/api/v1/next/{content.id}", "GET", b"", **{"X-Have": has})
    assert answer.body == content.data[2 * PIECE : 3 * PIECE]
    assert (await asked(seed.port, f"/api/v1/next/{content.id}", "GET", b"", **{"X-Have": has})).status == 204


async def test_what_went_out_as_a_part_is_not_chosen_again(seed: Member, content: Content) -> None:
    await asked(seed.port, f"/api/v1/download/{content.id}", Range=f"bytes=0-{2 * PIECE - 1}")
    answer = await asked(seed.port, f"/api/v1/next/{content.id}")
    assert answer.body == content.data[2 * PIECE : 3 * PIECE]


@pytest.mark.parametrize("has", ["!", "gAAA", "//8=", "x" * 3000])
async def test_pieces_that_cannot_be_read_are_refused(seed: Member, content: Content, has: str) -> None:
    answer = await asked(seed.port, f"/api/v1/next/{content.id}", "GET", b"", **{"X-Have": has})
    assert answer.problem() == (400, "invalid_parameter")


@pytest.mark.parametrize("what", ["have", "next", "download"])
@pytest.mark.parametrize("file_id", ["ab" * 32, "x", "..%2f..%2fetc"])
async def test_what_is_not_here_is_not_found(seed: Member, what: str, file_id: str) -> None:
    assert (await asked(seed.port, f"/api/v1/{what}/{file_id}")).problem() == (404, "file_not_found")


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1"])
async def test_a_port_that_cannot_be_is_refused(seed: Member, content: Content, port: str) -> None:
    assert (await asked(seed.port, f"/api/v1/have/{content.id}?follow=true&port={port}")).status == 400
