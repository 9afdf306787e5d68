"""A front before a real peer: all that is asked of the peer passes through it, and it does its worst to the answers.

One request a connection. A fault is a conversation of its own: it has what was asked and the way to the peer behind,
and writes what it likes. Everything that has no fault passes as it is.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

BLOCK = 64 * 1024
_ASKED = re.compile(rb"[A-Z]+ /api/v1/(\w+)/([0-9a-f]{64})")
_CONTENT_RANGE = re.compile(rb"(?i)\r\ncontent-range: bytes (\d+)-(\d+)/(\d+)")


@dataclass(slots=True)
class Asked:
    """A request: what of which file (`download`, `manifest`, `have`, `next`; empty for anything else)."""

    what: str
    file_id: str
    head: bytes
    front: "Front"
    writer: asyncio.StreamWriter

    async def answer(self) -> "Answer":
        """What the peer behind answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.front.behind, limit=4 * BLOCK)
        self.front.opened.append(writer)
        writer.write(self.head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        return Answer(await reader.readuntil(b"\r\n\r\n"), reader)

    async def say(self, data: bytes) -> None:
        """Sends this to who asked."""
        self.writer.write(data)
        await self.writer.drain()
        self.front.sent[self.file_id] += len(data)

    async def pass_on(self, answer: "Answer") -> None:
        """Sends an answer as it is."""
        await self.say(answer.head)
        while data := await answer.body.read(BLOCK):
            await self.say(data)


@dataclass(slots=True)
class Answer:
    """What the peer behind answered."""

    head: bytes
    body: asyncio.StreamReader

    @property
    def is_part(self) -> bool:
        return _CONTENT_RANGE.search(self.head) is not None

    @property
    def brings(self) -> tuple[int, int]:
        """The bytes of the file that it brings, from and up to."""
        found = _CONTENT_RANGE.search(self.head)
        if found is None:
            return 0, self.length
        return int(found[1]), int(found[2]) + 1

    @property
    def length(self) -> int:
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)", self.head)
        return int(found[1]) if found else 0

    @property
    def is_bytes(self) -> bool:
        """It brings some of the file."""
        return self.head.split(b" ", 2)[1] in (b"200", b"206")


Fault = Callable[[Asked], Awaitable[None]]


@dataclass(slots=True)
class Front:
    """`faults`: by what is asked (`download`), or by that and the file (`download/ID`). `sent`: bytes, by file."""

    behind: int
    port: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request and its answer."""
        head = await reader.readuntil(b"\r\n\r\n")
        found = _ASKED.match(head)
        what, file_id = (found[1].decode(), found[2].decode()) if found else ("", "")
        asked = Asked(what, file_id, head, self, writer)
        fault = self.faults.get(f"{what}/{file_id}") or self.faults.get(what)
        self.asked[what] += 1
        if fault is None:
            await asked.pass_on(await asked.answer())
        else:
            await fault(asked)


@asynccontextmanager
async def front(behind: int) -> AsyncIterator[Front]:
    """A front before the peer that listens on that port of this machine."""
    made, tasks = Front(behind), set[asyncio.Task[None]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        # A peer behind that was killed, an asker that broke off: nothing unusual here.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await made.serve(reader, writer)
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=4 * BLOCK)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for writer in made.opened:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
