"""A transfer among others that fetch the same file: offers what is proven, and follows what they prove.

Neighbours are learnt from the super-peer's swarm, and from whoever follows us: news of one reaches both. A neighbour's
news is one answer that goes on (`/api/v1/have/{id}?follow=true`). Without a super-peer the crowd goes on as it is.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from aiohttp import StreamReader
from yarl import URL

from common import errors
from common.content.manifest import Manifest
from common.content.pieces import all_of, from_text, members, set_of
from common.http.addresses import url_host
from common.http.outgoing import Outgoing, OutgoingError
from common.wire.files import Source
from common.wire.transfer import Have, HaveNews, SwarmAnswer, SwarmRequest
from peer.downloads.learning import beside
from peer.downloads.others import Crowd
from peer.downloads.transfer import Transfer

MOST_FOLLOWED = 8  # of our own choice
MOST_MET = 32  # with those who follow us
LINGER = 120.0  # seconds for which the file is offered to the crowd once it is whole
FIRST_ANSWER = 0.5  # seconds that a transfer waits to hear of others
SILENCE = 30.0
GOODBYE = 2.0  # seconds that a super-peer has to hear that we leave
LONGEST_LINE = 64 * 1024
RETRIES = 3


class Offered(Protocol):
    """What others see of this transfer."""

    def add(self, piece: int) -> None: ...

    def withdraw(self) -> None: ...


class Offer(Protocol):
    """Where transfers are offered to others."""

    def begin(
        self, file_id: str, size: int, name: str, manifest: str, fd: int, met: Callable[[str, int], None]
    ) -> Offered: ...


Announce = Callable[[str, SwarmRequest], Awaitable[SwarmAnswer]]
"""Tells the super-peer of a transfer. Raises OutgoingError."""


class Swarm(Crowd):
    """The crowd around one transfer. `port`: where this peer serves."""

    def __init__(self, offer: Offer, announce: Announce, outgoing: Outgoing, port: int) -> None:
        self._offer = offer
        self._announce = announce
        self._outgoing = outgoing
        self._port = port
        self._transfer: Transfer
        self._manifest = ""
        self._offered: Offered | None = None
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._announcing: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()

    async def begin(self, transfer: Transfer, manifest: Manifest) -> None:
        """Offers what is proven, and waits a moment to hear of others."""
        self._transfer, self._manifest = transfer, manifest.digest
        wanted = transfer.wanted
        offered = self._offer.begin(
            wanted.id, wanted.size, wanted.name, manifest.digest, transfer.part.duplicate(), self._met
        )
        for piece in members(transfer.course.plan.proven):
            offered.add(piece)
        self._offered = offered
        if self._announcing is None:
            self._announcing = asyncio.create_task(self._keep_announcing())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_ANSWER):
                await self._heard.wait()

    def proven(self, piece: int) -> None:
        if self._offered is not None:
            self._offered.add(piece)

    async def end(self) -> None:
        """Leaves the swarm. A whole file stays on offer for a while, for those who are still at it."""
        tasks = [*self._followed.values(), *([self._announcing] if self._announcing else [])]
        self._followed, self._announcing = {}, None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        offered, self._offered = self._offered, None
        if offered is None:
            return
        if self._transfer.is_published:
            asyncio.get_running_loop().call_later(LINGER, offered.withdraw)
        else:
            offered.withdraw()
        with contextlib.suppress(OutgoingError, errors.Refusal, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self._announce(self._transfer.wanted.id, SwarmRequest(self._manifest, 0, leaving=True))

    async def _keep_announcing(self) -> None:
        while True:
            pause = 5.0
            proven = self._transfer.course.plan.proven.bit_count()
            try:
                answer = await self._announce(self._transfer.wanted.id, SwarmRequest(self._manifest, proven))
                pause = min(max(answer.interval, 0.5), 60.0)
                self._hear(answer.sources)
            except (OutgoingError, errors.Refusal):
                pass  # it goes on without the super-peer
            self._heard.set()
            await asyncio.sleep(pause)

    def _hear(self, sources: list[Source]) -> None:
        self._transfer.hear(sources)
        others = [source for source in sources if not source.complete]
        random.shuffle(others)
        for source in others:
            if len(self._followed) < MOST_FOLLOWED:
                self._follow(source)

    def _met(self, address: str, port: int) -> None:
        """Somebody follows us because it fetches the same: it has something for us too."""
        if len(self._followed) >= MOST_MET:
            return
        url = f"http://{url_host(address)}:{port}/api/v1/download/{self._transfer.wanted.id}"
        # Named by its address: whoever it says it is, what it does must not be held against another.
        source = Source(f"{address}:{port}", url, False, self._manifest, 50, "", 0.0, True, "follows this peer")
        if url not in self._transfer.course.claims.claimants:
            self._transfer.hear([source])
        self._follow(source)

    def _follow(self, source: Source) -> None:
        if source.url not in self._followed and source.manifest == self._manifest:
            self._followed[source.url] = asyncio.create_task(self._keep_following(source))

    async def _keep_following(self, source: Source) -> None:
        """Until it has everything or is gone."""
        url = str(URL(beside(source, "have")).update_query(follow="true", port=str(self._port)))
        try:
            for attempt in range(RETRIES):
                with contextlib.suppress(OutgoingError, ValueError, TimeoutError, msgspec.DecodeError):
                    headers = self._transfer.terms.headers
                    async with self._outgoing.request("GET", url, headers=headers) as response:
                        if await self._listen(source, response.content):
                            return
                await asyncio.sleep(2.0**attempt)
        finally:
            self._followed.pop(source.url, None)

    async def _listen(self, source: Source, lines: StreamReader) -> bool:
        """Takes in news; True once the source has everything."""
        count = self._transfer.grid.count
        first = msgspec.json.decode(await _line(lines), type=Have)
        if first.id != self._transfer.wanted.id or first.manifest != self._manifest:
            return False
        self._transfer.has(source.url, all_of(count) if first.complete else from_text(first.pieces, count))
        while not first.complete:
            line = await _line(lines)
            if not line:
                return False
            news = msgspec.json.decode(line, type=HaveNews)
            if any(piece >= count for piece in news.add):
                return False
            self._transfer.has(source.url, all_of(count) if news.complete else set_of(news.add))
            if news.complete:
                return True
        return True


async def _line(lines: StreamReader) -> bytes:
    """The next line; empty at the end. Raises TimeoutError for silence, ValueError for one too long."""
    async with asyncio.timeout(SILENCE):
        line = await lines.readuntil(b"\n")
    if len(line) > LONGEST_LINE:
        raise ValueError("the line is too long")
    return line
