"""One HTTP connection as bytes, for what no well-behaved client sends."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from multidict import CIMultiDict

from tests.support.waiting import PATIENCE

PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read whole."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self) -> tuple[int, str]:
        """The status and code of a well-formed problem document."""
        assert self.headers["Content-Type"] == PROBLEM, self
        document = self.json()
        assert {"type", "title", "status", "detail", "code", "request_id"} <= set(document), document
        assert document["status"] == self.status
        assert document["type"] == f"/docs#error-{document['code']}"
        assert document["title"] and document["detail"] and document["request_id"]
        return self.status, document["code"]


class Wire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self.writer.transport)

    def stop_reading(self) -> None:
        """From now on what comes stays with the kernel, and then with the sender."""
        self.transport.pause_reading()

    def read_on(self) -> None:
        """Ends `stop_reading`."""
        self.transport.resume_reading()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def request(self, target: str = "/api/v1/ping", method: str = "GET", body: bytes = b"", **headers: str) -> None:
        """A well-formed request; underscores in header names stand for hyphens."""
        self.send(request_bytes(target, method, body, **headers))

    async def answer(self, method: str = "GET") -> Answer:
        """The next final answer. Raises IncompleteReadError when it is cut short."""
        async with asyncio.timeout(PATIENCE):
            status, headers = await self.head()
            length = 0 if method == "HEAD" or status in (204, 304) else int(headers["Content-Length"])
            return Answer(status, headers, await self.reader.readexactly(length))

    async def head(self) -> tuple[int, CIMultiDict[str]]:
        """The next answer's status and headers."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        pairs = [line.split(": ", 1) for line in lines[1:]]
        return int(lines[0].split(" ", 2)[1]), CIMultiDict((name, value) for name, value in pairs)

    async def rest(self) -> bytes:
        """All that comes until the other side ends the connection, however it does."""
        found = bytearray()
        async with asyncio.timeout(PATIENCE):
            try:
                while part := await self.reader.read(1 << 20):
                    found += part
            except ConnectionError:
                pass
        return bytes(found)

    async def ended(self) -> bool:
        """Whether the other side ends the connection without another word."""
        return await self.rest() == b""


def request_bytes(target: str = "/api/v1/ping", method: str = "GET", body: bytes = b"", **headers: str) -> bytes:
    """A request as bytes, with a Host and, for a body, its length and JSON's type unless told otherwise."""
    given = {"Host": "localhost"}
    if body:
        given |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@asynccontextmanager
async def connected(port: int, source: str = "127.0.0.1", receive_buffer: int | None = None) -> AsyncIterator[Wire]:
    """A connection from `source` to a port of this machine. With a small `receive_buffer` the sender feels sooner that
    nobody reads."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.bind((source, 0))
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def asked(
    port: int, target: str = "/api/v1/ping", method: str = "GET", body: bytes = b"", **headers: str
) -> Answer:
    """The answer to one request on a connection of its own."""
    async with connected(port) as wire:
        wire.request(target, method, body, **headers)
        return await wire.answer(method)


async def alive(port: int) -> bool:
    """Whether a new connection is served."""
    return (await asked(port)).status == 200
