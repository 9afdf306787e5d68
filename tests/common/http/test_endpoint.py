from typing import Any

import msgspec
import pytest
from aiohttp import web

from common import errors
from common.http.bearer import bearer_token
from common.http.endpoint import Access, install, json_response
from common.http.health import HealthPages
from common.http.metrics import MetricsPage, Requests
from common.http.operations import operations
from tests.support.daemon import Pong, at, running, tiny_daemon
from tests.support.wire import asked


class Taken(msgspec.Struct):
    size: int


class Wanted(msgspec.Struct):
    q: str = ""


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    [
        (Pong(), 202, {"pong": True}),
        ([Pong(), Pong(False)], 202, [{"pong": True}, {"pong": False}]),
        ([], 202, []),
    ],
)
async def test_what_a_handler_returns_is_sent_as_json(returned: Any, status: int, body: Any) -> None:
    async def handle(request: web.Request) -> Any:
        return returned

    async with running(tiny_daemon(at("/api/v1/x", handle, status=202))) as daemon:
        answer = await asked(daemon.port, "/api/v1/x")
    assert (answer.status, answer.json()) == (status, body)
    assert answer.headers["Content-Type"] == "application/json"


async def test_nothing_is_sent_as_no_content() -> None:
    async def handle(request: web.Request) -> None:
        return None

    async with running(tiny_daemon(at("/api/v1/x", handle))) as daemon:
        answer = await asked(daemon.port, "/api/v1/x")
    assert (answer.status, answer.body) == (204, b"")


async def test_a_handlers_own_response_is_left_alone() -> None:
    async def handle(request: web.Request) -> web.Response:
        return json_response({"a": 1}, 201, {"Link": "<x>", "Content-Type": "application/x"})

    async with running(tiny_daemon(at("/api/v1/x", handle))) as daemon:
        answer = await asked(daemon.port, "/api/v1/x")
    assert (answer.status, answer.json(), answer.headers["Link"]) == (201, {"a": 1}, "<x>")
    assert answer.headers["Content-Type"] == "application/x"


async def test_a_handler_gets_what_it_declared() -> None:
    got: list[Any] = []

    async def take(request: web.Request, body: Taken) -> None:
        got.append(body)

    async def look(request: web.Request, query: Wanted) -> None:
        got.append(query)

    endpoints = (at("/api/v1/x", take, method="POST", body=Taken), at("/api/v1/x", look, query=Wanted))
    async with running(tiny_daemon(*endpoints)) as daemon:
        await asked(daemon.port, "/api/v1/x?q=a", "POST", b'{"size":3}')
        await asked(daemon.port, "/api/v1/x?q=a")
    assert got == [Taken(3), Wanted("a")]


async def test_a_guard_stands_before_the_body_is_read() -> None:
    ran = []

    async def handle(request: web.Request, body: Taken) -> None:
        ran.append(body)

    def guard(request: web.Request) -> None:
        if bearer_token(request) != "sesame":
            raise errors.Unauthenticated("token_required", "Say it.")

    owners = at("/api/v1/x", handle, method="POST", body=Taken, access=Access.OWNER)
    body = b'{"size":3}'
    async with running(tiny_daemon(owners, guards={Access.OWNER: guard})) as daemon:
        refused = await asked(daemon.port, "/api/v1/x", "POST", b"not even JSON")
        assert refused.problem() == (401, "token_required")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert (await asked(daemon.port, "/api/v1/x", "POST", body, Authorization="Bearer no")).status == 401
        assert ran == []
        assert (await asked(daemon.port, "/api/v1/x", "POST", body, Authorization="Bearer sesame")).status == 204
        assert ran == [Taken(3)]
        # What is for anybody has no guard.
        assert (await asked(daemon.port)).status == 200


def test_an_owners_endpoint_without_a_guard_does_not_start() -> None:
    async def handle(request: web.Request) -> None:
        return None

    with pytest.raises(ValueError, match="/api/v1/x"):
        install(web.Application(), [at("/api/v1/x", handle, access=Access.OWNER)], guards={})


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("Bearerabc", None),
        ("", None),
    ],
)
async def test_the_bearer_token_of_a_request(header: str, token: str | None) -> None:
    got: list[str | None] = []

    async def handle(request: web.Request) -> None:
        got.append(bearer_token(request))

    async with running(tiny_daemon(at("/api/v1/x", handle))) as daemon:
        await asked(daemon.port, "/api/v1/x", Authorization=header)
        await asked(daemon.port, "/api/v1/x?access_token=abc")
    assert got == [token, None]


async def test_health_and_readiness() -> None:
    why: list[str | None] = ["starting"]
    health = HealthPages("1.2.3", lambda: why[0])
    metrics = MetricsPage("test", Requests(), list)
    async with running(tiny_daemon(*operations(health, metrics))) as daemon:
        assert (await asked(daemon.port, "/healthz")).json() == {"status": "ok", "version": "1.2.3"}
        unready = await asked(daemon.port, "/readyz")
        assert unready.problem() == (503, "not_ready")
        assert "starting" in unready.json()["detail"]
        why[0] = None
        assert (await asked(daemon.port, "/readyz")).json() == {"status": "ready", "version": "1.2.3"}
        why[0] = "stopping"
        assert (await asked(daemon.port, "/readyz")).problem() == (503, "shutting_down")
        assert (await asked(daemon.port, "/healthz")).status == 200
        assert (await asked(daemon.port, "/metrics")).status == 200
