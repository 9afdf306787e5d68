"""Requests against real servers, most of which misbehave."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from msgspec import Struct

from common.errors import CODES
from common.http.addresses import Profile
from common.http.dialling import Policy
from common.http.outgoing import MAX_RETRY_AFTER, Outgoing, OutgoingError, read_bounded
from tests.support.listeners import Conversation, forever, listening, saying, silence

BUG = "an answer that should have been refused"


class Pet(Struct):
    name: str
    legs: int = 4


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    async with Outgoing(Policy(Profile.LOOPBACK)) as made:
        yield made


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers))
    return head.encode() + b"\r\n" + body


async def failure(outgoing: Outgoing, conversation: Conversation, **options: Any) -> OutgoingError:
    """How a GET for a Pet fails against a server that speaks `conversation`."""
    async with listening(conversation) as server:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(server.url(), Pet, **options)
    return caught.value


async def serve(handler: Any) -> TestServer:
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", handler)
    server = TestServer(application)
    await server.start_server()
    return server


async def test_json_is_fetched_as_its_type(outgoing: Outgoing) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"name": request.query["name"], "unknown": [1]})

    server = await serve(handler)
    try:
        pet = await outgoing.get_json(str(server.make_url("/pet?name=M%C3%BCsli")), Pet)
    finally:
        await server.close()
    assert pet == Pet("Müsli")


async def test_a_message_is_posted_as_json_and_headers_go_along(outgoing: Outgoing) -> None:
    seen: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.json_response(await request.json())

    server = await serve(handler)
    try:
        pet = await outgoing.post_json(str(server.make_url("/")), Pet("Bo", 3), Pet, headers={"X-Peer-ID": "p"})
    finally:
        await server.close()
    assert pet == Pet("Bo", 3)
    assert (seen["Content-Type"], seen["X-Peer-ID"], seen["Accept-Encoding"]) == ("application/json", "p", "identity")
    assert "aiohttp" not in seen["User-Agent"]


async def test_a_body_is_streamed_from_a_request(outgoing: Outgoing) -> None:
    data = bytes(range(256)) * 4096
    async with listening(saying(answer(data, status="206 Partial Content"))) as server:
        asked = outgoing.request("GET", server.url(), headers={"Range": "bytes=0-"})
        async with asked as response:
            received = b"".join([part async for part in response.content.iter_any()])
    assert response.status == 206
    assert received == data


async def test_a_problem_document_keeps_its_code_status_and_members(outgoing: Outgoing) -> None:
    document = {"code": "catalogue_out_of_step", "detail": "Held: 7.", "status": 409, "catalogue_version": 7}
    body = json.dumps(document).encode()
    head = ("Content-Type: application/problem+json", "Retry-After: 12")
    error = await failure(outgoing, saying(answer(body, *head, status="409 Conflict")))
    assert (error.code, error.status, error.retry_after, error.detail) == (
        "catalogue_out_of_step",
        409,
        12.0,
        "Held: 7.",
    )
    assert error.problem["catalogue_version"] == 7


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>no</html>", "text/html"),
        (b"", "application/problem+json"),
        (b"[]", "application/problem+json"),
        (b"{}", "application/problem+json"),
        (b'{"code": 7, "detail": "x"}', "application/problem+json"),
        (b'{"code": "Not A Word\\n", "detail": "x"}', "application/problem+json"),
        (b'{"code": "' + b"x" * 70 + b'"}', "application/problem+json"),
        (b"\xff\xfe", "application/problem+json"),
        (b"[" * 60_000, "application/problem+json"),
        (b'{"code": "too_long", "detail": "' + b"x" * 70_000 + b'"}', "application/problem+json"),
    ],
)
async def test_a_refusal_that_cannot_be_understood_keeps_its_status(outgoing: Outgoing, body: bytes, kind: str) -> None:
    error = await failure(outgoing, saying(answer(body, f"Content-Type: {kind}", status="404 Not Found")))
    assert (error.code, error.status) == ("source_unavailable", 404)
    assert "404" in error.detail


async def test_a_foreign_detail_is_made_fit_for_a_terminal(outgoing: Outgoing) -> None:
    body = json.dumps({"code": "x", "detail": "\x1b[2Jgone\r\n\u202e" + "y" * 1000}).encode()
    error = await failure(outgoing, saying(answer(body, "Content-Type: application/json", status="400 Bad")))
    assert error.detail.isprintable()
    assert len(error.detail) <= 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), ("30", 30.0), ("9" * 400, MAX_RETRY_AFTER), ("-1", None), ("soon", None), ("١", None), ("1.5", None)],
)
async def test_retry_after_is_bounded_seconds(outgoing: Outgoing, header: str, seconds: float | None) -> None:
    reply = answer(b"", f"Retry-After: {header}", status="503 Busy")
    assert (await failure(outgoing, saying(reply))).retry_after == seconds


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"name": 1}', b'{"legs": 1}', b"\xff", b"{" * 100_000, b'{"name":"\\ud800"}']
)
async def test_json_of_another_shape_is_refused(outgoing: Outgoing, body: bytes) -> None:
    assert (await failure(outgoing, saying(answer(body)))).code == "invalid_body"


async def test_nesting_beyond_the_stack_is_refused(outgoing: Outgoing) -> None:
    async with listening(saying(answer(b"[" * 100_000))) as server:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(server.url(), list)
    assert caught.value.code == "invalid_body"


async def test_an_answer_declared_too_large_is_not_read(outgoing: Outgoing) -> None:
    reply = answer(b"", length=10**15)
    error = await failure(outgoing, saying(reply, then=silence), limit=1000)
    assert (error.code, error.status) == ("too_large", 200)


async def test_an_answer_that_does_not_end_is_cut_at_the_limit(outgoing: Outgoing) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert (await failure(outgoing, saying(head, then=forever(chunk)), limit=1_000_000)).code == "too_large"


async def test_the_limit_itself_is_taken(outgoing: Outgoing) -> None:
    body = b'{"name":"' + b"x" * 100 + b'"}'
    async with listening(saying(answer(body))) as server:
        assert (await outgoing.get_json(server.url(), Pet, limit=len(body))).name == "x" * 100
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(server.url(), Pet, limit=len(body) - 1)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity, gzip", ""])
async def test_a_compressed_answer_is_refused(outgoing: Outgoing, coding: str) -> None:
    body = gzip.compress(b'{"name": "bomb"}' + b" " * 10_000_000)
    error = await failure(outgoing, saying(answer(body, f"Content-Encoding: {coding}")))
    assert error.code == "unsupported_encoding"


async def test_a_compressed_stream_is_refused_too(outgoing: Outgoing) -> None:
    async with listening(saying(answer(gzip.compress(b"x"), "Content-Encoding: gzip"))) as server:
        with pytest.raises(OutgoingError) as caught:
            async with outgoing.request("GET", server.url()):
                pytest.fail(BUG)
    assert caught.value.code == "unsupported_encoding"


@pytest.mark.parametrize(
    "endless",
    [
        saying(b"HTTP/1.1 200 OK\r\n", then=forever(b"X-Header: and another one\r\n")),
        saying(b"HTTP/1.1 200 OK\r\n", then=forever(b"x" * 1000)),
        saying(b"HTTP/1.1 200 " + b"very " * 2000 + b"OK\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000 + b"\r\n\r\n{}"),
        saying(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100 + b"\r\n{}"),
    ],
    ids=["headers", "a header", "status line", "long header", "many headers"],
)
async def test_an_endless_head_is_refused(outgoing: Outgoing, endless: Conversation) -> None:
    assert (await failure(outgoing, endless)).code == "source_unavailable"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"name":"cut"}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
async def test_what_is_not_http_is_an_unavailable_source(outgoing: Outgoing, reply: bytes) -> None:
    assert (await failure(outgoing, saying(reply))).code == "source_unavailable"


async def test_a_body_that_is_cut_off_while_streaming_is_reported(outgoing: Outgoing) -> None:
    async with listening(saying(answer(b"half", length=8))) as server:
        with pytest.raises(OutgoingError) as caught:
            async with outgoing.request("GET", server.url()) as response:
                await response.content.readexactly(4)
                await response.content.read()
                pytest.fail(BUG)
    assert caught.value.code == "source_unavailable"


async def test_silence_ends_at_the_deadline(outgoing: Outgoing) -> None:
    error = await failure(outgoing, saying(then=silence), deadline=0.05)
    assert (error.code, error.status) == ("timed_out", None)


async def test_a_body_that_stalls_ends_at_the_deadline(outgoing: Outgoing) -> None:
    assert (await failure(outgoing, saying(answer(b"{", length=9), then=silence), deadline=0.05)).code == "timed_out"


async def test_a_body_that_drips_ends_at_the_deadline(outgoing: Outgoing) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.01)

    dripping = saying(answer(b"", length=1000), then=drip)
    assert (await failure(outgoing, dripping, deadline=0.1)).code == "timed_out"


async def test_a_head_that_does_not_come_ends_at_its_own_deadline(outgoing: Outgoing) -> None:
    interim = forever(b"HTTP/1.1 102 Processing\r\n\r\n")
    for never in (saying(then=silence), saying(b"HTTP/1.1 200 OK\r\nX-Slow:", then=silence), saying(then=interim)):
        async with listening(never) as server:
            with pytest.raises(OutgoingError) as caught:
                async with outgoing.request("GET", server.url(), head_deadline=0.05):
                    pytest.fail(BUG)
        assert caught.value.code == "timed_out"


async def test_the_explanation_of_a_refusal_has_the_heads_deadline(outgoing: Outgoing) -> None:
    reply = answer(b"{", "Content-Type: application/problem+json", status="404 No", length=100)
    async with listening(saying(reply, then=silence)) as server:
        with pytest.raises(OutgoingError) as caught:
            async with outgoing.request("GET", server.url(), head_deadline=0.05):
                pytest.fail(BUG)
    assert caught.value.code == "timed_out"


async def test_nobody_there_is_an_unavailable_source(outgoing: Outgoing) -> None:
    with pytest.raises(OutgoingError) as caught:
        await outgoing.get_json(f"http://127.0.0.1:{unused_port()}/", Pet)
    assert (caught.value.code, caught.value.status) == ("source_unavailable", None)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative",
        "127.0.0.1:9001/x",
        "ftp://127.0.0.1:9001/",
        "file:///etc/passwd",
        "ws://127.0.0.1:9001/",
        "http://user:secret@127.0.0.1:9001/",
        "http://:9001/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://[::1/",
        "http://127.0.0.1\\@example.org:9001/",
        "http://exa mple:9001/",
        "http://\ud800:9001/",
    ],
)
async def test_what_is_no_plain_url_is_not_asked(outgoing: Outgoing, url: str) -> None:
    with pytest.raises(OutgoingError) as caught:
        await outgoing.get_json(url, Pet)
    assert caught.value.code == "address_not_allowed"


async def test_a_path_that_cannot_be_written_is_not_asked(outgoing: Outgoing) -> None:
    async with listening(saying(answer(b"{}"))) as server:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(server.url(path="/\ud800"), Pet)
    assert caught.value.code in ("address_not_allowed", "source_unavailable", "invalid_body")


async def test_a_header_that_would_split_the_request_is_not_sent(outgoing: Outgoing) -> None:
    async with listening(saying(answer(b"{}"))) as server:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(server.url(), Pet, headers={"Authorization": "Bearer x\r\nX-Evil: 1"})
    assert caught.value.code == "source_unavailable"


async def test_cookies_are_neither_kept_nor_sent(outgoing: Outgoing) -> None:
    cookies: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.json_response({"name": "x"}, headers={"Set-Cookie": "a=b; Path=/"})

    server = await serve(handler)
    try:
        for _ in range(2):
            await outgoing.get_json(str(server.make_url("/")), Pet)
    finally:
        await server.close()
    assert cookies == [None, None]


async def test_the_environments_proxy_is_not_used(outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        listening(saying(answer(b'{"name":"proxy"}'))) as proxy,
        listening(saying(answer(b'{"name":"x"}'))) as server,
    ):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert (await outgoing.get_json(server.url(), Pet)).name == "x"
    assert proxy.connections == 0


async def test_the_callers_own_errors_pass_unchanged(outgoing: Outgoing) -> None:
    async with listening(saying(answer(b"data"))) as server:
        with pytest.raises(OSError, match="disk is full") as caught:
            async with outgoing.request("GET", server.url()) as response:
                await read_bounded(response, 10)
                raise OSError("disk is full")
    assert not isinstance(caught.value, OutgoingError)


async def test_cancelling_a_request_cancels_it(outgoing: Outgoing) -> None:
    heard = asyncio.Event()

    async def listener(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        await silence(reader, _writer)

    async with listening(listener) as server:
        task = asyncio.ensure_future(outgoing.get_json(server.url(), Pet))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_our_own_codes_are_known_words() -> None:
    ours = {
        "address_not_allowed",
        "source_unavailable",
        "timed_out",
        "too_large",
        "unsupported_encoding",
        "invalid_body",
    }
    assert ours <= CODES.keys()


async def test_a_body_that_comes_in_parts_is_sent_as_it_comes_and_broken_off_where_it_breaks(
    outgoing: Outgoing,
) -> None:
    came: asyncio.Queue[bytes] = asyncio.Queue()
    whole = True

    async def handler(request: web.Request) -> web.Response:
        nonlocal whole
        try:
            async for piece in request.content.iter_any():
                came.put_nowait(piece)
        except (Exception, asyncio.CancelledError):
            whole = False
        came.put_nowait(b"")
        return web.Response(status=204)

    async def parts(breaks: bool) -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            yield part
            assert await came.get() == part  # the other side has it before there is more
        if breaks:
            raise ValueError("no more")

    server = await serve(handler)
    async with outgoing.request("POST", str(server.make_url("/")), body=parts(False), head_deadline=None) as response:
        assert response.status == 204
    assert (await came.get(), whole) == (b"", True)
    with pytest.raises(OutgoingError):
        async with outgoing.request("POST", str(server.make_url("/")), body=parts(True), head_deadline=None):
            pytest.fail(BUG)
    assert (await came.get(), whole) == (b"", False)
    await server.close()


async def test_a_websocket_is_opened_under_the_policy_and_bounded(outgoing: Outgoing) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/no":
            raise web.HTTPForbidden
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.headers["X-Name"])
        await socket.send_str("x" * 2000)
        async for _ in socket:
            pass
        return socket

    server = await serve(handler)
    url, told = str(server.make_url("/")), {"X-Name": "me"}
    async with outgoing.websocket(url, headers=told, ping=25.0, largest=1000) as socket:
        assert await socket.receive_str() == "me"
        assert (await socket.receive()).type is aiohttp.WSMsgType.ERROR
    for where in (f"{url}no", "http://10.0.0.1:9000/", f"http://127.0.0.1:{unused_port()}/", "ws://x y/"):
        with pytest.raises(OutgoingError):
            async with outgoing.websocket(where, headers=told, ping=25.0, largest=1000):
                pytest.fail(BUG)
    await server.close()
