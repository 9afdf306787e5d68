"""The WebSocket that a peer keeps open to be asked over. The peer says nothing on it: its answers come as requests."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec
from aiohttp import web

from common import errors
from common.http.request_ids import answer_headers
from superpeer.relay.switchboard import Line, Switchboard

PING = 25.0  # seconds
GOODBYE = 1.0
LARGEST = 4096  # bytes of a frame that a peer may send, to no effect
PER_SECOND = 20  # more of them end the line


class Seat(Protocol):
    """A peer that is here."""

    @property
    def id(self) -> str: ...


class Lines:
    """`/api/v1/line`. `sender` tells which peer a request comes from."""

    def __init__(self, switchboard: Switchboard, sender: Callable[[web.Request], Seat]) -> None:
        self._switchboard = switchboard
        self._sender = sender
        self._sockets: set[web.WebSocketResponse] = set()
        self._closing = False

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Holds the line until either side has enough, or the peer opens another."""
        peer_id = self._sender(request).id
        if self._closing:
            raise errors.Unavailable("shutting_down", "The daemon is stopping; come back later.")
        socket = web.WebSocketResponse(max_msg_size=LARGEST, heartbeat=PING, compress=False, timeout=5)
        socket.headers.update(answer_headers.get())
        try:
            await socket.prepare(request)
        except ValueError:
            raise errors.Invalid("bad_request", "This is not a well-formed WebSocket handshake.") from None
        self._sockets.add(socket)
        try:
            with self._switchboard.line(peer_id) as line:
                await _hold(socket, line)
        finally:
            self._sockets.discard(socket)
        await _goodbye(socket)
        return socket

    async def close(self) -> None:
        """Ends every line."""
        self._closing = True
        await asyncio.gather(*(_goodbye(socket) for socket in self._sockets))


async def _hold(socket: web.WebSocketResponse, line: Line) -> None:
    """Until the first of these is over: sending, hearing that the peer is there, being replaced."""
    parts = (_send(socket, line), _hear(socket), line.replaced.wait())
    tasks = [asyncio.create_task(part, name="a peer's line") for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: web.WebSocketResponse, line: Line) -> None:
    while True:
        request = await line.outbox.get()
        if request.stream in line.streams:  # its asker may have gone meanwhile
            await socket.send_str(msgspec.json.encode(request).decode())


async def _hear(socket: web.WebSocketResponse) -> None:
    loop, heard, since = asyncio.get_running_loop(), 0, 0.0
    async for _ in socket:
        if loop.time() - since > 1.0:
            heard, since = 0, loop.time()
        heard += 1
        if heard > PER_SECOND:
            return


async def _goodbye(socket: web.WebSocketResponse) -> None:
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            await socket.close(code=1001, message=b"this line is over")
