"""Contents, and servers on loopback that serve them as sources do, honestly or not."""

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
        wanted = request.headers.get("Range")
        if wanted is None or request.headers.get("If-Range") != f'"{content.id}"':
            return web.Response(body=content.data)
        start, _, last = wanted.removeprefix("bytes=").partition("-")
        part = content.data[int(start) : int(last or size - 1) + 1]
        headers = {"Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{size}"}
        return web.Response(status=206, body=part, headers=headers)

    return handle


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
