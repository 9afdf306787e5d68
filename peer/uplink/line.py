"""The line of a peer that others cannot dial: held open to the super-peer, which asks over it.

What is asked is asked of this very peer over loopback, and nothing but the few paths that serve files, so that slots
and limits count it like everything else. The answer is posted as it comes: a piece is read when the one before was
taken. An answer that breaks off is broken off there.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
import msgspec

from common.http.addresses import Profile, url_host
from common.http.dialling import Endpoint, Policy
from common.http.outgoing import Outgoing, OutgoingError
from common.http.relayed import head_of
from common.wire.relay import ANSWERED, ASKED, LINE_PATH, STREAMS_OF_LINE, RelayHead, RelayRequest
from peer.uplink.relayed import Relayed

log = logging.getLogger("shoal.line")

PING = 25.0  # seconds
LARGEST = 64 * 1024  # bytes of a frame
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
HEAD_DEADLINE, SILENCE = 30.0, 60.0  # seconds for what this peer asks itself
LASTED = 60.0  # seconds after which a line was a good one
# The super-peer counts a stream as over before its last word has come back here.
MOST_ANSWERED = 2 * STREAMS_OF_LINE


class SuperPeer(Protocol):
    """Where the line leads."""

    endpoint: Endpoint
    origin: str

    def proof(self) -> dict[str, str]:
        """The headers that prove this peer."""


class Standing(Protocol):
    """Whether others can dial this peer: one of the two is set."""

    dialled: asyncio.Event
    undialled: asyncio.Event


class Line:
    """`own` is where this peer listens."""

    def __init__(self, super_peer: SuperPeer, own: Endpoint, standing: Standing, relayed: Relayed) -> None:
        self._super_peer = super_peer
        self._own = f"http://{url_host(own[0])}:{own[1]}"
        self._standing = standing
        self._relayed = relayed
        # Apart from the uplink's, and allowed to dial these two alone.
        self._outgoing = Outgoing(Policy(Profile.LOOPBACK, chosen=frozenset({own, super_peer.endpoint})))
        self._answering: set[asyncio.Task[None]] = set()

    async def keep(self) -> None:
        """Keeps the line open while it is wanted; opens it again when it breaks, after a pause that grows."""
        pause = FIRST_PAUSE
        try:
            while self._standing.undialled.is_set():
                began = asyncio.get_running_loop().time()
                try:
                    await self._hold()
                except OutgoingError as error:
                    log.info("no line to the super-peer", extra={"code": error.code, "reason": error.detail})
                if not self._standing.undialled.is_set():
                    break
                pause = FIRST_PAUSE if asyncio.get_running_loop().time() - began >= LASTED else pause
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            await self._outgoing.close()

    async def _hold(self) -> None:
        url = self._super_peer.origin + LINE_PATH
        headers = self._super_peer.proof()
        async with self._outgoing.websocket(url, headers=headers, ping=PING, largest=LARGEST) as socket:
            log.info("others fetch through the super-peer")
            release = asyncio.create_task(self._until_unwanted(socket), name="release the line")
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._asked(message.data)
            finally:
                release.cancel()
                await self._drop_all(release)

    async def _until_unwanted(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Closes the line once others can dial this peer and nothing passes any more."""
        await self._standing.dialled.wait()
        while self._answering:
            await asyncio.wait(self._answering)
        await socket.close()

    async def _drop_all(self, release: asyncio.Task[None]) -> None:
        tasks = [release, *self._answering]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _asked(self, text: str) -> None:
        try:
            request = msgspec.json.decode(text, type=RelayRequest)
        except (ValueError, RecursionError) as error:
            log.warning("the super-peer asks what it may not", extra={"reason": str(error)[:200]})
            return
        if len(self._answering) < MOST_ANSWERED:
            task = asyncio.create_task(self._answer(request), name="answer over the line")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, request: RelayRequest) -> None:
        try:
            await self._passed_on(request)
        except OutgoingError as error:
            log.debug("a relayed answer was not taken", extra={"code": error.code, "reason": error.detail})
        except Exception:
            log.exception("a relayed request failed")

    async def _passed_on(self, request: RelayRequest) -> None:
        headers = {name: request.headers[name] for name in ASKED if name in request.headers}
        headers |= self._relayed.mark() | ({"X-Peer-ID": request.asker} if request.asker else {})
        begun = False
        try:
            asking = self._outgoing.request(
                request.method, self._own + request.path, headers=headers, head_deadline=HEAD_DEADLINE, silence=SILENCE
            )
            async with asking as answer:
                begun = True
                told = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
                await self._post(request, RelayHead(answer.status, told), answer.content)
        except OutgoingError as error:
            if begun:
                raise
            await self._post(request, head_of(error), None)

    async def _post(self, request: RelayRequest, head: RelayHead, content: aiohttp.StreamReader | None) -> None:
        first = msgspec.json.encode(head) + b"\n"
        headers = self._super_peer.proof() | {"Content-Type": "application/octet-stream"}
        if content is None or request.method == "HEAD":
            content, length = None, 0
        else:
            length = int(head.headers.get("Content-Length", -1))
        if length >= 0:
            headers["Content-Length"] = str(len(first) + length)
        url = f"{self._super_peer.origin}{LINE_PATH}/{request.stream}"
        body = _body(first, content)
        async with self._outgoing.request("POST", url, headers=headers, body=body, head_deadline=None):
            pass


async def _body(first: bytes, content: aiohttp.StreamReader | None) -> AsyncIterator[bytes]:
    yield first
    if content is not None:
        async for piece in content.iter_any():
            yield piece
