import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web

from common.http import hub as hub_module
from common.http.hub import QUEUED, Hub, Listener, Spoken
from common.http.serve import Running
from common.runtime.clock import ManualClock
from common.wire.events import MAX_FRAME
from tests.support.daemon import running, tiny_daemon
from tests.support.waiting import until
from tests.support.wire import alive, asked, connected

HANDSHAKE: dict[str, Any] = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
PADDING = "x" * 20_000


class Room:
    """A daemon with a hub on `/ws`; its state is a number that the greeting tells."""

    def __init__(self) -> None:
        self.hub = Hub(ManualClock())
        self.state = 0
        self.topics: Iterable[str] = ("peers", "files", "stats", "transfers")
        self.heard: list[Spoken] = []

    def greeting(self) -> Iterable[str]:
        yield self.hub.frame("state", self.state)

    def said(self, listener: Listener, spoken: Spoken) -> bool:
        self.heard.append(spoken)
        return spoken.type == "known"

    async def events(self, request: web.Request) -> web.WebSocketResponse:
        return await self.hub.serve(request, self.greeting, self.said, self.topics)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Running]:
        daemon = tiny_daemon(routes=[web.get("/ws", self.events)])
        daemon.at_stop = self.hub.close
        async with running(daemon) as served:
            yield served
        assert len(self.hub) == 0
        assert not self.hub._sockets


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def told(socket: ClientWebSocketResponse) -> tuple[str, Any]:
    """The next event's type and data."""
    event = await socket.receive_json(timeout=30)
    assert event["timestamp"] == "2023-11-14T22:13:20Z"
    assert set(event) == {"type", "data", "timestamp"}
    return event["type"], event["data"]


async def test_the_server_speaks_first(session: ClientSession) -> None:
    room = Room()
    room.state = 7
    async with room.open() as daemon, session.ws_connect(f"{daemon.url}/ws") as socket:
        assert await told(socket) == ("state", 7)


async def test_events_follow_in_their_order(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon, session.ws_connect(f"{daemon.url}/ws") as socket:
        await told(socket)
        for number in range(100):
            room.hub.publish("peers", "peer_online", {"number": number})
        assert [await told(socket) for _ in range(100)] == [("peer_online", {"number": n}) for n in range(100)]


async def test_everybody_hears_the_topics_that_they_want(session: ClientSession) -> None:
    room = Room()
    async with (
        room.open() as daemon,
        session.ws_connect(f"{daemon.url}/ws") as picky,
        session.ws_connect(f"{daemon.url}/ws") as curious,
    ):
        await told(picky)
        await told(curious)
        await picky.send_json({"type": "subscribe", "data": {"topics": ["files"], "later": 1}})
        # An answer to something else shows that the subscription was read.
        await picky.send_json({"type": "nonsense"})
        assert (await told(picky))[0] == "error"
        for topic in ("peers", "files", "stats"):
            room.hub.publish(topic, topic, None)
        assert await told(picky) == ("files", None)
        assert [await told(curious) for _ in range(3)] == [("peers", None), ("files", None), ("stats", None)]
        await picky.send_json({"type": "subscribe", "data": {"topics": []}})
        await picky.send_json({"type": "nonsense"})
        assert (await told(picky))[0] == "error"
        room.hub.publish("files", "files", None)
        await picky.send_json({"type": "nonsense"})
        assert (await told(picky))[0] == "error"


async def test_nobody_hears_what_they_may_not(session: ClientSession) -> None:
    room = Room()
    room.topics = ("files",)
    async with room.open() as daemon, session.ws_connect(f"{daemon.url}/ws") as socket:
        await told(socket)
        await socket.send_json({"type": "subscribe", "data": {"topics": ["files", "transfers"]}})
        await socket.send_json({"type": "nonsense"})
        assert (await told(socket))[0] == "error"
        room.hub.publish("transfers", "transfers", None)
        room.hub.publish("files", "files", None)
        assert await told(socket) == ("files", None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_body"),
        ("nonsense", "invalid_body"),
        ("[]", "invalid_body"),
        ("{}", "invalid_body"),
        ('{"type": 1}', "invalid_body"),
        ('{"type": "subscribe"}', "invalid_body"),
        ('{"type": "subscribe", "data": {"topics": "files"}}', "invalid_body"),
        ('{"type": "subscribe", "data": {"topics": ["everything"]}}', "invalid_body"),
        ('{"type": "\\ud800"}', "invalid_body"),
        ("[" * 100_000, "invalid_body"),
        ('{"type": "x", "data": ' + "[" * 100_000 + "]" * 100_000 + "}", "invalid_body"),
        ('{"type": "room.join"}', "unknown_type"),
        ('{"type": "' + "x" * 10_000 + '"}', "unknown_type"),
        ('{"type": "\\u0000\\u202e"}', "unknown_type"),
    ],
)
async def test_what_nobody_understands_gets_an_error(session: ClientSession, text: str, code: str) -> None:
    room = Room()
    async with room.open() as daemon, session.ws_connect(f"{daemon.url}/ws") as socket:
        await told(socket)
        await socket.send_str(text)
        kind, data = await told(socket)
        assert (kind, data["code"]) == ("error", code)
        assert len(data["detail"]) < 300
        room.hub.publish("files", "files", None)
        assert await told(socket) == ("files", None)


