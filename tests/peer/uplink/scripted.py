"""A super-peer on loopback that is honest until a test tells it otherwise, and counts who says what."""

import asyncio
from collections import defaultdict, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.sources import Handler, serve

KINDS = {
    "/api/v1/peers/challenge": "challenge",
    "/api/v1/peers/register": "register",
    "/api/v1/peers/heartbeat": "heartbeat",
    "/api/v1/files/register": "announce",
    "/api/v1/peers/unregister": "leave",
}
ID, NONCE = "705e887a639d3a33895b4cb29becbea0", "2WzO+Bf/4uOi9fiqqogvr3PGQA8UdztGIBmRudEPUOY="


@dataclass(frozen=True)
class Said:
    """One call."""

    kind: str
    headers: dict[str, str]
    body: Any

    @property
    def names(self) -> tuple[str | None, str | None]:
        """Who says it, by which token."""
        return self.headers.get("X-Peer-ID"), self.headers.get("Authorization")


@dataclass
class ScriptedSuperPeer:
    """`next` answers the next calls of a kind, `always` all of them; what is in neither is answered honestly."""

    said: list[Said] = field(default_factory=list)
    next: dict[str, deque[Handler]] = field(default_factory=lambda: defaultdict(deque))
    always: dict[str, Handler] = field(default_factory=dict)
    interval: Any = 30.0
    catalogue_id: str | None = None
    version: int = 0
    held: dict[str, str] = field(default_factory=dict)
    tokens: int = 0
    address: str = ""

    async def listen(self, stack: AsyncExitStack) -> None:
        self.address = await serve(stack, self._answer)

    def bodies(self, kind: str) -> list[Any]:
        """What the calls of a kind said."""
        return [said.body for said in self.said if said.kind == kind]

    def count(self, kind: str) -> int:
        return len(self.bodies(kind))

    def forget(self) -> None:
        """As one that lost its database."""
        self.catalogue_id, self.version, self.held = None, 0, {}
        self.next["heartbeat"].append(refusing(404, "peer_not_found"))

    async def honest(self, request: web.Request) -> web.StreamResponse:
        said = self.said[-1]
        if said.kind == "challenge":
            return web.json_response({"nonce": NONCE, "super_peer_id": ID})
        if said.kind == "register":
            return web.json_response(self.registered(said.body))
        if said.kind == "heartbeat":
            return web.json_response({**self._holds(), "heartbeat_interval": self.interval})
        return web.Response(status=204) if said.kind == "leave" else self._take(said.body)

    def registered(self, body: Any, **otherwise: Any) -> dict[str, Any]:
        """The answer to a registration."""
        self.tokens += 1
        answer = {
            "peer_id": body["id"],
            "message": "Peer registered successfully",
            "token": f"token{self.tokens}",
            "heartbeat_interval": self.interval,
            "hash_algorithm": "sha256",
            "address": "127.0.0.1",
        }
        return {**answer, **self._holds(), **otherwise}

    def _take(self, delta: Any) -> web.Response:
        if delta["base_version"] not in (0, self.version) or (
            delta["base_version"] and delta["catalogue_id"] != self.catalogue_id
        ):
            return problem(409, "catalogue_out_of_step", **self._holds())
        if delta["base_version"] == 0:
            self.held.clear()
        self.catalogue_id, self.version = delta["catalogue_id"], delta["base_version"] + 1
        self.held.update({entry["path"]: entry["id"] for entry in delta["add"]})
        for path in delta["remove"]:
            self.held.pop(path, None)
        return web.json_response({"catalogue_version": self.version})

    def _holds(self) -> dict[str, Any]:
        return {"catalogue_id": self.catalogue_id, "catalogue_version": self.version}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        kind = KINDS.get(request.path, request.path)
        raw = await request.read()
        self.said.append(Said(kind, dict(request.headers), await request.json() if raw else None))
        handler = self.next[kind].popleft() if self.next[kind] else self.always.get(kind, self.honest)
        return await handler(request)

    async def mute(self, request: web.Request) -> web.StreamResponse:
        """Does as it is told, and the answer is lost."""
        await self.honest(request)
        return await cut(request)


def problem(status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    """A refusal in the protocol's form."""
    document = {**more, "code": code, "detail": f"Refused: {code}.", "status": status}
    return web.json_response(document, status=status, headers=headers, content_type="application/problem+json")


def refusing(status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return problem(status, code, headers, **more)

    return handle


def saying(body: bytes | str, status: int = 200, **headers: str) -> Handler:
    """Always this, as JSON unless told otherwise; underscores in header names stand for hyphens."""
    named = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=named)

    return handle


async def cut(request: web.Request) -> web.StreamResponse:
    """No answer, and the connection is gone."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def silent(request: web.Request) -> web.StreamResponse:
    """No answer at all."""
    await asyncio.Event().wait()
    raise AssertionError


BAD: dict[str, Handler] = {
    "a fault": saying(b"oops", 500, Content_Type="text/plain"),
    "a refusal": refusing(503, "database_unavailable"),
    "a proxy's page": saying(b"<html>", 502, Content_Type="text/html"),
    "a redirect": saying(b"", 302, Location="/elsewhere"),
    "a permanent redirect": saying(b"", 308, Location="/elsewhere"),
    "no JSON": saying(b"\xff\x00{"),
    "nothing": saying(b""),
    "no content": saying(b"", 204),
    "too much": saying(b'"' + b"x" * 1_100_000 + b'"'),
    "deep JSON": saying(b"[" * 100_000),
    "another type": saying(b"[1, 2]"),
    "wrong types": saying(
        '{"nonce": 1, "super_peer_id": [], "token": {}, "heartbeat_interval": "x", "catalogue_version": null}'
    ),
    "numbers that are none": saying('{"catalogue_version": NaN, "heartbeat_interval": 1e999}'),
    "compressed": saying(b"{}", Content_Encoding="gzip"),
    "a problem of wrong types": saying('{"code": 7, "detail": [], "status": "x"}', 409),
    "a cut": cut,
}
