"""The SHA-1 hashes of a file's torrent pieces, over HTTP: made when first asked for, then kept for a while.

One file is read at a time, whoever asks; of no more than MOST_KEPT are hashes kept, and no more than MOST_WAITING wait
for their turn. What is read is the open file that was proven; if it changed meanwhile, nothing is kept.
"""

import asyncio
import base64
import os
import threading
from collections import OrderedDict
from typing import Protocol

from aiohttp import web

from common import errors
from common.content.torrent_pieces import piece_length
from common.http.endpoint import Endpoint
from common.ids import is_file_id
from common.serving.file_reply import Served, Version
from common.wire.exports import TorrentPieces

MOST_KEPT = 32
MOST_WAITING = 16
PATIENCE = 2.0  # seconds for which an answer waits
COME_BACK = 5.0
BLOCK = 1024 * 1024


class Shelf(Protocol):
    """Where the files are."""

    async def open_for_serving(self, file_id: str) -> Served:
        """An open file that is what it was when it was hashed. Raises NotFound or Conflict."""


class TorrentPieceRoutes:
    """`GET /api/v1/torrent-pieces/{id}`."""

    def __init__(self, shelf: Shelf, patience: float = PATIENCE) -> None:
        self._shelf = shelf
        self._patience = patience
        self._kept: OrderedDict[str, TorrentPieces] = OrderedDict()
        self._making: dict[str, asyncio.Task[TorrentPieces]] = {}
        self._turn = asyncio.Lock()
        self._stop = threading.Event()

    async def pieces(self, request: web.Request) -> TorrentPieces:
        wanted = request.match_info["id"].lower()
        if not is_file_id(wanted):
            raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its hash.")
        os.close((await self._shelf.open_for_serving(wanted)).fd)  # it is still offered, and still the same
        if wanted in self._kept:
            self._kept.move_to_end(wanted)
            return self._kept[wanted]
        return await self._made(wanted)

    async def _made(self, wanted: str) -> TorrentPieces:
        task = self._making.get(wanted)
        if task is None:
            if self._stop.is_set():
                raise errors.Unavailable("shutting_down", "This peer is stopping.")
            if len(self._making) >= MOST_WAITING:
                raise _pending()
            task = self._making[wanted] = asyncio.create_task(self._make(wanted), name="torrent pieces")
            task.add_done_callback(lambda done: self._finished(wanted, done))
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(task)
        except TimeoutError:
            raise _pending() from None

    async def _make(self, wanted: str) -> TorrentPieces:
        async with self._turn:
            served = await self._shelf.open_for_serving(wanted)
            pieces = await asyncio.to_thread(hash_pieces, served, self._stop)
        size = served.version.size
        return TorrentPieces(wanted, size, piece_length(size), base64.b64encode(pieces).decode())

    def _finished(self, wanted: str, task: asyncio.Task[TorrentPieces]) -> None:
        del self._making[wanted]
        if not task.cancelled() and task.exception() is None:
            self._kept[wanted] = task.result()
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    async def close(self) -> None:
        """Ends the reading."""
        self._stop.set()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/torrent-pieces/{id}",
                handle=self.pieces,
                summary="The SHA-1 hashes that a torrent of the file needs",
                tag="files",
                answer=TorrentPieces,
                codes=("file_changed", "file_not_found", "hashes_pending", "shutting_down"),
            )
        ]


def hash_pieces(served: Served, stop: threading.Event) -> bytes:
    """The hashes of all pieces of an open file, which is closed. Raises Conflict when it is not what it was."""
    from hashlib import sha1

    try:
        size, length, hashes = served.version.size, piece_length(served.version.size), bytearray()
        buffer = memoryview(bytearray(min(BLOCK, length)))
        for start in range(0, size, length):
            piece = sha1(usedforsecurity=False)
            at, end = start, min(start + length, size)
            while at < end and not stop.is_set():
                count = os.preadv(served.fd, [buffer[: end - at]], at)
                if count == 0:
                    raise _changed()
                piece.update(buffer[:count])
                at += count
            if stop.is_set():
                raise errors.Unavailable("shutting_down", "This peer is stopping.")
            hashes += piece.digest()
        if Version.of(served.fd) != served.version:
            raise _changed()
        return bytes(hashes)
    finally:
        os.close(served.fd)


def _changed() -> errors.Refusal:
    return errors.Conflict("file_changed", "The file has changed on disk and is being read anew; search for it again.")


def _pending() -> errors.Refusal:
    detail = "The file is being read for its torrent's piece hashes; ask again."
    return errors.Unavailable("hashes_pending", detail, retry_after=COME_BACK)
