import asyncio
import logging

import pytest
from aiohttp import web

from common import errors
from common.http.connection import refusal_of
from common.http.endpoint import Endpoint
from common.http.request_ids import answer_headers
from common.runtime.logs import request_id
from tests.support.daemon import TinyDaemon, at, running, tiny_daemon
from tests.support.wire import alive, asked, connected, request_bytes

SECRET = "the password is 1234"
ERRORS: dict[str, Exception] = {
    "unexpected": ValueError(SECRET),
    "deep": RecursionError(SECRET),
    "out-of-memory": MemoryError(SECRET),
    "lookup": KeyError(SECRET),
    "undecodable": UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    "assertion": AssertionError(SECRET),
    "no-file": FileNotFoundError(2, SECRET),
}


def failing(error: BaseException) -> Endpoint:
    async def fail(request: web.Request) -> None:
        raise error

    return at("/api/v1/fail", fail)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
async def test_an_unexpected_error_leaves_without_its_text(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tiny_daemon(failing(error))) as daemon:
        answer = await asked(daemon.port, "/api/v1/fail")
        assert answer.problem() == (500, "internal_error")
        assert SECRET.encode() not in answer.body
        assert b"Traceback" not in answer.body and b".py" not in answer.body
        assert await alive(daemon.port)
    [record] = [record for record in caplog.records if record.name == "shoal.http"]
    assert record.levelno == logging.ERROR
    assert record.exc_info and record.exc_info[1] is error


async def test_a_deadline_that_passed_is_told_as_such() -> None:
    async with running(tiny_daemon(failing(TimeoutError(SECRET)))) as daemon:
        answer = await asked(daemon.port, "/api/v1/fail")
        assert answer.problem() == (503, "timed_out")
        assert answer.headers["Retry-After"] == "5"
        assert SECRET.encode() not in answer.body


async def test_a_refusal_leaves_with_its_words() -> None:
    refusal = errors.NotFound("file_not_found", "There is no such file; search for it.")
    async with running(tiny_daemon(failing(refusal))) as daemon:
        answer = await asked(daemon.port, "/api/v1/fail")
        assert answer.problem() == (404, "file_not_found")
        assert answer.json()["detail"] == "There is no such file; search for it."


@pytest.mark.parametrize(
    "target", ["/api/v1/nothing", "/api", "/", "/api/v1/ping/", "/nothing.html", "/api/v1/%2e%2e/", "//x"]
)
async def test_an_unknown_path_is_a_problem(target: str) -> None:
    async with running(tiny_daemon()) as daemon:
        assert (await asked(daemon.port, target)).problem() == (404, "not_found")


async def test_another_method_is_told_which_are_allowed() -> None:
    async def change(request: web.Request) -> None:
        return None

    put = at("/api/v1/ping", change, method="PUT")
    async with running(tiny_daemon(put)) as daemon:
        answer = await asked(daemon.port, "/api/v1/ping", "DELETE")
        assert answer.problem() == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET, HEAD, PUT"


async def test_every_answer_has_an_id_of_its_own_and_hides_the_library() -> None:
    async with running(tiny_daemon(failing(ValueError()))) as daemon:
        answers = [
            await asked(daemon.port, "/api/v1/ping"),
            await asked(daemon.port, "/api/v1/ping", "HEAD"),
            await asked(daemon.port, "/api/v1/ping", "OPTIONS"),
            await asked(daemon.port, "/api/v1/nothing"),
            await asked(daemon.port, "/api/v1/fail"),
            await asked(daemon.port, Host="evil.example"),
            await asked(daemon.port, Expect="nonsense"),
            await asked(daemon.port, "nonsense"),
        ]
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == len(answers)
    for answer in answers:
        assert answer.headers["Server"] == "Shoal"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if answer.status >= 400:
            assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


async def test_the_log_of_a_request_bears_its_id() -> None:
    async def handle(request: web.Request) -> dict[str, str]:
        raise errors.Invalid("invalid_body", str(request_id.get()))

    async with running(tiny_daemon(at("/api/v1/id", handle))) as daemon:
        answer = await asked(daemon.port, "/api/v1/id")
        assert answer.json()["detail"] == answer.headers["X-Request-ID"]


async def test_an_answer_that_its_handler_sends_has_the_same_headers() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "2"})
        answer.headers.update(answer_headers.get())
        await answer.prepare(request)
        await answer.write(b"ok")
        return answer

    async with running(tiny_daemon(at("/api/v1/own", handle))) as daemon:
        answer = await asked(daemon.port, "/api/v1/own", Origin="https://pages.example")
    assert answer.body == b"ok"
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Server"] == "Shoal"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_foreign_page_may_read_and_not_write() -> None:
    async with running(tiny_daemon()) as daemon:
        read = await asked(daemon.port, Origin="https://pages.example")
        assert (read.status, read.headers["Access-Control-Allow-Origin"]) == (200, "*")
        written = await asked(daemon.port, "/api/v1/ping", "POST", b"{}", Origin="https://pages.example")
        assert written.problem() == (403, "origin_not_allowed")
        preflight = await asked(daemon.port, "/api/v1/ping", "OPTIONS", Origin="https://pages.example")
        assert (preflight.status, preflight.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD")


async def test_no_handler_runs_for_another_host() -> None:
    ran = []

    async def handle(request: web.Request) -> None:
        ran.append(request.path)

    endpoint = at("/api/v1/act", handle, method="POST")
    async with running(tiny_daemon(endpoint)) as daemon:
        answer = await asked(daemon.port, "/api/v1/act", "POST", Host="rebind.test")
        assert answer.problem() == (421, "host_not_allowed")
    assert ran == []


async def test_an_error_in_the_middle_of_an_answer_cuts_it() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "10"})
        await answer.prepare(request)
        await answer.write(b"half")
        raise ValueError(SECRET)

    async with running(tiny_daemon(at("/api/v1/half", handle))) as daemon:
        async with connected(daemon.port) as wire:
            wire.request("/api/v1/half")
            status, headers = await wire.head()
            assert (status, headers["Content-Length"]) == (200, "10")
            assert await wire.rest() == b"half"
        assert await alive(daemon.port)


