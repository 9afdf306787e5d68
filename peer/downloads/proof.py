"""The hash of a file that is still growing, ready shortly after its last byte.

One thread reads back, in order, what is on the disk already, while further bytes arrive: what is proven is what lies
there, an earlier run's bytes included, and however far the hash lags behind, it costs no memory.
"""

import asyncio
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from common.content.hashing import SHA256, Algorithm
from common.ids import FileId

READ = 1 << 20


class Proof:
    """Follows one file through `read_into(buffer, offset)`; call it from one task."""

    def __init__(self, read_into: Callable[[memoryview, int], int], algorithm: Algorithm = SHA256) -> None:
        self._read_into = read_into
        self._algorithm = algorithm
        self._thread = ThreadPoolExecutor(1, "proof")
        self._job: asyncio.Future[None] | None = None
        self._digest = algorithm.new()
        self._available = 0
        self._buffer = memoryview(bytearray(READ))
        self.hashed = 0

    def advance(self, available: int) -> None:
        """The first `available` bytes are on the disk."""
        self._available = available
        if self.hashed < available and (self._job is None or self._job.done()):
            self._job = asyncio.get_running_loop().run_in_executor(self._thread, self._catch_up)

    @property
    def backlog(self) -> int:
        """Bytes that are on the disk and not hashed."""
        return self._available - self.hashed

    def _catch_up(self) -> None:
        buffer = self._buffer
        while (missing := self._available - self.hashed) > 0:
            count = self._read_into(buffer[:missing], self.hashed)
            if count == 0:
                raise EOFError("the file is shorter than what was written to it")
            self._digest.update(buffer[:count])
            self.hashed += count

    async def caught_up(self, deadline: float | None = None) -> bool:
        """True once all available bytes are hashed, False after `deadline` seconds. Raises EOFError, OSError."""
        while self.hashed < self._available:
            if self._job is None or self._job.done():
                self.advance(self._available)
            assert self._job is not None
            done, _ = await asyncio.wait([self._job], timeout=deadline)
            if not done:
                return False
            self._job.result()
        return True

    def file_id(self) -> FileId:
        """The id that the hashed bytes have."""
        return FileId(self._digest.hexdigest())

    async def restart(self) -> None:
        """Forgets all bytes."""
        self._available = 0
        if self._job is not None:
            await asyncio.wait([self._job])
        self._digest, self.hashed = self._algorithm.new(), 0

    def close(self) -> None:
        """Ends the thread, after at most one more read."""
        self._available = 0
        self._thread.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def holds(path: str, file_id: FileId, size: int, algorithm: Algorithm = SHA256) -> bool:
    """True when `path` is a regular file of exactly this content. A file that cannot be read is not."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        with Proof(lambda buffer, offset: os.preadv(file, [buffer], offset), algorithm) as proof:
            proof.advance(size)
            await proof.caught_up()
            return proof.file_id() == file_id
    except (OSError, EOFError):
        return False
    finally:
        os.close(file)