async def test_what_the_daemon_knows_is_for_the_daemon(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon, session.ws_connect(f"{daemon.url}/ws") as socket:
        await told(socket)
        await socket.send_json({"type": "known", "data": {"a": 1}, "more": True})
        await socket.send_json({"type": "unknown"})
        assert (await told(socket))[1]["code"] == "unknown_type"
    assert room.heard == [Spoken("known", {"a": 1}), Spoken("unknown")]


async def test_bytes_are_not_a_message(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon, session.ws_connect(f"{daemon.url}/ws") as socket:
        await told(socket)
        await socket.send_bytes(b"\xff\x00")
        room.hub.publish("files", "files", None)
        assert await told(socket) == ("files", None)


async def test_a_frame_too_large_ends_the_connection(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon:
        async with session.ws_connect(f"{daemon.url}/ws") as socket:
            await told(socket)
            await socket.send_str("x" * (MAX_FRAME + 1))
            message = await socket.receive(timeout=30)
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
        assert await alive(daemon.port)


async def test_a_burst_that_a_listener_cannot_take_is_followed_by_the_state(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon, session.ws_connect(f"{daemon.url}/ws") as socket:
        assert await told(socket) == ("state", 0)
        for number in range(QUEUED + 50):
            room.hub.publish("files", "file_registered", number)
        room.state = 99
        assert [await told(socket) for _ in range(QUEUED)] == [("file_registered", n) for n in range(QUEUED)]
        assert await told(socket) == ("state", 99)
        room.hub.publish("files", "file_registered", "next")
        assert await told(socket) == ("file_registered", "next")


async def test_a_listener_that_does_not_read_holds_up_nobody_and_hears_the_state_later(session: ClientSession) -> None:
    room = Room()
    frames = 1500
    async with (
        room.open() as daemon,
        session.ws_connect(f"{daemon.url}/ws") as reader,
        session.ws_connect(f"{daemon.url}/ws") as sleeper,
    ):
        await told(reader)
        await told(sleeper)
        for number in range(frames):
            room.hub.publish("files", "file_registered", [number, PADDING])
            assert (await told(reader))[1][0] == number
        room.state = frames
        heard = [await told(sleeper)]
        while heard[-1][0] != "state":
            heard.append(await told(sleeper))
        assert heard[-1] == ("state", frames)
        numbers = [data[0] for _, data in heard[:-1]]
        assert numbers == sorted(set(numbers))
        assert len(numbers) < frames


async def test_a_listener_that_is_gone_is_forgotten(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon:
        async with session.ws_connect(f"{daemon.url}/ws") as socket:
            await told(socket)
            assert len(room.hub) == 1
        await until(lambda: len(room.hub) == 0)
        async with connected(daemon.port) as wire:
            wire.request("/ws", Sec_WebSocket_Key=KEY, **HANDSHAKE)
            assert (await wire.head())[0] == 101
            await until(lambda: len(room.hub) == 1)
        # That one was torn off without a word.
        await until(lambda: len(room.hub) == 0)
        room.hub.publish("files", "files", None)
        assert await alive(daemon.port)


async def test_a_listener_that_answers_no_ping_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PING", 0.05)
    room = Room()
    async with room.open() as daemon, connected(daemon.port) as wire:
        wire.request("/ws", Sec_WebSocket_Key=KEY, **HANDSHAKE)
        assert (await wire.head())[0] == 101
        await wire.rest()
        await until(lambda: len(room.hub) == 0)


async def test_closing_says_goodbye_to_everybody(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon:
        sockets = [await session.ws_connect(f"{daemon.url}/ws") for _ in range(50)]
        for socket in sockets:
            await told(socket)
        closing = asyncio.ensure_future(room.hub.close())
        for socket in sockets:
            message = await socket.receive(timeout=30)
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await closing


async def test_those_who_do_not_answer_a_goodbye_keep_nobody_from_theirs(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon:
        async with (
            connected(daemon.port, receive_buffer=4096) as deaf,
            connected(daemon.port) as mute,
            session.ws_connect(f"{daemon.url}/ws") as polite,
        ):
            for wire in (deaf, mute):
                wire.request("/ws", Sec_WebSocket_Key=KEY, **HANDSHAKE)
                assert (await wire.head())[0] == 101
            await told(polite)
            await until(lambda: len(room.hub) == 3)
            # This one takes nothing any more: what is said to it cannot leave.
            deaf.stop_reading()
            for _ in range(QUEUED):
                room.hub.publish("files", "files", PADDING)
                await told(polite)
            closing = asyncio.ensure_future(room.hub.close())
            message = await polite.receive(timeout=30)
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
            await closing
            assert (await mute.rest())[-26:] == b"\x88\x18" + (1001).to_bytes(2, "big") + b"the daemon is stopping"
        await until(lambda: len(room.hub) == 0)


async def test_who_comes_after_the_goodbye_is_told_so(session: ClientSession) -> None:
    room = Room()
    async with room.open() as daemon:
        await room.hub.close()
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"{daemon.url}/ws")
        assert refused.value.status == 503


async def test_a_request_that_is_no_websocket_gets_a_problem() -> None:
    async with Room().open() as daemon:
        assert (await asked(daemon.port, "/ws")).problem() == (400, "bad_request")
        assert (await asked(daemon.port, "/ws", **HANDSHAKE)).problem() == (400, "bad_request")


def test_without_listeners_nothing_is_made() -> None:
    class Unwilling:
        def __iter__(self) -> Any:
            raise AssertionError("made")

    Hub(ManualClock()).publish("files", "files", Unwilling())


def test_a_frame_is_made_once_for_all() -> None:
    hub = Hub(ManualClock())
    with hub.listening() as one, hub.listening() as other:
        hub.publish("files", "files", [1])
        frame = one.queue.get_nowait()
        assert frame is other.queue.get_nowait()
        assert json.loads(frame)["data"] == [1]
    assert len(hub) == 0
