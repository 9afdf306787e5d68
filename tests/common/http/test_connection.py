import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from common.http.connection import BUFFERED, Connection
from common.http.endpoint import json_response
from common.http.serve import Running
from tests.support.daemon import TinyDaemon, at, running, tiny_daemon
from tests.support.waiting import until
from tests.support.wire import Wire, alive, asked, connected, request_bytes

HOST = b"Host: localhost\r\n"
PING = b"GET /api/v1/ping HTTP/1.1\r\n"
LATE = 0.05  # a deadline that passes in no time
TLS_HELLO = bytes.fromhex("160301020001fc0303") + bytes(range(256)) * 2

NOT_HTTP = {
    "HTTP/0.9": (b"GET /api/v1/ping\r\n\r\n", 505, "unsupported_version"),
    "HTTP/2.0 as a label": (b"GET /api/v1/ping HTTP/2.0\r\n" + HOST + b"\r\n", 505, "unsupported_version"),
    "HTTP/1.2": (b"GET /api/v1/ping HTTP/1.2\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "a TLS hello": (TLS_HELLO, 400, "bad_request"),
    "every byte there is": (bytes(range(256)), 400, "bad_request"),
    "NULs": (bytes(100), 400, "bad_request"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", 400, "bad_request"),
    "an unknown method": (b"BREW /api/v1/ping HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "a method in lower case": (b"get /api/v1/ping HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "bare line feeds": (b"GET /api/v1/ping HTTP/1.1\nHost: localhost\n\n", 400, "bad_request"),
    "no Host": (PING + b"\r\n", 400, "bad_request"),
    "no Host in HTTP/1.0": (b"GET /api/v1/ping HTTP/1.0\r\n\r\n", 400, "bad_request"),
    "two Hosts": (PING + HOST + HOST + b"\r\n", 400, "bad_request"),
    "two different Hosts": (PING + HOST + b"Host: evil.example\r\n\r\n", 400, "bad_request"),
    "an absolute target": (b"GET http://localhost/api/v1/ping HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "another's absolute target": (b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "half an absolute target": (b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "no path": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "a relative target": (b"GET api/v1/ping HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "CONNECT": (b"CONNECT localhost:22 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "a target that is not ASCII": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "a request line too long": (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, "header_too_large"),
    "a request line without an end": (b"GET /" + b"a" * 100_000, 431, "header_too_large"),
    "a header too long": (PING + HOST + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 431, "header_too_large"),
    "a header without an end": (PING + HOST + b"X-A: " + b"a" * 100_000, 431, "header_too_large"),
    "a header name without an end": (PING + HOST + b"X" * 100_000, 431, "header_too_large"),
    "too many headers": (PING + HOST + b"X-A: 1\r\n" * 64 + b"\r\n", 431, "header_too_large"),
    "headers without an end": (PING + HOST + b"X-A: 1\r\n" * 10_000, 431, "header_too_large"),
    "a space in a header's name": (PING + HOST + b"X A: 1\r\n\r\n", 400, "bad_request"),
    "a space before the colon": (PING + b"Host : localhost\r\n\r\n", 400, "bad_request"),
    "a NUL in a header": (PING + HOST + b"X-A: a\0b\r\n\r\n", 400, "bad_request"),
    "a folded header": (PING + HOST + b"X-A: a\r\n b\r\n\r\n", 400, "bad_request"),
    "a length that is no number": (PING + HOST + b"Content-Length: ten\r\n\r\n", 400, "bad_request"),
    "a negative length": (PING + HOST + b"Content-Length: -1\r\n\r\n", 400, "bad_request"),
    "a signed length": (PING + HOST + b"Content-Length: +1\r\n\r\n", 400, "bad_request"),
    "a length of 30 digits": (PING + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400, "bad_request"),
    "two lengths": (PING + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
    "a length and chunks": (
        PING + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_request",
    ),
    "an unknown transfer coding": (PING + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "bad_request"),
}


@pytest.mark.parametrize(("sent", "status", "code"), NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_is_not_http_gets_a_problem_and_is_hung_up_on(sent: bytes, status: int, code: str) -> None:
    async with running(tiny_daemon()) as daemon:
        async with connected(daemon.port) as wire:
            wire.send(sent)
            answer = await wire.answer()
            assert answer.problem() == (status, code)
            assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
            assert answer.headers["Server"] == "Shoal"
            assert await wire.ended()
        assert await alive(daemon.port)


async def test_a_head_may_have_as_many_headers_as_are_taken() -> None:
    async with running(tiny_daemon()) as daemon, connected(daemon.port) as wire:
        wire.send(PING + HOST + b"X-A: 1\r\n" * 63 + b"\r\n")
        assert (await wire.answer()).status == 200


async def test_the_bodies_of_a_connections_requests_are_kept_apart() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    echo = at("/api/v1/echo", handle, method="POST")
    async with running(tiny_daemon(echo)) as daemon, connected(daemon.port) as wire:
        wire.send(b"".join(request_bytes("/api/v1/echo", "POST", b"number %d" % number) for number in range(100)))
        assert [(await wire.answer()).body for _ in range(100)] == [b"number %d" % number for number in range(100)]


async def test_a_head_in_single_bytes_is_a_head() -> None:
    async with running(tiny_daemon()) as daemon, connected(daemon.port) as wire:
        for byte in request_bytes():
            wire.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await wire.answer()).status == 200


@pytest.mark.parametrize("half", [b"G", PING, PING + HOST, PING + HOST + b"X-A: 1\r\n", PING + HOST + b"X-"])
async def test_half_a_head_is_told_that_it_is_late(half: bytes) -> None:
    async with running(tiny_daemon(head_deadline=LATE)) as daemon, connected(daemon.port) as wire:
        wire.send(half)
        answer = await wire.answer()
        assert answer.problem() == (408, "headers_too_slow")
        assert answer.headers["Connection"] == "close"
        assert await wire.ended()


async def test_a_head_that_trickles_is_late_all_the_same() -> None:
    async with running(tiny_daemon(head_deadline=LATE)) as daemon, connected(daemon.port) as wire:
        wire.send(PING + HOST)
        told = asyncio.ensure_future(wire.answer())
        while not told.done():
            wire.send(b"X-A: 1\r\n")
            await asyncio.wait([told], timeout=LATE / 10)
        assert told.result().problem() == (408, "headers_too_slow")


async def test_whoever_says_nothing_is_hung_up_on_without_a_word() -> None:
    async with running(tiny_daemon(head_deadline=LATE)) as daemon, connected(daemon.port) as wire:
        assert await wire.ended()


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with running(tiny_daemon(head_deadline=LATE)) as daemon, connected(daemon.port) as wire:
        wire.request()
        assert (await wire.answer()).status == 200
        assert await wire.ended()


async def test_a_body_in_pieces_is_not_taken_for_half_a_head() -> None:
    async def handle(request: web.Request) -> web.Response:
        body.set()
        return web.Response(body=await request.read())

    body = asyncio.Event()
    echo = at("/api/v1/echo", handle, method="POST")
    async with running(tiny_daemon(echo, head_deadline=LATE)) as daemon, connected(daemon.port) as wire:
        wire.send(request_bytes("/api/v1/echo", "POST", b"whole")[:-5])
        await body.wait()
        wire.send(b"whole")
        assert (await wire.answer()).body == b"whole"
        assert await wire.ended()


async def test_half_a_head_after_an_answer_is_told_that_it_is_late() -> None:
    async with running(tiny_daemon(head_deadline=LATE)) as daemon, connected(daemon.port) as wire:
        wire.request()
        assert (await wire.answer()).status == 200
        wire.send(PING)
        assert (await wire.answer()).problem() == (408, "headers_too_slow")
        assert await wire.ended()


async def test_a_handler_may_take_longer_than_a_head() -> None:
    timers: list[asyncio.TimerHandle] = []

    async def handle(request: web.Request) -> web.Response:
        # Until well after the head's deadline: the loop's own timers say so, in order.
        late = asyncio.Event()
        timers.append(asyncio.get_running_loop().call_later(3 * LATE, late.set))
        await late.wait()
        return web.Response(text="done")

    slow = at("/api/v1/slow", handle)
    async with running(tiny_daemon(slow, head_deadline=LATE)) as daemon, connected(daemon.port) as wire:
        wire.request("/api/v1/slow")
        assert (await wire.answer()).body == b"done"


def large(size: int, **limits: Any) -> TinyDaemon:
    async def handle(request: web.Request) -> web.Response:
        return json_response("x" * (size - 2))

    endpoint = at("/api/v1/large", handle)
    return tiny_daemon(endpoint, answer_grace=LATE, **limits)


async def test_a_large_answer_reaches_who_reads_it() -> None:
    async with running(large(3 * 1024 * 1024)) as daemon:
        assert len((await asked(daemon.port, "/api/v1/large")).body) == 3 * 1024 * 1024


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers must be quick: the time of an answer is its grace alone."""
    monkeypatch.setattr("common.http.connection.SLOWEST_READER", 1 << 40)


@pytest.mark.usefixtures("hurried")
async def test_a_reader_that_does_not_read_a_large_answer_is_cut_off() -> None:
    size = 16 * 1024 * 1024
    async with running(large(size)) as daemon:
        async with connected(daemon.port, receive_buffer=4096) as wire:
            wire.stop_reading()
            wire.request("/api/v1/large")
            await all_closed(daemon)
            wire.read_on()
            assert len(await wire.rest()) < size
        assert await alive(daemon.port)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("size", [100, 10_000, BUFFERED])
async def test_a_reader_that_asks_and_asks_and_reads_nothing_is_cut_off(size: int) -> None:
    async with running(large(size)) as daemon:
        async with connected(daemon.port, receive_buffer=4096) as wire:
            wire.stop_reading()
            asking = asyncio.ensure_future(ask_until_closed(wire, "/api/v1/large"))
            await until(lambda: server_of(daemon).requests_count)
            shrink_send_buffers(daemon)
            await all_closed(daemon)
            await asking
        assert await alive(daemon.port)


async def test_an_answer_left_unread_does_not_keep_an_idle_connection_open() -> None:
    """A small answer waits in the transport; closing must not wait for its reader for ever."""
    async with running(large(BUFFERED, head_deadline=LATE)) as daemon, AsyncExitStack() as stack:
        wire = await served(stack, daemon, "127.0.0.1", receive_buffer=4096)
        wire.stop_reading()
        shrink_send_buffers(daemon)
        wire.request("/api/v1/large")
        [connection] = server_of(daemon).connections
        await until(lambda: connection.transport is not None and connection.transport.get_write_buffer_size() > 0)
        await all_closed(daemon)
        assert await alive(daemon.port)


def server_of(daemon: Running) -> Any:
    return daemon._runner.server


def shrink_send_buffers(daemon: Running) -> None:
    for connection in server_of(daemon).connections:
        if connection.transport is not None:
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


async def all_closed(daemon: Running) -> None:
    await until(lambda: not server_of(daemon).open)


async def ask_until_closed(wire: Wire, target: str) -> None:
    try:
        while True:
            wire.request(target)
            await wire.writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass


async def test_beyond_the_limit_for_an_address_a_connection_is_told_so() -> None:
    async with running(tiny_daemon(per_address=2)) as daemon, AsyncExitStack() as stack:
        kept = [await served(stack, daemon, "127.0.0.2") for _ in range(2)]
        async with connected(daemon.port, "127.0.0.2") as refused:
            answer = await refused.answer()
            assert answer.problem() == (503, "too_many_connections")
            assert answer.headers["Retry-After"] == "5"
            assert answer.headers["Connection"] == "close"
            assert await refused.ended()
        # Others are served, and so are those who were there.
        await served(stack, daemon, "127.0.0.3")
        for wire in kept:
            wire.request()
            assert (await wire.answer()).status == 200


async def test_a_connection_that_ends_makes_room() -> None:
    async with running(tiny_daemon(per_address=1)) as daemon, AsyncExitStack() as stack:
        for _ in range(5):
            async with connected(daemon.port, "127.0.0.2") as wire:
                wire.request()
                assert (await wire.answer()).status == 200
            await all_closed(daemon)
        await served(stack, daemon, "127.0.0.2")
        assert server_of(daemon).open == 1
        assert server_of(daemon).refused == 0


async def test_refused_connections_take_no_room() -> None:
    async with running(tiny_daemon(per_address=1)) as daemon, AsyncExitStack() as stack:
        first = await served(stack, daemon, "127.0.0.2")
        for _ in range(5):
            async with connected(daemon.port, "127.0.0.2") as refused:
                assert (await refused.answer()).status == 503
        assert server_of(daemon).refused == 5
        first.writer.transport.abort()
        await all_closed(daemon)
        await served(stack, daemon, "127.0.0.2")
        assert server_of(daemon).open == 1


async def test_beyond_the_limit_for_all_nobody_is_served() -> None:
    async with running(tiny_daemon(total=3)) as daemon, AsyncExitStack() as stack:
        for number in range(3):
            await served(stack, daemon, f"127.0.0.{number + 2}")
        async with connected(daemon.port, "127.0.0.9") as refused:
            assert (await refused.answer()).problem() == (503, "too_many_connections")
            assert await refused.ended()


async def test_exempt_addresses_are_bounded_by_the_total_alone() -> None:
    exempt = tiny_daemon(total=4, per_address=1, exempt=lambda address: address == "127.0.0.1")
    async with running(exempt) as daemon, AsyncExitStack() as stack:
        for _ in range(4):
            await served(stack, daemon, "127.0.0.1")
        async with connected(daemon.port) as refused:
            assert (await refused.answer()).status == 503


async def test_a_source_outside_the_network_is_told_so() -> None:
    async with running(tiny_daemon(allowed=lambda address: address != "127.0.0.5")) as daemon:
        async with connected(daemon.port, "127.0.0.5") as refused:
            answer = await refused.answer()
            assert answer.problem() == (403, "address_not_allowed")
            assert "you come from 127.0.0.5" in answer.json()["detail"]
            assert "security.profile" in answer.json()["detail"]
            assert await refused.ended()
        assert await alive(daemon.port)


async def test_a_refused_connection_that_has_asked_already_reads_why() -> None:
    async with running(tiny_daemon(total=0)) as daemon, connected(daemon.port) as refused:
        refused.send(request_bytes() * 10)
        assert (await refused.answer()).problem() == (503, "too_many_connections")


async def test_connections_are_ours() -> None:
    async with running(tiny_daemon()) as daemon, AsyncExitStack() as stack:
        await served(stack, daemon, "127.0.0.1")
        assert [type(connection) for connection in server_of(daemon).connections] == [Connection]


async def served(stack: AsyncExitStack, daemon: Running, source: str, receive_buffer: int | None = None) -> Wire:
    """A connection that stays open and has been served once."""
    wire = await stack.enter_async_context(connected(daemon.port, source, receive_buffer))
    wire.request()
    assert (await wire.answer()).status == 200
    return wire
