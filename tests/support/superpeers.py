"""A super-peer in this process, behind real sockets, with a clock that tests move."""

import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDict

from common.runtime.clock import Clock, ManualClock
from common.runtime.config import Config, SecuritySettings, SuperPeerSettings
from superpeer.app import DATABASE_FILE, SuperPeer
from tests.support.daemon import running
from tests.support.waiting import PATIENCE
from tests.support.wire import Answer

INTERVAL = 30.0
JSON = {"Content-Type": "application/json"}


@dataclass
class Events:
    """An open `/ws`."""

    socket: aiohttp.ClientWebSocketResponse

    async def next(self) -> dict[str, Any]:
        """The next event, whatever it is."""
        event: dict[str, Any] = await self.socket.receive_json(timeout=PATIENCE)
        return event

    async def of(self, *types: str) -> dict[str, Any]:
        """The next event of one of these types; others are passed over."""
        while (event := await self.next())["type"] not in types:
            pass
        return event

    async def subscribe(self, *topics: str) -> None:
        """Asks for some topics only. Any event that comes after the returned one is of these."""
        await self.socket.send_json({"type": "subscribe", "data": {"topics": topics}})
        # What is not understood is answered, which shows that what was said before it has been read.
        await self.socket.send_json({"type": "?"})
        await self.of("error")


@dataclass
class Site:
    """One running super-peer and a client of it."""

    daemon: SuperPeer
    port: int
    clock: ManualClock
    session: aiohttp.ClientSession
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / DATABASE_FILE

    async def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, query: Any = None
    ) -> Answer:
        """One request, its answer read whole; a redirect is not followed."""
        data, given = (None, {}) if body is None else (json.dumps(body).encode(), JSON)
        async with self.session.request(
            method, self.url + path, data=data, params=query, headers=given | (headers or {}), allow_redirects=False
        ) as answer:
            return Answer(answer.status, CIMultiDict(answer.headers), await answer.read())

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of a 200."""
        answer = await self.call("GET", path, query=query)
        assert answer.status == 200, answer
        return answer.json()

    async def refused(self, path: str, **query: Any) -> tuple[int, str]:
        """Status and code of a GET that is refused."""
        return (await self.call("GET", path, query=query)).problem()

    async def found(self, q: str = "", **query: Any) -> list[str]:
        """The names that a search finds, in its order."""
        return [file["filename"] for file in (await self.get("/api/v1/files/search", q=q, **query))["results"]]

    async def listed(self, **query: Any) -> list[str]:
        """The names of a list, in its order."""
        return [file["filename"] for file in await self.get("/api/v1/files", **query)]

    async def pages(self, path: str, **query: Any) -> list[Any]:
        """All items of a list or search, page by page along its Link headers."""
        items: list[Any] = []
        answer = await self.call("GET", path, query=query)
        while True:
            assert answer.status == 200, answer
            page = answer.json()
            items += page["results"] if isinstance(page, dict) else page
            link = answer.headers.get("Link")
            if link is None:
                return items
            target, relation = link.split("; ")
            assert relation == 'rel="next"'
            # As it stands, not encoded once more.
            async with self.session.get(self.url + target[1:-1]) as following:
                answer = Answer(following.status, CIMultiDict(following.headers), await following.read())

    @asynccontextmanager
    async def events(self, **options: Any) -> AsyncIterator[Events]:
        """A listener on `/ws`; the greeting is still to come."""
        async with self.session.ws_connect(f"{self.url}/ws", **options) as socket:
            yield Events(socket)

    async def pass_time(self, seconds: float) -> None:
        """Moves the clock, then does what the jobs would find to do."""
        self.clock.advance(seconds)
        await self.daemon._registry.expire()

    async def clean_up(self) -> None:
        """The job that forgets, without waiting for its turn."""
        await self.daemon._forget()

    async def write_behind(self) -> None:
        """The job that writes what memory holds, without waiting for its turn."""
        await self.daemon._write_behind()


def config_of(folder: Path, security: dict[str, Any] | None = None, **settings: Any) -> Config:
    """A configuration for one super-peer in `folder`. Peers of most tests do not listen: they are believed to."""
    settings = {"dial_back": False} | settings
    return Config(
        # Peers of most tests register and do not listen: they are believed, unless the test is about that.
        super_peer=SuperPeerSettings(
            **{"data": str(folder), "heartbeat_interval": INTERVAL, "dial_back": False, **settings}
        ),
        security=SecuritySettings(**(security or {})),
    )


@asynccontextmanager
async def serving(
    folder: Path, clock: ManualClock | None = None, *, system_clock: Clock | None = None, **options: Any
) -> AsyncIterator[Site]:
    """Runs a super-peer in `folder`; ends it in order. `options` as for `config_of`."""
    clock = clock or ManualClock()
    daemon = SuperPeer(config_of(folder, **options), system_clock or clock)
    gc.freeze()  # the daemon's start looks through all that is not: here, a whole test run
    async with running(daemon) as served, aiohttp.ClientSession() as session:  # type: ignore[arg-type]
        yield Site(daemon, served.port, clock, session, folder)
