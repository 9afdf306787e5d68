"""Manifests of what is offered: from the database, else made from the file, which is what was proven.

Guarantees: one maker for a content however many ask, MAKERS at a time, MOST_WAITING in all; a manifest is of one
version of the file; whoever stops waiting stops nothing; `close` ends all making within a part.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from common.database.sqlite import Database
from common.errors import Conflict, NotFound, Unavailable
from common.runtime.clock import Clock
from common.serving.file_reply import Served, Version
from peer.shares import readings

if TYPE_CHECKING:  # they bring BLAKE3 along, which an idle peer has no use for
    from common.content.manifest import Manifest

MAKERS = 2
MOST_WAITING = 64
PART = 1024 * 1024  # bytes read at a time
STOPPING = 5.0  # seconds for which a disk that does not answer holds up the stop
COME_BACK = 5.0  # seconds


class Manifests:
    """Open until `close`. `open_file` opens a content whoever asks, `changed` is called when one is to be announced."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        open_file: Callable[[str], Awaitable[Served]],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._open_file = open_file
        self._changed = changed
        self._making: dict[str, asyncio.Task[Manifest]] = {}
        self._makers = asyncio.Semaphore(MAKERS)
        self._closing = threading.Event()

    async def digest(self, file_id: str, *, public_only: bool = True) -> str | None:
        """What the manifest of an offered content is named by, None while there is none. Raises NotFound."""
        return (await self._known(file_id, public_only, whole=False)).digest

    async def of(self, file_id: str, *, public_only: bool = True) -> "Manifest":
        """The manifest. Raises NotFound; Conflict for a file that changes; Unavailable when too many are waited for."""
        known = await self._known(file_id, public_only, whole=True)
        if known.digest is not None:
            from common.content.manifest import Manifest

            return Manifest(known.size, known.pieces)
        return await asyncio.shield(self._made(file_id))

    async def keep(self, file_id: str, manifest: "Manifest") -> None:
        """This is the manifest of a content that is here or comes."""
        keep, now = readings.keep_manifest, self._clock.now()
        digest, size, pieces = manifest.digest, manifest.size, manifest.hashes
        if await self._database.write(keep, file_id, digest, size, pieces, now):
            self._changed()

    async def close(self) -> None:
        """Returns when nothing is read any more, or a disk does not answer for STOPPING seconds."""
        self._closing.set()
        if self._making:
            await asyncio.wait(self._making.values(), timeout=STOPPING)

    async def _known(self, file_id: str, public_only: bool, *, whole: bool) -> readings.KnownManifest:
        known = await self._database.read(readings.manifest, file_id, public_only=public_only, whole=whole)
        if known is None:
            raise NotFound("file_not_found", "This peer offers no such file.")
        return known

    def _made(self, file_id: str) -> "asyncio.Task[Manifest]":
        """The making of this manifest, begun unless it is going on."""
        making = self._making.get(file_id)
        if making is None:
            if self._closing.is_set() or len(self._making) >= MOST_WAITING:
                why = "Too many files are being read for their piece hashes; ask again later."
                raise Unavailable("hashes_pending", why, retry_after=COME_BACK)
            making = self._making[file_id] = asyncio.create_task(self._make(file_id), name=f"manifest {file_id}")
            making.add_done_callback(lambda _: self._end(file_id))
        return making

    def _end(self, file_id: str) -> None:
        making = self._making.pop(file_id)
        if not making.cancelled():
            making.exception()  # whoever waited has been told; nobody may have

    async def _make(self, file_id: str) -> "Manifest":
        async with self._makers:
            served = await self._open_file(file_id)
            manifest = await asyncio.to_thread(read_manifest, served, self._closing)
        if manifest is None:
            raise Unavailable("shutting_down", "This peer is stopping; ask it again once it is back.")
        await self.keep(file_id, manifest)
        return manifest


def read_manifest(served: Served, stop: threading.Event) -> "Manifest | None":
    """Reads an open file through and closes it; None when it was to stop. Blocks. Raises Conflict, NotFound."""
    from common.content.manifest import manifest_of

    buffer = memoryview(bytearray(PART))
    try:
        steps = manifest_of(served.version.size, lambda part, at: os.preadv(served.fd, [part], at), buffer)
        while (made := next(steps)) is None:
            if stop.is_set():
                return None
        if Version.of(served.fd) == served.version:
            return made
    except EOFError:
        pass
    except OSError as error:
        told = f"The file cannot be read just now: {error.strerror}. Ask another source."
        raise NotFound("file_not_found", told) from error
    finally:
        with suppress(OSError):
            os.close(served.fd)
    raise Conflict("file_changed", "The file changed while it was read; search for it again.")
