"""A small daemon behind the real boundary, connections and sockets, that remembers what it went through."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from aiohttp import web

from common.http.application import Boundary, ErrorPage, make_application
from common.http.callers import super_peer_callers
from common.http.connection import ConnectionLimits
from common.http.endpoint import Access, Endpoint, Guard, Handler, install
from common.http.metrics import Requests
from common.http.serve import Running, start

# Deadlines beyond any test's patience, so that no connection ends of itself.
GENEROUS = ConnectionLimits(
    total=1000,
    per_address=1000,
    allowed=lambda _: True,
    exempt=lambda _: False,
    head_deadline=1000.0,
    answer_grace=1000.0,
)


class Pong(msgspec.Struct, frozen=True):
    """The answer of `/api/v1/ping`."""

    pong: bool = True


async def ping(request: web.Request) -> Pong:
    return Pong()


def at(path: str, handle: Handler, method: str = "GET", **options: Any) -> Endpoint:
    """An endpoint of which only its behaviour matters."""
    return Endpoint(method=method, path=path, handle=handle, summary="For a test", tag="test", **options)


PING = at("/api/v1/ping", ping, answer=Pong)


@dataclass
class TinyDaemon:
    """What `common.http.serve` runs; `steps` are its calls in their order, `hub`-like things end in `at_stop`."""

    app: web.Application
    requests: Requests
    limits: ConnectionLimits = GENEROUS
    steps: list[str] = field(default_factory=list)
    failing: frozenset[str] = frozenset()
    at_stop: Any = None

    async def open(self) -> None:
        self._step("open")

    async def listening(self, address: str, port: int) -> None:
        self._step("listening")

    async def stopping(self) -> None:
        self._step("stopping")
        if self.at_stop is not None:
            await self.at_stop()

    async def close(self) -> None:
        self._step("close")

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.failing:
            raise RuntimeError(f"{name} fails")


def tiny_daemon(
    *endpoints: Endpoint,
    guards: dict[Access, Guard] | None = None,
    error_page: ErrorPage | None = None,
    routes: Iterable[web.AbstractRouteDef] = (),
    **limits: Any,
) -> TinyDaemon:
    """A daemon with these endpoints and `/api/v1/ping`; `limits` change GENEROUS."""
    requests = Requests()
    app = make_application(Boundary(super_peer_callers(()), requests, error_page))
    install(app, [PING, *endpoints], guards or {})
    app.router.add_routes(routes)
    return TinyDaemon(app, requests, replace(GENEROUS, **limits))


@asynccontextmanager
async def running(daemon: TinyDaemon, host: str = "127.0.0.1") -> AsyncIterator[Running]:
    """Runs it on a free port, and afterwards finds that it has left no task behind."""
    before = asyncio.all_tasks()
    thresholds = gc.get_threshold()
    served = await start(daemon, host, 0)
    try:
        yield served
    finally:
        await served.stop()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    # As a fixture, this ends in another task than it began in.
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"left behind: {left}"
