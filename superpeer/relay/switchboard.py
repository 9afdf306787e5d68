"""Which peers have a line open, and what passes over each.

Invariants: a peer has one line, the newest; a stream belongs to one line and one asker, is answered once, by its own
peer alone, and does not outlast its line. Bounded: streams of a line, of an asker's address, and in all.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from common import errors
from common.wire.relay import STREAMS_OF_LINE, RelayHead, RelayRequest

STREAMS_OF_ASKER = 32
RETRY_AFTER = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What an asker wants of a source. `asker` is a word for who it is."""

    kind: str
    file_id: str
    method: Literal["GET", "HEAD"]
    path: str
    headers: dict[str, str]
    asker: str


class Content(Protocol):
    """The bytes of an answer, as they come."""

    async def readany(self) -> bytes:
        """At least one byte; none at the end. Raises when the answer is cut."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An answer that has begun; `cut` ends it at once."""

    head: RelayHead
    content: Content
    cut: Callable[[], None]


@dataclass(eq=False, slots=True)
class Stream:
    """One request on its way, and its answer."""

    id: str
    peer_id: str
    arrived: asyncio.Future[Arrival]
    is_claimed: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def lose(self) -> None:
        """Its line is gone: what has come of the answer is all there is, and it is not whole."""
        if not self.arrived.done():
            gone = errors.Unavailable("source_unavailable", "The source is gone; try again.", retry_after=RETRY_AFTER)
            self.arrived.set_exception(gone)
            self.arrived.exception()  # nobody need be waiting
        elif self.arrived.exception() is None:
            self.arrived.result().cut()


@dataclass(eq=False, slots=True)
class Line:
    """What is said to one peer."""

    peer_id: str
    outbox: asyncio.Queue[RelayRequest] = field(default_factory=lambda: asyncio.Queue(4 * STREAMS_OF_LINE))
    streams: dict[str, Stream] = field(default_factory=dict)
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


class Switchboard:
    """All lines. At most `in_all` streams."""

    def __init__(self, in_all: int) -> None:
        self._in_all = in_all
        self._lines: dict[str, Line] = {}
        self._streams: dict[str, Stream] = {}
        self._of_asker = Counter[str]()
        self.bytes = 0

    @property
    def lines(self) -> int:
        return len(self._lines)

    @property
    def transfers(self) -> int:
        """How much passes now, dialled or over lines."""
        return self._of_asker.total()

    def has_line(self, peer_id: str) -> bool:
        return peer_id in self._lines

    @contextmanager
    def line(self, peer_id: str) -> Iterator[Line]:
        """The peer's line, as long as the block runs; the one before is over."""
        before = self._lines.get(peer_id)
        if before is not None:
            before.replaced.set()
        line = self._lines[peer_id] = Line(peer_id)
        try:
            yield line
        finally:
            if self._lines.get(peer_id) is line:
                del self._lines[peer_id]
            for stream in list(line.streams.values()):
                stream.lose()

    @contextmanager
    def passing(self, asker: str | None) -> Iterator[None]:
        """Room for one more answer to `asker` (None: not counted by address). Raises Unavailable."""
        if self.transfers >= self._in_all:
            raise _busy("The super-peer passes on as much as it may")
        if asker is not None and self._of_asker[asker] >= STREAMS_OF_ASKER:
            raise _busy("Your address has as much passed on to it as one may")
        name = asker or ""
        self._of_asker[name] += 1
        try:
            yield
        finally:
            self._of_asker[name] -= 1
            if not self._of_asker[name]:
                del self._of_asker[name]

    @contextmanager
    def stream(self, peer_id: str, asked: Asked) -> Iterator[Stream]:
        """Asks a peer over its line; the stream is over when the block is. Raises Unavailable."""
        line = self._lines.get(peer_id)
        if line is None:
            raise errors.Unavailable("source_unavailable", "The source has no line open now; try again later.")
        if len(line.streams) >= STREAMS_OF_LINE or line.outbox.full():
            raise _busy("Its peer is asked as much as it may be")
        stream = Stream(secrets.token_urlsafe(24), peer_id, asyncio.get_running_loop().create_future())
        self._streams[stream.id] = line.streams[stream.id] = stream
        line.outbox.put_nowait(RelayRequest(stream.id, asked.method, asked.path, asked.headers, asked.asker))
        try:
            yield stream
        finally:
            del self._streams[stream.id], line.streams[stream.id]
            stream.over.set()

    def claim(self, stream_id: str, peer_id: str) -> Stream:
        """The stream that this peer answers, once. Raises NotFound for any other, and for one that is over."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.peer_id != peer_id or stream.is_claimed:
            raise errors.NotFound("stream_not_found", "Nobody waits for this stream (any more); drop it.")
        stream.is_claimed = True
        return stream


def _busy(why: str) -> errors.Unavailable:
    return errors.Unavailable("too_many_requests", f"{why}; try again.", retry_after=RETRY_AFTER)
