"""A file as an HTTP answer: ranges, validators, zero-copy, and never a mix of two versions.

Guarantees: an answer that reaches its full Content-Length is of one version. Size, modification time and inode are
compared before each block, and before the last bytes; when they differ the connection is cut. `sendfile` hands
page-cache pages to the kernel that are read only when the peer's side takes them, so the last `HELD_BACK` bytes are
copied instead: by the time the very last of them leave, nothing that was handed over before is still unread. A reader
that takes no block within `BLOCK_DEADLINE` is cut off.
"""

import asyncio
import base64
import os
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from aiohttp import web

from common import errors
from common.serving.ranges import ByteRange, etag_listed, http_date, if_range_matches, parse_range

SMALLEST_BLOCK = 64 * 1024
FIRST_BLOCK = 512 * 1024
LARGEST_BLOCK = 4 * 1024 * 1024
BLOCK_DEADLINE = 30.0
HELD_BACK = 4 * 1024 * 1024  # copied, not sent by reference
LAST = 64 * 1024  # sent only after a last look at the file
COPIED = 256 * 1024  # a copied block


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
    """An open file and what to say of it. `etag` comes without quotes; `digest` is SHA-256, for Repr-Digest."""

    fd: int
    version: Version
    name: str
    etag: str
    modified: float
    digest: bytes | None = None
    mime: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)

    def fileno(self) -> int:
        return self.fd


class Meter(Protocol):
    """Told of every block that left."""

    def __call__(self, count: int) -> None: ...


class FileChanged(ConnectionResetError):
    """The file is no longer the version that was promised."""


def content_disposition(name: str) -> str:
    """RFC 6266: a plain name for old readers, the true one for the others."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def next_block(block: int, seconds: float) -> int:
    """Blocks grow while they leave quickly and shrink for slow readers, so that a deadline per block is fair to both."""
    if seconds < 0.5:
        return min(block * 2, LARGEST_BLOCK)
    return max(block // 2, SMALLEST_BLOCK) if seconds > 4 else block


async def send_file(request: web.Request, served: Served, meter: Meter | None = None) -> web.StreamResponse:
    """Answers GET or HEAD with the file or the part of it that was asked for. The caller closes `served.fd`."""
    headers = _headers(served)
    if etag_listed(request.headers.get("If-None-Match"), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    size = served.version.size
    part = _wanted(request, served, headers["ETag"])
    start, stop = part or (0, size)
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    if part is not None:
        response.headers["Content-Range"] = part.content_range(size)
    response.content_length = stop - start
    if request.method == "HEAD":
        await response.prepare(request)
    elif stop - start <= COPIED:
        await _send_small(request, response, served, start, stop, meter)
    else:
        await response.prepare(request)
        await _send(request, response, served, start, stop, meter)
    await response.write_eof()
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
    """The range to serve.

    One that cannot be met is ignored when `If-Range` says that it was meant for another version.
    """
    if not if_range_matches(request.headers.get("If-Range"), etag, served.modified):
        return None
    return parse_range(request.headers.get("Range"), served.version.size)


def _check(served: Served) -> None:
    if Version.of(served.fd) != served.version:
        raise FileChanged("the file changed while it was served")


async def _send_small(
    request: web.Request, response: web.StreamResponse, served: Served, start: int, stop: int, meter: Meter | None
) -> None:
    """Read whole before the first byte leaves, so a change is still a clean refusal."""
    data = os.pread(served.fd, stop - start, start)
    if len(data) != stop - start or Version.of(served.fd) != served.version:
        raise errors.Conflict("file_changed", "The file changed on its peer's disk; ask for it again.")
    await response.prepare(request)
    async with asyncio.timeout(BLOCK_DEADLINE):
        await response.write(data)
    if meter is not None:
        meter(len(data))


async def _send(
    request: web.Request, response: web.StreamResponse, served: Served, start: int, stop: int, meter: Meter | None
) -> None:
    loop = asyncio.get_running_loop()
    by_reference = max(start, stop - HELD_BACK)
    position, block = start, FIRST_BLOCK
    while position < stop:
        _check(served)
        began = loop.time()
        async with asyncio.timeout(BLOCK_DEADLINE):
            if position < by_reference:
                count = await _send_by_reference(request, served, position, min(block, by_reference - position))
            else:
                count = await _send_copy(response, served, position, stop)
        if count == 0:
            raise FileChanged("the file became shorter while it was served")
        position += count
        block = next_block(block, loop.time() - began)
        if meter is not None:
            meter(count)


async def _send_by_reference(request: web.Request, served: Served, position: int, count: int) -> int:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the reader is gone")
    if hasattr(os, "posix_fadvise"):
        # What follows is read from the disk while this block is on its way, so that a cold file does not hold up
        # the loop.
        os.posix_fadvise(served.fd, position + count, LARGEST_BLOCK, os.POSIX_FADV_WILLNEED)
    return await asyncio.get_running_loop().sendfile(transport, served, position, count, fallback=False)  # type: ignore[arg-type]


async def _send_copy(response: web.StreamResponse, served: Served, position: int, stop: int) -> int:
    """Copies a block; the very last one is looked at once more after it was read."""
    remaining = stop - position
    data = os.pread(served.fd, min(COPIED, remaining - LAST) if remaining > LAST else remaining, position)
    if len(data) == remaining:
        _check(served)
    await response.write(data)
    return len(data)
