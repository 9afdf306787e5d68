"""A file as an HTTP answer: ranges, validators, zero-copy, and never a mix of two versions.

Guarantees: an answer that reaches its full Content-Length is of one version. Size, modification time and inode are
compared before each block, and before the last bytes; when they differ the connection is cut. `sendfile` hands over
pages of the page cache, which are read only when the reader takes them (one on this machine: from its own queue), so
the last `held_back()` bytes are copied instead: more than the kernel keeps for both sides, so by the time the very last
of them leave, nothing that was handed over before is still unread. A reader that takes nothing for a while is cut off,
however much it has taken before; a slow one is not.
"""

import asyncio
import base64
import os
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol
from urllib.parse import quote

from aiohttp import web

from common import errors
from common.content.names import safe_name
from common.http.request_ids import answer_headers
from common.serving.progress import TCP_INFO, while_taken
from common.serving.ranges import ByteRange, etag_listed, http_date, if_match_holds, if_range_matches, parse_range

# Where the kernel does not tell what the reader has taken, a block must be small enough for a slow one.
BLOCK = 4 * 1024 * 1024 if TCP_INFO is not None else 512 * 1024
COPIED = 256 * 1024  # a copied block
STALLED = 30.0  # seconds
LONG = 0.25  # seconds that a block takes to a slow reader, whose next one is smaller, lest a new limit wait for its end


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one state of a file from another."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, fd: int) -> "Version":
        """The version that an open file has now."""
        stat = os.fstat(fd)
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


@dataclass(frozen=True, slots=True)
class Served:
    """An open file and what to say of it. `etag` comes without quotes; `digest` is SHA-256, for
    Repr-Digest, where that is the id."""

    fd: int
    version: Version
    name: str
    etag: str
    modified: float
    digest: bytes | None = None
    mime: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    is_growing: bool = False
    """What is asked of it stays as it is while the rest comes in: its version says nothing."""

    def fileno(self) -> int:
        return self.fd


class Meter(Protocol):
    """Told of every block that left."""

    def __call__(self, count: int, /) -> None: ...


class Pace(Protocol):
    """Asked before every block: waits until it may go, and says how many of `wanted` bytes may, at least one."""

    async def __call__(self, wanted: int, /) -> int: ...


class FileChanged(ConnectionResetError):
    """The file is no longer the version that was promised."""


def content_disposition(name: str) -> str:
    """RFC 6266: a plain name for old readers, a full one for the others; made safe for whoever saves under it."""
    name = safe_name(name)
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


@cache
def held_back() -> int:
    """How many bytes may be on their way: what the kernel keeps for the sender and for a reader on this machine, and
    what our transport keeps."""
    # A reader that asks for a buffer of its own may get twice what is called its maximum.
    reader = max(_kernel_setting("net/ipv4/tcp_rmem"), 2 * _kernel_setting("net/core/rmem_max"))
    return _kernel_setting("net/ipv4/tcp_wmem") + reader + 3 * COPIED


def _kernel_setting(name: str) -> int:
    """The last number of a setting; more than is usual where there is none."""
    try:
        with open(f"/proc/sys/{name}") as setting:
            return int(setting.read().split()[-1])
    except (OSError, ValueError, IndexError):
        return 8 * 1024 * 1024


