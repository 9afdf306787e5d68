"""Contents, and servers on loopback that serve them as sources do, honestly or not."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web

from common.content.manifest import Manifest, Pieces
from common.ids import FileId
from common.wire.files import Source
from common.wire.transfer import ManifestAnswer
from peer.downloads.part_file import Wanted, part_name

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Content:
    """Bytes and what they are called."""

    data: bytes
    name: str = "file.bin"

    @property
    def id(self) -> FileId:
        return FileId(hashlib.sha256(self.data).hexdigest())

    def manifest(self) -> Manifest:
        pieces = Pieces(len(self.data))
        pieces.update(memoryview(self.data))
        return pieces.manifest()

    def wanted(self, folder: Path) -> Wanted:
        return Wanted(self.id, len(self.data), str(folder), self.name)

    def part(self, folder: Path) -> Path:
        return folder / part_name(self.name, self.id)


def source(url: str, peer_id: str = "peer", complete: bool = True) -> Source:
    return Source(peer_id, url, complete, None, 50, "", 0.0, True, "")


def honest(content: Content) -> Handler:
    """The manifest, whole files and ranges, as a peer of ours sends them."""
    size, manifest = len(content.data), content.manifest()

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/api/v1/manifest/"):
            answer = ManifestAnswer(content.id, size, manifest.grid.piece_size, manifest.hex_hashes())
            return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
        if not request.path.startswith("/api/v1/download/"):
            raise web.HTTPNotFound
        span, headers = asked_for(request, size)
        if not headers or request.headers.get("If-Range") != f'"{content.id}"':
            return web.Response(body=content.data)
        return web.Response(status=206, body=content.data[span], headers=headers)

    return handle


def keyless(content: Content) -> Handler:
    """Whole files and ranges, and no manifest: a program that knows of no pieces."""
    return without_manifest(honest(content))


def without_manifest(handler: Handler) -> Handler:
    """The same, by a program that knows of no pieces."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if "/download/" not in request.path:
            raise web.HTTPNotFound
        return await handler(request)

    return handle


def with_manifest(content: Content, handler: Handler) -> Handler:
    """What `handler` sends, by a source that tells the manifest of `content`."""
    tells = honest(content)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await (handler if "/download/" in request.path else tells)(request)

    return handle


def halting(content: Content, after: int) -> Handler:
    """Promises what was asked for, sends `after` bytes of it, and then nothing more."""

    async def handle(request: web.Request) -> web.StreamResponse:
        span, headers = asked_for(request, len(content.data))
        response = web.StreamResponse(status=206 if headers else 200, headers=headers)
        response.content_length = len(content.data[span])
        await response.prepare(request)
        await response.write(content.data[span][:after])
        await asyncio.Event().wait()
        return response

    return handle


def asked_for(request: web.Request, size: int) -> tuple[slice, dict[str, str]]:
    """The bytes that a request asks for, and the headers that say so; all of them and no headers without a range."""
    wanted = request.headers.get("Range")
    if wanted is None:
        return slice(0, size), {}
    start, _, last = wanted.removeprefix("bytes=").partition("-")
    stop = int(last or size - 1) + 1
    return slice(int(start), stop), {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}


def whole_only(data: bytes) -> Handler:
    """Always these bytes, whatever is asked."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/api/v1/manifest/"):
            raise web.HTTPNotFound
        return web.Response(body=data)

    return handle


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


async def serve(stack: AsyncExitStack, handler: Handler) -> str:
    """Answers every request with `handler` until the stack closes; returns HOST:PORT."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"127.0.0.1:{runner.addresses[0][1]}"