async def test_an_error_in_the_middle_of_chunks_leaves_them_without_an_end() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"half")
        raise errors.NotFound("file_not_found", SECRET)

    async with running(tiny_daemon(at("/api/v1/half", handle))) as daemon, connected(daemon.port) as wire:
        wire.request("/api/v1/half")
        _, headers = await wire.head()
        assert headers["Transfer-Encoding"] == "chunked"
        assert await wire.rest() == b"4\r\nhalf\r\n"


def with_page() -> TinyDaemon:
    def page(request: web.Request, refusal: errors.Refusal, status: int) -> web.StreamResponse:
        return web.Response(status=status, text=f"<h1>{refusal.title}</h1>", content_type="text/html")

    return tiny_daemon(error_page=page)


async def test_people_get_a_page_and_programs_a_document() -> None:
    async with running(with_page()) as daemon:
        page = await asked(daemon.port, "/nothing", Accept="text/html,*/*")
        assert (page.status, page.body) == (404, b"<h1>Nothing is here</h1>")
        assert page.headers["X-Request-ID"]
        assert (await asked(daemon.port, "/nothing", Accept="*/*")).problem() == (404, "not_found")
        assert (await asked(daemon.port, "/nothing")).problem() == (404, "not_found")
        assert (await asked(daemon.port, "/api/v1/nothing", Accept="text/html")).problem() == (404, "not_found")


async def test_an_error_page_that_fails_is_answered_by_a_document_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def page(request: web.Request, refusal: errors.Refusal, status: int) -> web.StreamResponse:
        raise ValueError(SECRET)

    async with running(tiny_daemon(error_page=page)) as daemon:
        answer = await asked(daemon.port, "/nothing", Accept="text/html")
        assert answer.problem() == (404, "not_found")
        assert SECRET.encode() not in answer.body
        assert await alive(daemon.port)
    assert [record for record in caplog.records if record.exc_info and str(record.exc_info[1]) == SECRET]


async def test_the_librarys_own_limit_for_bodies_is_a_413() -> None:
    async def handle(request: web.Request) -> None:
        await request.read()

    endpoint = at("/api/v1/read", handle, method="POST")
    async with running(tiny_daemon(endpoint)) as daemon:
        assert (await asked(daemon.port, "/api/v1/read", "POST", b" " * 70_000)).problem() == (413, "too_large")


async def test_a_head_is_answered_without_a_body() -> None:
    async with running(tiny_daemon()) as daemon, connected(daemon.port) as wire:
        for target, status in (("/api/v1/ping", 200), ("/api/v1/nothing", 404)):
            wire.request(target, "HEAD")
            answer = await wire.answer("HEAD")
            assert answer.status == status
            assert int(answer.headers["Content-Length"]) > 0
        wire.request()
        assert (await wire.answer()).json() == {"pong": True}


async def test_a_reader_that_leaves_ends_its_handler() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    endpoint = at("/api/v1/wait", handle)
    async with running(tiny_daemon(endpoint)) as daemon:
        async with connected(daemon.port) as wire:
            wire.request("/api/v1/wait")
            await began.wait()
        await asyncio.wait_for(ended.wait(), 20)
        assert await alive(daemon.port)


async def test_expect_100_continue_is_answered_before_the_body_is_sent() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    endpoint = at("/api/v1/echo", handle, method="POST")
    async with running(tiny_daemon(endpoint)) as daemon, connected(daemon.port) as wire:
        for expectation in ("100-continue", "100-Continue"):
            wire.send(request_bytes("/api/v1/echo", "POST", b"hello", Expect=expectation)[:-5])
            assert (await wire.head())[0] == 100
            wire.send(b"hello")
            answer = await wire.answer()
            assert (answer.status, answer.body) == (200, b"hello")


async def test_a_refusal_after_100_continue_is_still_a_problem() -> None:
    async with running(tiny_daemon()) as daemon, connected(daemon.port) as wire:
        wire.request("/api/v1/nothing", "POST", Expect="100-continue", Content_Length="5")
        assert (await wire.head())[0] == 100
        assert (await wire.answer()).problem() == (404, "not_found")


@pytest.mark.parametrize("target", ["/api/v1/ping", "/api/v1/nothing", "/page"])
async def test_another_expectation_fails(target: str) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="a page")

    async with running(tiny_daemon(routes=[web.get("/page", page)])) as daemon:
        assert (await asked(daemon.port, target, Expect="200-ok")).problem() == (417, "expectation_failed")
        assert await alive(daemon.port)


def test_whatever_reaches_the_last_exit_is_told_in_our_words() -> None:
    assert refusal_of(500, ValueError(SECRET)).code == "internal_error"
    assert SECRET not in refusal_of(500, ValueError(SECRET)).detail
    assert refusal_of(400, None).code == "bad_request"
    own = errors.Invalid("expectation_failed", "")
    assert refusal_of(500, own) is own
