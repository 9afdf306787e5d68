"""The line of a peer, held to a super-peer that the test plays, and what the peer asks itself for others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from common.http.dialling import Endpoint, endpoint
from peer.uplink import line as module
from peer.uplink.line import Line
from peer.uplink.relayed import Relayed
from tests.peer.uplink.scripted import problem
from tests.support.sources import serve
from tests.support.waiting import PATIENCE, until

ID = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
PATH = f"/api/v1/download/{ID}"
PROOF = {"X-Peer-ID": "me", "Authorization": "Bearer t"}


@dataclass
class Posted:
    """One answer; `whole` when its body came to its end."""

    stream: str
    head: dict[str, Any]
    body: bytes
    whole: bool


@dataclass
class Stage:
    """A played super-peer, a played own daemon, and the line between."""

    endpoint: Endpoint = ("", 0)
    origin: str = ""
    dialled: asyncio.Event = field(default_factory=asyncio.Event)
    undialled: asyncio.Event = field(default_factory=asyncio.Event)
    relayed: Relayed = field(default_factory=Relayed)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    refusals: int = 0
    asked: list[web.Request] = field(default_factory=list)
    posted: asyncio.Queue[Posted] = field(default_factory=asyncio.Queue)
    answering: dict[str, Any] = field(default_factory=dict)

    def proof(self) -> dict[str, str]:
        return PROOF

    async def super_peer(self, request: web.Request) -> web.StreamResponse:
        assert {name: request.headers[name] for name in PROOF} == PROOF
        if request.method == "POST":
            return await self._post(request)
        if self.refusals:
            self.refusals -= 1
            return problem(404, "peer_not_found")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for _ in socket:
            pass
        return socket

    async def _post(self, request: web.Request) -> web.Response:
        body, whole = b"", True
        try:
            async for piece in request.content.iter_any():
                body += piece
        except BaseException:
            whole = False
        first, _, rest = body.partition(b"\n")
        self.posted.put_nowait(Posted(request.path.rpartition("/")[2], json.loads(first), rest, whole))
        return web.Response(status=204)

    async def own(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.answering.get("handler")
        return await answer(request) if answer else web.Response(body=b"bytes", headers={"ETag": '"x"', "X-Own": "y"})

    async def ask(self, **changes: Any) -> None:
        request = {"stream": "s1", "method": "GET", "path": PATH, "headers": {}, "asker": "who"} | changes
        await self.sockets[-1].send_str(json.dumps(request))

    async def answer(self) -> Posted:
        return await asyncio.wait_for(self.posted.get(), PATIENCE)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    async with AsyncExitStack() as stack:
        made = Stage()
        address = await serve(stack, made.super_peer)
        made.endpoint, made.origin = endpoint(address), f"http://{address}"
        own = endpoint(await serve(stack, made.own))
        made.undialled.set()
        keeping = asyncio.create_task(Line(made, own, made, made.relayed).keep())
        await until(lambda: made.sockets)
        yield made
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_what_is_asked_is_asked_of_this_peer_and_posted(stage: Stage) -> None:
    await stage.ask(headers={"Range": "bytes=0-4", "Cookie": "x"})
    posted = await stage.answer()
    assert (posted.stream, posted.body, posted.whole) == ("s1", b"bytes", True)
    assert posted.head["status"] == 200
    assert posted.head["headers"]["Content-Length"] == "5"
    assert "X-Own" not in posted.head["headers"]
    (request,) = stage.asked
    assert (request.path, request.headers["Range"], request.headers["X-Peer-ID"]) == (PATH, "bytes=0-4", "who")
    assert "Cookie" not in request.headers
    assert stage.relayed.is_marked(request)


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/api/v1/shares"},
        {"path": f"{PATH}/../../shares"},
        {"path": f"/api/v1/files/{ID}"},
        {"path": f"{PATH}?a=%0d%0a"},
        {"path": f"{PATH}\n"},
        {"path": f"http://elsewhere{PATH}"},
        {"method": "DELETE"},
        {"stream": "../x"},
        {"headers": {"Range": "a\r\nX: y"}},
        {"headers": 7},
        {"asker": "a b"},
    ],
    ids=range(11),
)
async def test_a_super_peer_that_asks_for_something_else_is_not_obeyed(stage: Stage, changes: dict[str, Any]) -> None:
    await stage.ask(**changes)
    await stage.sockets[-1].send_str("not json")
    await stage.ask(stream="s2")
    assert (await stage.answer()).stream == "s2"
    assert len(stage.asked) == 1


async def test_a_refusal_is_posted_as_one(stage: Stage) -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        return problem(503, "too_many_requests", {"Retry-After": "7"}, place=3)

    stage.answering["handler"] = busy
    await stage.ask()
    head = (await stage.answer()).head
    assert head == {"status": 503, "headers": {"Retry-After": "7"}, "code": "too_many_requests", "place": 3}


async def test_head_posts_no_bytes(stage: Stage) -> None:
    await stage.ask(method="HEAD")
    posted = await stage.answer()
    assert (posted.head["headers"]["Content-Length"], posted.body, posted.whole) == ("5", b"", True)


async def test_an_answer_that_goes_on_is_posted_as_it_comes(stage: Stage) -> None:
    async def following(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for number in range(3):
            await response.write(b"%d\n" % number)
        return response

    stage.answering["handler"] = following
    await stage.ask(path=f"/api/v1/have/{ID}?follow=true")
    posted = await stage.answer()
    assert (posted.body, posted.whole) == (b"0\n1\n2\n", True)


async def test_an_answer_that_breaks_off_is_not_posted_as_whole(stage: Stage) -> None:
    async def breaking(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.abort()
        return response

    stage.answering["handler"] = breaking
    await stage.ask()
    assert not (await stage.answer()).whole


async def test_the_line_is_opened_again_when_it_breaks(stage: Stage) -> None:
    stage.refusals = 3
    await stage.sockets[0].close()
    await until(lambda: len(stage.sockets) == 2)
    assert stage.refusals == 0
    await stage.ask()
    assert (await stage.answer()).body == b"bytes"


async def test_the_line_ends_when_it_is_not_wanted_but_not_amid_an_answer(stage: Stage) -> None:
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(body=b"late")

    stage.answering["handler"] = slow
    await stage.ask()
    await until(lambda: stage.asked)
    stage.undialled.clear()
    stage.dialled.set()
    assert not stage.sockets[0].closed
    go_on.set()
    assert (await stage.answer()).body == b"late"
    await until(lambda: stage.sockets[0].closed)
    assert len(stage.sockets) == 1


def test_nobody_else_can_say_that_he_asks_for_others() -> None:
    from aiohttp.test_utils import make_mocked_request

    relayed = Relayed()
    assert relayed.is_marked(make_mocked_request("GET", "/", relayed.mark()))
    for mark in (None, "", "x", "é", *Relayed().mark().values()):
        headers = {} if mark is None else {"X-Relayed": mark}
        assert not relayed.is_marked(make_mocked_request("GET", "/", headers))
