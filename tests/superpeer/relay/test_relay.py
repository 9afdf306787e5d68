"""Downloads through the super-peer, from a peer whose line and answers the test makes by hand."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from common.http.addresses import networks
from superpeer.relay import passage, relaying, switchboard
from tests.superpeer.relay.lines import HandLine, begin_post, first_line, line, undiallable
from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.sources import Content, honest, serve
from tests.support.superpeers import Site, serving
from tests.support.waiting import until
from tests.support.wire import Answer, asked, connected

ID = content_id("a.txt")
PATH = f"/api/v1/download/{ID}"
BODY = b"a.txt"


@pytest.fixture
async def hand(site: Site) -> AsyncIterator[HandLine]:
    peer = await undiallable(site)
    await peer.share("a.txt")
    async with line(site, peer) as opened:
        yield opened
    await until(lambda: site.daemon._switchboard.transfers == 0)


async def fetched(hand: HandLine, body: bytes = BODY, status: int = 200, **headers: str) -> Answer:
    """One relayed download, answered so."""
    asking = asyncio.create_task(asked(hand.site.port, PATH))
    request = await hand.asked()
    assert (await hand.answer(request["stream"], body, status, **headers)).status == 204
    return await asking


async def test_what_the_peer_posts_is_what_the_asker_gets(hand: HandLine) -> None:
    answer = await fetched(hand)
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.headers["ETag"] == f'"{ID}"'
    assert "X-Request-ID" in answer.headers


async def test_the_peer_is_asked_for_what_the_asker_wants_and_told_nothing_of_it(hand: HandLine) -> None:
    headers = {"Range": "bytes=1-2", "If-Range": f'"{ID}"', "Cookie": "secret", "X-Peer-ID": "me"}
    asking = asyncio.create_task(hand.site.call("GET", PATH, headers=headers))
    request = await hand.asked()
    assert (request["method"], request["path"]) == ("GET", PATH)
    assert request["headers"] == {"Range": "bytes=1-2", "If-Range": f'"{ID}"'}
    assert "127.0.0.1" not in str(request) and request["asker"] not in ("", "me")
    await hand.answer(request["stream"], b".t", 206, Content_Range="bytes 1-2/5")
    answer = await asking
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (206, b".t", "bytes 1-2/5")


async def test_head_brings_the_length_and_no_bytes(hand: HandLine) -> None:
    asking = asyncio.create_task(asked(hand.site.port, PATH, "HEAD"))
    request = await hand.asked()
    assert request["method"] == "HEAD"
    await hand.post(request["stream"], first_line(200, BODY))
    answer = await asking
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "5", b"")


@pytest.mark.parametrize(("status", "headers"), [(304, {}), (206, {"Content_Range": "bytes 0-4/5"})])
async def test_other_good_answers_pass(hand: HandLine, status: int, headers: dict[str, str]) -> None:
    answer = await fetched(hand, b"" if status == 304 else BODY, status, **headers)
    assert answer.status == status


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (404, {}, (404, "file_not_found")),
        (412, {}, (412, "precondition_failed")),
        (416, {"Content_Range": "bytes */5"}, (416, "range_not_satisfiable")),
        (503, {"Retry_After": "7"}, (503, "too_many_requests")),
        (200, {"Content_Length": "-5"}, (503, "source_unavailable")),
    ],
)
async def test_a_refusal_passes_as_one_of_ours(
    hand: HandLine, status: int, headers: dict[str, str], told: tuple[int, str]
) -> None:
    answer = await fetched(hand, b"", status, **headers)
    assert answer.problem() == told
    if "Retry_After" in headers:
        assert answer.headers["Retry-After"] == "7"


async def test_sources_and_peers_say_that_it_is_relayed_and_where(hand: HandLine) -> None:
    (source,) = await hand.site.get(f"/api/v1/files/{ID}/sources")
    assert source["url"] == f"http://127.0.0.1:{hand.site.port}{PATH}?relay={hand.peer.id}"
    assert (source["direct"], "relayed" in source["why"]) == (False, True)
    assert (await hand.site.get(f"/api/v1/peers/{hand.peer.id}"))["direct"] is False
    assert (await hand.peer.beat())["direct"] is False


async def test_a_hidden_file_is_not_relayed_to_anybody(hand: HandLine) -> None:
    await hand.peer.announce(entry("hidden.txt", audience="friends"))
    hidden = content_id("hidden.txt")
    for relay in ("1", hand.peer.id):
        for kind in ("download", "manifest", "have", "next"):
            answer = await asked(hand.site.port, f"/api/v1/{kind}/{hidden}?relay={relay}")
            assert answer.problem() == (404, "file_not_found"), kind
    assert (await fetched(hand)).body == BODY  # the first that the peer is asked


async def test_a_peer_is_asked_only_for_what_it_announced(hand: HandLine) -> None:
    other = KeyedPeer(hand.site, "other", 9002)
    await other.register()
    await other.share("b.txt")
    answer = await asked(hand.site.port, f"/api/v1/download/{content_id('b.txt')}?relay={hand.peer.id}")
    assert answer.problem() == (503, "no_source_online")


@pytest.mark.parametrize("kind", ["manifest", "have"])
async def test_piece_lists_come_through_too(hand: HandLine, kind: str) -> None:
    asking = asyncio.create_task(asked(hand.site.port, f"/api/v1/{kind}/{ID}?relay={hand.peer.id}&follow=false&port=9"))
    request = await hand.asked()
    assert request["path"] == f"/api/v1/{kind}/{ID}?follow=false"
    await hand.answer(request["stream"], b"{}")
    answer = await asking
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"{}", "application/json")


async def test_a_piece_of_the_sources_choice_comes_through_and_so_does_that_there_is_none(hand: HandLine) -> None:
    for status, body, more in ((206, b".t", {"Content_Range": "bytes 1-2/5"}), (204, b"", {})):
        asking = asyncio.create_task(asked(hand.site.port, f"/api/v1/next/{ID}?relay={hand.peer.id}", X_Have="gA=="))
        request = await hand.asked()
        assert (request["path"], request["headers"]) == (f"/api/v1/next/{ID}", {"X-Have": "gA=="})
        await hand.answer(request["stream"], body, status, **more)
        answer = await asking
        assert (answer.status, answer.body) == (status, body)


async def test_news_of_pieces_come_line_by_line_as_they_are_told(hand: HandLine) -> None:
    async with connected(hand.site.port) as asker, connected(hand.site.port) as post:
        asker.request(f"/api/v1/have/{ID}?relay={hand.peer.id}&follow=true")
        request = await hand.asked()
        begin_post(post, request["stream"], 10_000, hand.peer.headers)
        post.send(b'{"status": 200, "headers": {"Content-Type": "application/x-ndjson"}}\n')
        status, headers = await asker.head()
        assert (status, headers["Transfer-Encoding"]) == (200, "chunked")
        for number in range(5):
            post.send(b'{"add": [%d]}\n' % number)
            assert b'{"add": [%d]}\n' % number in await asker.reader.readuntil(b"}\n\r\n")
        post.transport.abort()
        assert not (await asker.rest()).endswith(b"0\r\n\r\n")  # cut, not ended


# Who ends what


async def begun(hand: HandLine, asker: Any, post: Any, length: int = 1_000_000) -> None:
    """A transfer of which the first bytes have arrived."""
    asker.request(PATH)
    request = await hand.asked()
    first = first_line(200, b"", Content_Length=str(length))
    begin_post(post, request["stream"], len(first) + length, hand.peer.headers)
    post.send(first + b"x" * 1000)
    await asker.head()
    await asker.reader.readexactly(1000)


async def test_when_the_peer_goes_the_asker_is_cut_off(hand: HandLine) -> None:
    async with connected(hand.site.port) as asker, connected(hand.site.port) as post:
        await begun(hand, asker, post)
        post.transport.abort()
        assert await asker.ended()


async def test_when_the_asker_goes_the_peer_is_cut_off(hand: HandLine) -> None:
    async with connected(hand.site.port) as asker, connected(hand.site.port) as post:
        await begun(hand, asker, post)
        asker.transport.abort()
        assert await post.ended()


async def test_when_the_line_goes_its_answers_are_cut_off(hand: HandLine) -> None:
    async with connected(hand.site.port) as asker, connected(hand.site.port) as post:
        await begun(hand, asker, post)
        await hand.socket.close()
        assert await asker.ended()
        assert await post.ended()


async def test_when_the_line_goes_before_the_answer_it_is_told_at_once(hand: HandLine) -> None:
    asking = asyncio.create_task(asked(hand.site.port, PATH))
    await hand.asked()
    await hand.socket.close()
    assert (await asking).problem() == (503, "source_unavailable")


async def test_less_than_was_announced_is_cut_and_more_is_not_passed_on(hand: HandLine) -> None:
    for announced in (len(BODY) + 1, len(BODY) - 1):
        async with connected(hand.site.port) as asker:
            asker.request(PATH)
            request = await hand.asked()
            raw = first_line(200, BODY, Content_Length=str(announced)) + BODY
            posting = asyncio.create_task(hand.post(request["stream"], raw))
            await asker.head()
            async with asyncio.timeout(10):  # well before an idle connection would be closed anyway
                assert len(await asker.rest()) < announced or announced < len(BODY)
            await asyncio.gather(posting, return_exceptions=True)


async def test_a_newer_line_takes_the_place_of_the_older(hand: HandLine) -> None:
    async with line(hand.site, hand.peer) as newer:
        assert (await hand.socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert hand.site.daemon._switchboard.lines == 1
        assert (await fetched(newer)).body == BODY


async def test_an_answer_that_does_not_begin_is_given_up(hand: HandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "HEAD_DEADLINE", 0.05)
    assert (await asked(hand.site.port, PATH)).problem() == (503, "timed_out")
    late = await hand.answer((await hand.asked())["stream"], BODY)
    assert late.problem() == (404, "stream_not_found")


async def test_a_source_that_falls_silent_is_given_up(hand: HandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "SILENCE", 0.05)
    async with connected(hand.site.port) as asker, connected(hand.site.port) as post:
        await begun(hand, asker, post)
        assert await asker.ended()
        assert await post.ended()


async def test_an_asker_that_takes_nothing_is_given_up(hand: HandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "STALLED", 0.2)
    async with connected(hand.site.port, receive_buffer=4096) as asker, connected(hand.site.port) as post:
        asker.stop_reading()
        asker.request(PATH)
        request = await hand.asked()
        first = first_line(200, b"", Content_Length=str(1 << 30))
        begin_post(post, request["stream"], len(first) + (1 << 30), hand.peer.headers)
        post.send(first + b"x" * (32 << 20))
        await until(lambda: hand.site.daemon._switchboard.transfers == 1)
        assert await post.ended()


async def test_a_stalled_asker_holds_back_its_source(hand: HandLine) -> None:
    async with connected(hand.site.port, receive_buffer=4096) as asker, connected(hand.site.port) as post:
        asker.stop_reading()
        asker.request(PATH)
        request = await hand.asked()
        length = 64 << 20
        first = first_line(200, b"", Content_Length=str(length))
        begin_post(post, request["stream"], len(first) + length, hand.peer.headers)
        post.send(first + b"x" * length)
        await until(lambda: hand.site.daemon._switchboard.bytes > 0)
        # What is not with us or with the kernel is still with the sender, and stays there.
        for _ in range(20):
            assert (await fetched(hand)).body == BODY
        assert post.transport.get_write_buffer_size() > length - (16 << 20)
        assert hand.site.daemon._switchboard.bytes < 4 << 20
        asker.read_on()
        await asker.head()
        await asker.reader.readexactly(length)


# Hostile ones


async def test_an_answer_to_somebody_elses_stream_is_refused_and_does_no_harm(hand: HandLine) -> None:
    other = KeyedPeer(hand.site, "other", 9002)
    await other.register()
    asking = asyncio.create_task(asked(hand.site.port, PATH))
    stream = (await hand.asked())["stream"]
    raw = first_line(200, b"evil!") + b"evil!"
    assert (await hand.post(stream, raw, other.headers)).problem() == (404, "stream_not_found")
    assert (await hand.post("x" * 32, raw)).problem() == (404, "stream_not_found")
    nobody = {"X-Peer-ID": hand.peer.id}
    assert (await hand.post(stream, raw, nobody)).problem() == (401, "token_required")
    forged = nobody | {"Authorization": "Bearer x"}
    assert (await hand.post(stream, raw, forged)).problem() == (401, "token_invalid")
    assert (await hand.answer(stream, BODY)).status == 204
    assert (await asking).body == BODY
    assert (await hand.answer(stream, BODY)).problem() == (404, "stream_not_found")


@pytest.mark.parametrize(
    "raw",
    [
        b"\n",
        b"not json\n",
        b"{}\n",
        b"[1]\n",
        b'{"status": 99, "headers": {}}\n',
        b'{"status": 200, "headers": {"Set-Cookie: x": "y"}}\n',
        b'{"status": 200, "headers": {"Content-Length": "5\\r\\nX: y"}}\n',
        b'{"status": 200, "headers": []}\n',
        b"x" * 20_000 + b"\n",
        b'{"status": 200}',
    ],
    ids=range(10),
)
async def test_a_head_that_is_none_is_refused_and_the_asker_told(hand: HandLine, raw: bytes) -> None:
    asking = asyncio.create_task(asked(hand.site.port, PATH))
    answer = await hand.post((await hand.asked())["stream"], raw)
    assert answer.problem() == (400, "invalid_body")
    assert (await asking).problem() == (503, "source_unavailable")
    assert (await fetched(hand)).body == BODY


async def test_huge_and_odd_headers_of_an_asker_are_refused_before_anybody_is_asked(hand: HandLine) -> None:
    for headers in ({"Range": "bytes=" + "0-1," * 500}, {"If_Range": "é" * 3}):
        assert (await asked(hand.site.port, PATH, **headers)).status in (400, 431)
    assert (await asked(hand.site.port, PATH, Range="x" * 9000)).status in (400, 431)
    assert (await asked(hand.site.port, f"/api/v1/have/{ID}?relay=1&follow=%0d%0aX:%20y")).status == 400
    assert (await fetched(hand)).body == BODY  # the first that the peer is asked


async def test_a_line_is_for_who_proves_to_be_the_peer(site: Site) -> None:
    peer = await undiallable(site)
    for headers in ({}, {"X-Peer-ID": peer.id}, {"X-Peer-ID": peer.id, "Authorization": "Bearer x"}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await site.session.ws_connect(f"{site.url}/api/v1/line", headers=headers)
        assert caught.value.status in (400, 401)
    foreign = {**peer.headers, "Origin": "http://evil.example"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await site.session.ws_connect(f"{site.url}/api/v1/line", headers=foreign)
    assert caught.value.status == 403
    assert (await site.call("GET", "/api/v1/line", headers=peer.headers)).problem() == (400, "bad_request")


async def test_a_peer_that_talks_on_its_line_is_not_listened_to_for_long(hand: HandLine) -> None:
    async def talk() -> None:
        while not hand.socket.closed:
            await hand.socket.send_str("x" * 100)

    talking = asyncio.create_task(talk())
    while (await hand.socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
        pass
    await asyncio.gather(talking, return_exceptions=True)
    await until(lambda: not hand.site.daemon._switchboard.has_line(hand.peer.id))


# Bounds


async def test_as_much_as_is_allowed_passes_at_one_time(tmp_path: Path) -> None:
    async with serving(tmp_path, relay_transfers=1) as site:
        peer = await undiallable(site)
        await peer.share("a.txt")
        async with line(site, peer) as hand:
            asking = asyncio.create_task(asked(site.port, PATH))
            request = await hand.asked()
            refused = await asked(site.port, PATH)
            assert refused.problem() == (503, "too_many_requests")
            assert refused.headers["Retry-After"] == "5"
            await hand.answer(request["stream"], BODY)
            assert (await asking).body == BODY
            assert (await fetched(hand)).body == BODY


async def test_a_line_and_an_address_have_their_share(hand: HandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchboard, "STREAMS_OF_LINE", 1)
    asking = asyncio.create_task(asked(hand.site.port, PATH))
    request = await hand.asked()
    assert (await asked(hand.site.port, PATH)).problem() == (503, "too_many_requests")
    await hand.answer(request["stream"], BODY)
    await asking
    board = hand.site.daemon._switchboard
    monkeypatch.setattr(switchboard, "STREAMS_OF_ASKER", 1)
    with board.passing("10.0.0.1"):
        with pytest.raises(Exception, match="Your address"), board.passing("10.0.0.1"):
            pass
        with board.passing("10.0.0.2"), board.passing(None), board.passing(None):
            assert board.transfers == 4


# Peers that can be dialled, and that nobody reaches


async def test_a_peer_that_can_be_dialled_is_relayed_on_demand_and_to_those_who_came_by_https(tmp_path: Path) -> None:
    content = Content(os.urandom(300_000))
    async with serving(tmp_path, trusted_proxies=networks(["127.0.0.1"])) as site, AsyncExitStack() as stack:
        where = await serve(stack, honest(content))
        peer = KeyedPeer(site, port=int(where.rpartition(":")[2]))
        await peer.register()
        await peer.announce({"path": "f", "id": content.id, "size": len(content.data)})
        path = f"/api/v1/download/{content.id}"
        assert (await asked(site.port, path)).status == 307
        for relay in ("1", peer.id):
            answer = await asked(site.port, f"{path}?relay={relay}")
            assert (answer.status, answer.body) == (200, content.data)
        https = await asked(site.port, path, X_Forwarded_Proto="https")
        assert (https.status, https.body) == (200, content.data)
        (listed,) = await site.get(f"/api/v1/files/{content.id}/sources")
        assert listed["direct"]
        part = await asked(site.port, f"{path}?relay=1", Range="bytes=100-", If_Range=f'"{content.id}"')
        assert (part.status, part.body) == (206, content.data[100:])


async def test_who_has_no_line_and_cannot_be_dialled_comes_last_and_is_told_so(site: Site) -> None:
    program, peer = Peer(site, "p", 9002), await undiallable(site)
    await program.register()
    seat = site.daemon.presence.find("p")
    assert seat is not None
    seat.direct = False
    await program.announce(entry("a.txt"))
    await peer.share("a.txt")
    async with line(site, peer):
        sources = await site.get(f"/api/v1/files/{ID}/sources")
        assert [source["peer_id"] for source in sources] == [peer.id, "p"]
        assert not sources[1]["direct"]
        assert "could not be dialled back" in sources[1]["why"]
        assert sources[1]["url"] == f"http://127.0.0.1:9002{PATH}"
    await until(lambda: not site.daemon._switchboard.has_line(peer.id))
    assert (await asked(site.port, f"{PATH}?relay=1")).problem() == (503, "no_source_online")


async def test_the_super_peer_stops_with_lines_and_transfers_open(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        peer = await undiallable(site)
        await peer.share("a.txt")
        socket = await site.session.ws_connect(f"{site.url}/api/v1/line", headers=peer.headers)
        asking = asyncio.create_task(asked(site.port, PATH))
        await socket.receive_json()
    assert (await asyncio.gather(asking, return_exceptions=True))[0]
    assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
