"""Events to whoever listens: each frame is made once, a listener too slow to read is skipped, never waited for.

A listener that missed something is told the present state when it reads again.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from common import errors
from common.http.request_ids import answer_headers
from common.runtime.clock import Clock, utc
from common.wire.events import MAX_FRAME, TOPICS, Event, EventError, Subscription

QUEUED = 256  # frames kept for one listener
PING = 25.0
GOODBYE = 1.5  # seconds


class Listener:
    """One socket's share of the events: of the topics that it may hear, those that it wants."""

    def __init__(self, allowed: Iterable[str] = TOPICS) -> None:
        self.allowed = self.topics = frozenset(allowed)
        self.queue: asyncio.Queue[str] = asyncio.Queue(QUEUED)
        self.missed = False

    def offer(self, frame: str) -> None:
        """Queues a frame, or notes that it was missed."""
        try:
            self.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.missed = True


class Hub:
    """Where a daemon's slices tell what happened."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._listeners)

    def frame(self, kind: str, data: Any) -> str:
        """An event as it goes over the wire."""
        return msgspec.json.encode(Event(kind, data, utc(self._clock.now()))).decode()

    def has_listeners(self, topic: str) -> bool:
        """Whether anybody listens to `topic`."""
        return any(topic in listener.topics for listener in self._listeners)

    def publish(self, topic: str, kind: str, data: Any) -> None:
        """Tells everybody who listens to `topic`."""
        listeners = [listener for listener in self._listeners if topic in listener.topics]
        if listeners:
            frame = self.frame(kind, data)
            for listener in listeners:
                listener.offer(frame)

    @contextmanager
    def listening(self, topics: Iterable[str] = TOPICS) -> Iterator[Listener]:
        """A listener for as long as the block runs."""
        listener = Listener(topics)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def serve(
        self,
        request: web.Request,
        greeting: Callable[[], Iterable[str]],
        said: "Said | None" = None,
        topics: Iterable[str] = TOPICS,
    ) -> web.WebSocketResponse:
        """Answers a WebSocket: the greeting, then events, until either side has enough."""
        if self._closing:
            raise errors.Unavailable("shutting_down", "The daemon is stopping; come back later.")
        socket = web.WebSocketResponse(max_msg_size=MAX_FRAME, heartbeat=PING, compress=False, timeout=5)
        socket.headers.update(answer_headers.get())
        try:
            await socket.prepare(request)
        except ValueError:
            raise errors.Invalid("bad_request", "This is not a well-formed WebSocket handshake.") from None
        self._sockets.add(socket)
        with self.listening(topics) as listener:
            for frame in greeting():
                listener.offer(frame)
            sender = asyncio.create_task(_send(socket, listener, greeting), name="events to a socket")
            try:
                await self._receive(socket, listener, said)
            finally:
                self._sockets.discard(socket)
                sender.cancel()
                with suppress(asyncio.CancelledError, ConnectionError):
                    await sender
        return socket

    async def _receive(self, socket: web.WebSocketResponse, listener: Listener, said: "Said | None") -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                answer = self._understand(listener, message.data, said)
                if answer is not None:
                    listener.offer(self.frame("error", answer))

    def _understand(self, listener: Listener, text: str, said: "Said | None") -> EventError | None:
        try:
            spoken = msgspec.json.decode(text, type=Spoken)
            if spoken.type == "subscribe":
                listener.topics = listener.allowed.intersection(msgspec.convert(spoken.data, Subscription).topics)
                return None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return EventError("invalid_body", f"This is not a message: {error}")
        if said is not None and said(listener, spoken):
            return None
        return EventError("unknown_type", f"Nothing is known of messages of type {spoken.type[:64]!r}.")

    async def close(self) -> None:
        """Says goodbye to every socket, to all at once: one that does not answer must not keep the others waiting."""
        self._closing = True
        await asyncio.gather(*(_goodbye(socket) for socket in self._sockets))


class Spoken(msgspec.Struct, frozen=True):
    """What a listener says."""

    type: str
    data: Any = None


Said = Callable[[Listener, Spoken], bool]


async def _goodbye(socket: web.WebSocketResponse) -> None:
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            await socket.close(code=1001, message=b"the daemon is stopping")


async def _send(socket: web.WebSocketResponse, listener: Listener, greeting: Callable[[], Iterable[str]]) -> None:
    while not socket.closed:
        frame = await listener.queue.get()
        await socket.send_str(frame)
        if listener.missed and listener.queue.empty():
            listener.missed = False
            for state in greeting():
                listener.offer(state)
