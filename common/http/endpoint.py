"""One endpoint of the API, declared once: the router, the validation and the OpenAPI document are made from it.

A handler gets the request and, where declared, the validated body or query; it returns a wire type (sent as JSON) or a
response of its own.
"""

import functools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from aiohttp import web

from common import errors
from common.http.body import DEFAULT_LIMIT, OneOf, read_json, read_query

Handler = Callable[..., Awaitable[Any]]
Guard = Callable[[web.Request], None]


class Access(Enum):
    """Who may call an endpoint."""

    PUBLIC = "anyone"
    PEER = "a registered peer, with its token"
    OWNER = "the owner, with the owner's token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`body` and `query` are msgspec types; `answer` is what a 200 carries; `codes` are the refusals to expect."""

    method: str
    path: str
    handle: Handler
    summary: str
    tag: str
    body: type | OneOf | None = None
    body_required: bool = True
    query: type | None = None
    answer: Any = None
    status: int = 200
    media: str = "application/json"
    codes: tuple[str, ...] = ()
    access: Access = Access.PUBLIC
    limit: int = DEFAULT_LIMIT
    documented: bool = True


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`value` (wire types, lists, dicts) as a JSON answer."""
    everything = {"Content-Type": "application/json"}
    return web.Response(body=msgspec.json.encode(value), status=status, headers=everything | (headers or {}))


def install(app: web.Application, endpoints: Iterable[Endpoint], guards: dict[Access, Guard]) -> None:
    """Adds every endpoint to the router; `guards` raise for callers that an access level keeps out."""
    for endpoint in endpoints:
        guard = guards.get(endpoint.access)
        if guard is None and endpoint.access is Access.OWNER:
            raise ValueError(f"{endpoint.path} is for the owner alone, and nothing guards it")
        handler = _bind(endpoint, guard)
        if endpoint.method == "GET":
            app.router.add_get(endpoint.path, handler, expect_handler=_expect)
        else:
            app.router.add_route(endpoint.method, endpoint.path, handler, expect_handler=_expect)


def _bind(endpoint: Endpoint, guard: Guard | None) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    kind = endpoint.body

    @functools.wraps(endpoint.handle)
    async def handle(request: web.Request) -> web.StreamResponse:
        if guard is not None:
            guard(request)
        if kind is not None:
            body: Any = await read_json(request, kind, endpoint.limit)
            if body is None and endpoint.body_required:
                raise errors.Invalid("body_required", "Send a JSON object as the body; /docs says which.")
            answer = await endpoint.handle(request, body)
        elif endpoint.query is not None:
            answer = await endpoint.handle(request, read_query(request, endpoint.query))
        else:
            answer = await endpoint.handle(request)
        # The common case first: asking an abstract class, as StreamResponse is, costs more than all else here.
        if isinstance(answer, (msgspec.Struct, list)):
            return json_response(answer, endpoint.status)
        if answer is None:
            return web.Response(status=204)
        response: web.StreamResponse = answer
        return response

    return handle


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """`Expect: 100-continue` is answered; anything else cannot be met (RFC 9110, 10.1.1)."""
    if request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The interim answer is not part of the final one's length.
        request.writer.output_size = 0
        return None
    raise errors.Invalid("expectation_failed", "Only Expect: 100-continue is understood.")
