"""The cache: finished downloads that are offered on, though no share holds them, in a folder that the peer keeps.

Guarantees: never more than `cap` bytes and MOST files, what was used least recently goes first; a file that is not what
it was is withdrawn when somebody asks for it, and within `pause` anyway; what a share offers is not kept besides; the
owner's own files are only read. It weighs next to nothing while it is empty.
"""

import asyncio
import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from common.content.hashing import Algorithm
from common.database.sqlite import Database
from common.errors import Refusal
from common.runtime.clock import Clock
from common.runtime.config import PeerSettings
from peer.shares.agenda import Place
from peer.shares.offers import News
from peer.shares.store import Proof

if TYPE_CHECKING:
    from common.wire.cache import Cache as Listed
    from peer.shares.cache_store import Cached

log = logging.getLogger("shoal.cache")

FOLDER = b"cache"
MOST = 10_000  # files
MOST_WAITING = 1000  # finished files that are still to be taken up
PAUSE = 60.0  # seconds between two looks at all of it
STOPPING = 5.0  # seconds for which a disk that does not answer holds up the stop


class Finished(NamedTuple):
    """A proven file: it lies at `path` and is to be called `name`."""

    file_id: str
    size: int
    name: bytes
    path: bytes


class Cache:
    """Open from `open` to `close`. `cap` is 0 where nothing is to be offered on."""

    def __init__(
        self,
        settings: PeerSettings,
        algorithm: Algorithm,
        clock: Clock,
        tell: Callable[[News], None],
        is_left_out: Callable[[bytes], bool],
    ) -> None:
        """`tell` is called with what a transaction came to; `is_left_out` says of a path that it is a share's to offer,
        or nobody's."""
        self.cap = settings.cache_size if settings.share_downloads else 0
        self.pause = min(PAUSE, settings.sweep_interval)
        self.bytes = 0
        """Its size, as of the last look."""
        self._algorithm = algorithm
        self._clock = clock
        self._tell = tell
        self._is_left_out = is_left_out
        self._root = b""
        self._share: int | None = None
        self._waiting: deque[Finished] = deque()
        self._doubted = False
        self._used: dict[str, float] = {}
        self._worker: asyncio.Task[None] | None = None
        self._stopping = threading.Event()
        self._database: Database
        self._turn: asyncio.Lock

    async def open(self, data: bytes, database: Database, turn: asyncio.Lock) -> None:
        """`data` is the daemon's folder; `turn` is taken by whoever changes the library."""
        self._root, self._database, self._turn = os.path.join(data, FOLDER), database, turn
        if await database.read(_is_known) or await asyncio.to_thread(os.path.lexists, self._root):
            try:
                await self._begin()
            except OSError as error:
                log.warning("the cache cannot be used", extra={"why": str(error)})
            await self.look()
            await self._clear_up()

    async def close(self) -> None:
        """What is being taken up is left."""
        self._stopping.set()
        self._waiting.clear()
        if self._worker is not None:
            await asyncio.wait([self._worker], timeout=STOPPING)
        await self._note_used()

    def take(self, finished: Finished) -> None:
        """A file is proven: it is offered on, soon, if it may be and fits."""
        if self.cap and finished.size <= self.cap and len(self._waiting) < MOST_WAITING:
            self._waiting.append(finished)
            self._wake()

    def served(self, place: Place, file_id: str, *, is_sound: bool) -> None:
        """A file was asked for at this place, which may be one of the cache; it was there as it was, or not."""
        if place.share == self._share:
            if is_sound:
                self._used[file_id] = self._clock.now()
            else:
                self._doubted = True
                self._wake()

    async def look(self) -> None:
        """Drops what is not as it was, or not wanted any more, and what is too much."""
        files = await self._files()
        if files:
            from peer.shares.cache_store import surplus

            lost = await asyncio.to_thread(_lost, self._root, files)
            sound = [file for file in files if file not in lost]
            await self._drop([*lost, *surplus(sound, self.cap, MOST if self.cap else 0)])

    async def listed(self, limit: int) -> "Listed":
        """For its owner's eyes, what was used last first."""
        from peer.shares.cache_listing import listed

        return listed(await self._files(), limit, self.cap)

    async def drop(self, file_id: str | None = None) -> int:
        """Drops one file, or all; how many."""
        gone = [file for file in await self._files() if file_id in (None, file.file_id)]
        await self._drop(gone)
        return len(gone)

    def _wake(self) -> None:
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="cache")

    async def _work(self) -> None:
        while (self._waiting or self._doubted) and not self._stopping.is_set():
            try:
                if self._doubted:
                    self._doubted = False
                    await self.look()
                else:
                    await self._take(self._waiting.popleft())
            except (Refusal, OSError) as error:
                log.warning("a download is not offered on", extra={"why": str(error)})
            except Exception:
                log.exception("the cache failed")

    async def _take(self, finished: Finished) -> None:
        real = await asyncio.to_thread(_real, finished)
        if self._is_left_out(real.path) or self._is_left_out(os.path.join(os.path.dirname(real.path), real.name)):
            return
        from peer.shares import cache_store

        share = await self._begin()
        files = await self._files()
        if await self._has(finished.file_id, files):
            self._used[finished.file_id] = self._clock.now()
        elif await self._database.read(cache_store.is_welcome, share, finished.file_id):
            await self._drop(cache_store.surplus(files, self.cap - finished.size, MOST - 1))
            await self._take_in(share, real)

    async def _take_in(self, share: int, finished: Finished) -> None:
        from peer.shares import cache_folder, cache_store

        adopt, stopping = cache_folder.adopt, self._stopping.is_set
        news = None
        try:
            file, head = await asyncio.to_thread(adopt, self._root, finished, self._algorithm, stopping)
            proof = Proof(Place(share, finished.file_id.encode()), file, finished.file_id, head)
            async with self._turn:
                news = await self._database.write(cache_store.take_in, proof, self._clock.now())
                if news is not None:
                    self._tell(news)
        finally:
            if news is None:  # it failed, or the owner has decided otherwise meanwhile
                await asyncio.to_thread(cache_folder.remove, self._root, finished.file_id)
        self.bytes += finished.size

    async def _has(self, file_id: str, files: "Iterable[Cached]") -> bool:
        """Whether it is there, and sound; what is not is dropped."""
        held = [file for file in files if file.file_id == file_id]
        lost = await asyncio.to_thread(_lost, self._root, held) if held else []
        await self._drop(lost)
        return len(held) > len(lost)

    async def _begin(self) -> int:
        """The number under which the library knows the cache. Raises OSError."""
        from peer.shares import cache_folder, cache_store

        if self._share is None:
            self._share = await self._database.write(cache_store.share_of, self._root)
        await asyncio.to_thread(cache_folder.make, self._root)
        return self._share

    async def _clear_up(self) -> None:
        """Removes what a kill between the disk and the database has left."""
        from peer.shares import cache_folder

        known = {file.file_id for file in await self._files()}
        if count := await asyncio.to_thread(cache_folder.tidy, self._root, known):
            log.info("cleared up the cache", extra={"files": count})

    async def _files(self) -> "list[Cached]":
        if self._share is None:
            return []
        from peer.shares import cache_store

        await self._note_used()
        files = await self._database.read(cache_store.load, self._share)
        self.bytes = sum(file.size for file in files)
        return files

    async def _drop(self, files: "Sequence[Cached]") -> None:
        if not files or self._share is None:
            return
        from peer.shares import cache_folder, cache_store

        gone = [file.file_id for file in files]
        async with self._turn:
            self._tell(await self._database.write(cache_store.drop, self._share, gone, self._clock.now()))
        self.bytes -= sum(file.size for file in files)
        await asyncio.to_thread(cache_folder.remove_all, self._root, gone)

    async def _note_used(self) -> None:
        used, self._used = self._used, {}
        if used and self._share is not None:
            from peer.shares import cache_store

            await self._database.write(cache_store.note_used, self._share, used)


def _is_known(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM share WHERE is_cache").fetchone() is not None


def _lost(root: bytes, files: "Iterable[Cached]") -> "list[Cached]":
    from peer.shares.cache_folder import holds

    return [file for file in files if not file.is_wanted or not holds(root, file.file_id, file.name, file.stamp)]


def _real(finished: Finished) -> Finished:
    """Where it lies, past all links."""
    folder, name = os.path.split(finished.path)
    return finished._replace(path=os.path.join(os.path.realpath(folder), name))
