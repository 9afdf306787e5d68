"""What listeners of `/ws` are told, in which order, and how little of a flood."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from common.http.hub import Hub
from common.runtime.clock import ManualClock, SystemClock
from superpeer.network.news import News
from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.superpeers import INTERVAL, Events, Site, serving
from tests.support.wire import connected

PEER_KEYS = {
    "id",
    "name",
    "address",
    "port",
    "last_seen",
    "is_online",
    "reputation",
    "shared_files",
    "shared_bytes",
    "region",
    "verified",
    "version",
    "direct",
}


async def test_the_numbers_come_first(site: Site) -> None:
    async with site.events() as events:
        first = await events.next()
    assert first["type"] == "stats_update"
    assert set(first) == {"type", "data", "timestamp"}
    assert first["timestamp"].endswith("Z")
    assert (first["data"]["total_peers"], first["data"]["network_health"]) == (0, 0.0)


async def test_the_numbers_of_a_greeting_are_those_of_this_moment(site: Site) -> None:
    async with site.events() as events:
        await events.next()
        await KeyedPeer(site).register()
        async with site.events() as later:
            assert (await later.next())["data"]["online_peers"] == 1


async def test_a_peer_and_its_files_are_told_in_order(site: Site) -> None:
    async with site.events() as events:
        peer = KeyedPeer(site)
        await peer.register(name="Desk")
        await peer.announce(entry("a.txt"))
        await peer.announce(entry("b.txt"), remove=["a.txt"])
        await peer.leave()
        await peer.beat()
        told = [await events.of("peer_registered", "peer_offline", "peer_online", *FILE_EVENTS) for _ in range(6)]
    assert [event["type"] for event in told] == [
        "peer_registered",
        "file_registered",
        "file_removed",
        "file_registered",
        "peer_offline",
        "peer_online",
    ]
    assert set(told[0]["data"]) == PEER_KEYS
    assert (told[0]["data"]["id"], told[0]["data"]["name"], told[0]["data"]["is_online"]) == (peer.id, "Desk", True)
    assert told[1]["data"]["filename"] == "a.txt"
    assert told[1]["data"] | {"downloads": 0} == told[1]["data"]
    assert told[2]["data"] == {"id": content_id("a.txt"), "peer_id": peer.id}
    assert told[4]["data"]["is_online"] is False
    assert told[5]["data"]["is_online"] is True


FILE_EVENTS = ("file_registered", "file_removed", "files_registered", "files_removed")


async def test_who_falls_silent_is_told(site: Site) -> None:
    async with site.events() as events:
        peer = KeyedPeer(site)
        await peer.register()
        await site.pass_time(3 * INTERVAL + 1)
        assert (await events.of("peer_offline"))["data"]["id"] == peer.id


async def test_a_registration_again_is_no_news(site: Site) -> None:
    async with site.events() as events:
        peer = KeyedPeer(site)
        for _ in range(3):
            await peer.register()
        await peer.leave()
        assert (await events.of("peer_registered", "peer_offline"))["type"] == "peer_registered"
        assert (await events.of("peer_registered", "peer_offline"))["type"] == "peer_offline"
        await peer.register()
        assert (await events.of("peer_registered", "peer_online"))["type"] == "peer_registered"


async def test_an_edited_file_is_a_removal_and_an_announcement(site: Site) -> None:
    async with site.events() as events:
        peer = KeyedPeer(site)
        await peer.register()
        await peer.announce(entry("a.txt", "old"))
        await peer.announce(entry("a.txt", "new"))
        told = [await events.of(*FILE_EVENTS) for _ in range(3)]
    assert [(event["type"], event["data"]["id"]) for event in told] == [
        ("file_registered", content_id("old")),
        ("file_removed", content_id("old")),
        ("file_registered", content_id("new")),
    ]


async def test_ten_thousand_files_are_a_few_frames(tmp_path: Path) -> None:
    async with serving(tmp_path, system_clock=SystemClock()) as site, site.events() as events:
        peer = KeyedPeer(site)
        await peer.register()
        for start in range(0, 10_000, 1000):
            await peer.announce(*(entry(f"{start + n}") for n in range(1000)))
        frames = await _until(events, "files_registered", 10_000)
        assert frames < 60
        await peer.announce(base=0, complete=True)
        assert await _until(events, "files_removed", 10_000) < 30


async def _until(events: Events, kind: str, wanted: int) -> int:
    """How many frames come until so many files have been told of."""
    frames, told = 0, 0
    while told < wanted:
        event = await events.next()
        frames += 1
        if event["type"] == kind:
            told += event["data"]["count"]
    assert told == wanted
    return frames


async def test_the_numbers_are_told_again_when_they_changed(site: Site) -> None:
    async with site.events() as events:
        await events.next()
        await KeyedPeer(site).register()
        await events.of("peer_registered")
        while (await events.of("stats_update"))["data"]["online_peers"] != 1:
            pass


async def test_a_listener_hears_of_what_it_asked_for(site: Site) -> None:
    async with site.events() as events:
        await events.subscribe("files")
        peer = KeyedPeer(site)
        await peer.register()
        await peer.share("a.txt")
        assert (await events.next())["type"] == "file_registered"
        await events.subscribe("peers")
        await peer.share("b.txt")
        await peer.leave()
        assert (await events.next())["type"] == "peer_offline"


async def test_what_nobody_knows_gets_an_error_and_the_socket_stays(site: Site) -> None:
    async with site.events() as events:
        for said, code in (
            ("{}", "invalid_body"),
            ("nonsense", "invalid_body"),
            ('{"type": 5}', "invalid_body"),
            ('{"type": "dance"}', "unknown_type"),
            ('{"type": "subscribe", "data": {"topics": ["weather"]}}', "invalid_body"),
            ("[" * 100_000, "invalid_body"),
        ):
            await events.socket.send_str(said)
            assert (await events.of("error"))["data"]["code"] == code, said[:50]
        await KeyedPeer(site).register()
        assert await events.of("peer_registered")


async def test_a_listener_who_does_not_read_keeps_nobody_waiting(site: Site) -> None:
    async with connected(site.port, receive_buffer=4096) as deaf, site.events() as events:
        deaf.request("/ws", Upgrade="websocket", Connection="Upgrade", **_HANDSHAKE)
        assert (await deaf.head())[0] == 101
        deaf.stop_reading()
        program = Peer(site, "p")
        await program.register()
        for n in range(60):
            site.clock.advance(1)
            await program.announce(*(entry(f"{n}-{m}", tags=["x" * 60] * 20) for m in range(10)))
        told = [(await events.of("file_registered"))["data"]["id"] for _ in range(600)]
        assert len(set(told)) == 600


_HANDSHAKE = {"Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}


async def test_the_end_of_the_daemon_is_told(tmp_path: Path) -> None:
    async def to_the_end(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for _ in socket:
            pass

    async with aiohttp.ClientSession() as session:
        async with serving(tmp_path) as site:
            socket = await session.ws_connect(f"{site.url}/ws")
            await socket.receive_json()
            reading = asyncio.create_task(to_the_end(socket))
        await reading
        assert socket.close_code == 1001


async def test_many_listeners_hear_the_same(site: Site) -> None:
    async with site.events() as one, site.events() as two, site.events() as three:
        await KeyedPeer(site).register()
        told = await asyncio.gather(*(each.of("peer_registered") for each in (one, two, three)))
    assert told[0] == told[1] == told[2]


def test_changes_are_noticed_once() -> None:
    news = News(Hub(ManualClock()), ManualClock())
    assert news.take_changed()
    assert not news.take_changed()
    news.removed("p", ["x"])
    assert news.take_changed()
    news.to_tell("p", ["x"])
    assert news.take_changed()


def test_with_nobody_listening_nothing_is_kept_to_be_told() -> None:
    hub = Hub(ManualClock())
    news = News(hub, ManualClock())
    assert news.to_tell("p", ["x"]) == []
    news.to_tell("p", [str(n) for n in range(100)])
    heard: list[Any] = []
    with hub.listening() as listener:
        news.flush()
        while not listener.queue.empty():
            heard.append(listener.queue.get_nowait())
    assert heard == []