async def send_file(
    request: web.Request,
    served: Served,
    meter: Meter | None = None,
    deadline: float = STALLED,
    pace: Pace | None = None,
    only: ByteRange | None = None,
) -> web.StreamResponse:
    """Answers GET or HEAD with the file or the part of it that was asked for. The caller closes `served.fd`.

    `only`: the part to send, whatever was asked for.

    Raises OutOfRange, Outdated or Conflict before the answer has begun, ConnectionResetError afterwards: the file
    changed, the reader left, or it took nothing for `deadline` seconds.
    """
    headers = _headers(served) | dict(answer_headers.get())
    if not if_match_holds(request.headers.get("If-Match"), headers["ETag"]):
        raise errors.Outdated("precondition_failed", "This is another file than the one that If-Match names.")
    if etag_listed(request.headers.get("If-None-Match"), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    size = served.version.size
    part = only or _wanted(request, served, headers["ETag"])
    start, stop = part or (0, size)
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    if part is not None:
        response.headers["Content-Range"] = part.content_range(size)
    response.content_length = stop - start
    if request.method == "HEAD":
        await response.prepare(request)
    else:
        await _Sending(request, response, served, meter, deadline, pace).send(start, stop)
    return response


def _headers(served: Served) -> dict[str, str]:
    headers = {
        "Content-Type": served.mime,
        "Content-Disposition": content_disposition(served.name),
        "Accept-Ranges": "bytes",
        "ETag": f'"{served.etag}"',
        "Last-Modified": http_date(served.modified),
        "X-Content-Type-Options": "nosniff",
        # A file from outside must not run as a page of ours, whatever a browser makes of it.
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if served.digest is not None:
        headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(served.digest).decode()}:"
    return headers | served.headers


def _wanted(request: web.Request, served: Served, etag: str) -> ByteRange | None:
    """The range to serve. Only GET has one (RFC 9110, 14.2), and it counts when it was meant for this version."""
    if request.method != "GET" or not if_range_matches(request.headers.get("If-Range"), etag, served.modified):
        return None
    return parse_range(request.headers.get("Range"), served.version.size)


@dataclass(slots=True)
class _Sending:
    """One file on its way."""

    request: web.Request
    response: web.StreamResponse
    served: Served
    meter: Meter | None
    deadline: float
    pace: Pace | None
    handed: int = 0
    block: int = BLOCK

    async def send(self, start: int, stop: int) -> None:
        transport = self.request.transport
        small = await self._prepared(start, stop)
        try:
            async with while_taken(transport, lambda: self.handed, self.deadline):
                if small is not None:
                    await self._send_small(small)
                else:
                    await self._send_blocks(start, stop)
                await self.response.write_eof()
        except TimeoutError:
            if transport is not None:
                # Closing would wait until the reader has taken what is buffered.
                transport.abort()
            raise ConnectionResetError("the reader takes nothing") from None

    async def _prepared(self, start: int, stop: int) -> bytes | None:
        """Begins the answer. A small one is read whole before, so that a change is still a clean refusal."""
        small = os.pread(self.served.fd, stop - start, start) if stop - start <= COPIED else None
        if self._has_changed() or (small is not None and len(small) != stop - start):
            raise errors.Conflict("file_changed", "The file changed on its peer's disk; ask for it again.")
        await self.response.prepare(self.request)
        return small

    async def _send_small(self, content: bytes) -> None:
        position = 0
        while position < len(content):
            count = await self._turn(len(content) - position)
            await self.response.write(content[position : position + count])
            position += count
            self._left(count)

    async def _send_blocks(self, start: int, stop: int) -> None:
        by_reference = max(start, stop - held_back())
        position = start
        while position < stop:
            wanted = by_reference - position if position < by_reference else min(COPIED, stop - position)
            count = await self._turn(min(self.block, wanted))
            self._check()
            if position < by_reference:
                count = await self._send_by_reference(position, count)
            else:
                count = await self._send_copy(position, count, stop)
            if count == 0:
                raise FileChanged("the file became shorter while it was served")
            position += count
            self._left(count)

    async def _send_by_reference(self, position: int, count: int) -> int:
        transport, served = self.request.transport, self.served
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the reader is gone")
        if hasattr(os, "posix_fadvise"):
            # What follows is read from the disk while this block is on its way, so that a cold file does not hold up
            # the loop.
            os.posix_fadvise(served.fd, position + count, BLOCK, os.POSIX_FADV_WILLNEED)
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent = await loop.sendfile(transport, served, position, count, fallback=False)  # type: ignore[arg-type]
        self.block = max(COPIED, self.block // 2) if loop.time() - began > LONG else min(BLOCK, self.block * 2)
        return sent

    async def _turn(self, wanted: int) -> int:
        """How many bytes go next; returns when they may."""
        return wanted if self.pace is None else await self.pace(wanted)

    async def _send_copy(self, position: int, count: int, stop: int) -> int:
        """Copies a block; the very last one is looked at once more after it was read."""
        data = os.pread(self.served.fd, count, position)
        if position + len(data) == stop:
            self._check()
        await self.response.write(data)
        return len(data)

    def _has_changed(self) -> bool:
        return not self.served.is_growing and Version.of(self.served.fd) != self.served.version

    def _check(self) -> None:
        if self._has_changed():
            raise FileChanged("the file changed while it was served")

    def _left(self, count: int) -> None:
        self.handed += count
        if self.meter is not None:
            self.meter(count)
