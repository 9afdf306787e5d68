"""The disk's side of a fetch: bytes are written by one thread and hashed by another while further ones arrive.

At most two blocks are in memory. Writes follow one another and end with the first that fails: a part never has a hole.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from common import errors
from peer.downloads.part_file import PartFile
from peer.downloads.proof import Proof

BLOCK = 1 << 20


class Disk:
    """Owns one part file and its proof; for one task, in a `with`. `received`: bytes that came, written or not yet."""

    def __init__(self, part: PartFile) -> None:
        self.part = part
        self.proof = Proof(part.read_into)
        self.received = part.received
        self._thread = ThreadPoolExecutor(1, "disk")
        self._gathered: list[bytes] = []
        self._held = 0
        self._writing: asyncio.Future[int] | None = None
        self._failed = False
        self.proof.advance(part.received)

    async def put(self, chunk: bytes) -> None:
        """Takes the next bytes; waits while the disk is behind. Raises what an earlier write met: NoSpace, Invalid."""
        self._gathered.append(chunk)
        self._held += len(chunk)
        self.received += len(chunk)
        if self._held >= BLOCK:
            await self._write()

    async def settle(self) -> None:
        """What came is written when this returns, unless a write failed before."""
        if not self._failed:
            await self._write()
            await self._written()

    async def _write(self) -> None:
        await self._written()
        if self._gathered:
            block, self._gathered, self._held = self._gathered, [], 0
            self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self.part.append, block)

    async def _written(self) -> None:
        """A cancelled task leaves the write itself alone, so that what follows stays in order."""
        if self._writing is None:
            return
        await asyncio.wait([self._writing])
        writing, self._writing = self._writing, None
        self._failed = writing.exception() is not None
        writing.result()
        self.proof.advance(self.part.received)

    async def start_over(self) -> None:
        """Throws away what came."""
        await self.settle()
        await self.proof.restart()
        await asyncio.get_running_loop().run_in_executor(self._thread, self.part.restart)
        self.received = 0

    def flush(self) -> asyncio.Future[None]:
        """Begins to make the part durable."""
        return asyncio.get_running_loop().run_in_executor(self._thread, self.part.flush)

    async def is_hashed(self, deadline: float) -> bool:
        """True once all that is written is hashed, False after `deadline` seconds."""
        try:
            return await self.proof.caught_up(deadline)
        except (EOFError, OSError) as error:
            raise errors.Invalid("invalid_path", f"{self.part.path} cannot be read back: {error}.") from error

    async def publish(self) -> str:
        """Gives the part its final name; returns the path."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.part.publish)

    def close(self) -> None:
        """Ends both threads, each after what it is at, then lets go of the part."""
        self._thread.shutdown(wait=True)
        self.proof.close()
        self.part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
