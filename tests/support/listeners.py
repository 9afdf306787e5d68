"""Listeners on loopback that misbehave on purpose, and a canary that counts who came."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Listener:
    """Where it listens, and how many connections it has accepted."""

    port: int
    connections: int = 0

    def url(self, host: str = "127.0.0.1", path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def listening(conversation: Conversation, hosts: tuple[str, ...] = ("127.0.0.1",)) -> AsyncIterator[Listener]:
    """Runs `conversation` with everyone who connects; ends all of it on the way out."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await conversation(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    first = await asyncio.start_server(accept, hosts[0], 0)
    listener = Listener(first.sockets[0].getsockname()[1])
    others = [await asyncio.start_server(accept, host, listener.port) for host in hosts[1:]]
    try:
        yield listener
    finally:
        for server in (first, *others):
            server.close()
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


def saying(*parts: bytes, then: Conversation | None = None) -> Conversation:
    """Reads one request's head, sends `parts`, does `then`, and hangs up."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return conversation


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Says nothing more until the other side goes."""
    while await reader.read(65536):
        pass


def forever(part: bytes) -> Conversation:
    """Sends `part` again and again until the other side goes."""

    async def conversation(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()

    return conversation


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True


HAS_IPV6 = socket.has_ipv6 and _has_ipv6()
LOOPBACKS = ("127.0.0.1", "::1") if HAS_IPV6 else ("127.0.0.1",)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def canary() -> AsyncIterator[Listener]:
    """Listens on both loopbacks, counts connections and answers each with `{}`."""
    async with listening(saying(OK, then=silence), LOOPBACKS) as listener:
        yield listener
