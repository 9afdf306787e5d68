"""The scrub: reads everything that is offered through, slowly and again and again, to find what the disk has lost.

Guarantees: what was not read for the longest time comes first, after a restart too; a file that is not what it was is
withdrawn, and offered again once its bytes are back; at most `rate` bytes a second, in small reads, and next to nothing
while somebody is served. It does without a thread and a buffer while nothing is due.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from common.content.hashing import Algorithm
from common.database.sqlite import Database
from common.runtime.clock import Clock
from peer.shares import damage
from peer.shares.damage import Judged, Suspect
from peer.shares.scan import Scan
from peer.shares.schema import Damage

if TYPE_CHECKING:  # it brings along what an idle peer has no use for
    from peer.shares.check import Check

LONGEST_PAUSE = 60.0  # seconds between two looks at whether something is due
SHORTEST_PAUSE = 0.05
AT_ONCE = 512  # files taken from the database
SLICE = 4 * 1024 * 1024  # bytes after which it rests
FILES = 128  # the same for small files
FLOOR = 1024 * 1024  # bytes that a file counts for at least: opening it costs, too
AGAIN = 600.0  # seconds after which it is tried again to read what could not be read
PATIENCE = 60.0  # seconds for which it waits before each slice while somebody is served
STOPPING = 5.0  # seconds for which a disk that does not answer holds up the stop


class Scrub:
    """Runs for ever by `run`. `busy`: whether somebody is served just now. `tell` is called with what was found.

    `interval`: seconds after which a file is read again. `rate`: bytes a second, 0 for no limit.
    """

    def __init__(
        self,
        scan: Scan,
        database: Database,
        algorithm: Algorithm,
        clock: Clock,
        interval: float,
        rate: int,
        busy: Callable[[], bool],
        tell: Callable[[Judged], None],
    ) -> None:
        self.bytes = 0
        """Read since the start."""
        self.damaged = 0
        """Files known to be damaged, as of the last look."""
        self._scan = scan
        self._database = database
        self._algorithm = algorithm
        self._clock = clock
        self._interval = interval
        self._rate = rate
        self._busy = busy
        self._tell = tell
        self._reader: ThreadPoolExecutor | None = None

    async def run(self) -> None:
        """Never returns."""
        self.damaged = await self._database.read(damage.count)
        while True:
            await asyncio.sleep(min(max(self._interval / 20, SHORTEST_PAUSE), LONGEST_PAUSE))
            try:
                await self._go_through(await self._touched())
                while (suspects := await self._due()) and await self._go_through(suspects):
                    pass
            finally:
                await self.close()

    async def close(self) -> None:
        """Ends the reading. Returns when no thread is left, or a disk does not answer for STOPPING seconds."""
        reader, self._reader = self._reader, None
        if reader is not None:
            ended = asyncio.get_running_loop().run_in_executor(reader, _nothing)
            reader.shutdown(wait=False)
            await asyncio.wait([ended], timeout=STOPPING)

    async def _touched(self) -> list[Suspect]:
        """Damaged files that may have been repaired, in whatever way, or whose disk may be back."""
        known = await self._database.read(damage.known)
        self.damaged = len(known)
        return await asyncio.to_thread(_touched, known, self._clock.now() - AGAIN) if known else []

    async def _due(self) -> list[Suspect]:
        """What was not read for the longest time."""
        return await self._database.read(damage.due, self._clock.now() - self._interval, AT_ONCE)

    async def _go_through(self, suspects: Iterable[Suspect]) -> bool:
        """Whether something could be learned of each."""
        from peer.shares.check import READ, Check

        is_whole = True
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, "scrub")
        reader, buffer = self._reader, memoryview(bytearray(READ))
        checks = deque(Check(suspect, self._algorithm) for suspect in suspects)
        try:
            while checks:
                await self._wait_while_busy()
                read = asyncio.get_running_loop().run_in_executor(reader, _read_some, checks, buffer)
                count, done = await asyncio.shield(read)
                self.bytes += count
                is_whole &= await self._conclude(done)
                await asyncio.sleep(max(count, FLOOR * len(done)) / self._rate if self._rate else 0)
        finally:
            reader.submit(_close, checks)  # after what the thread is at
        return is_whole

    async def _wait_while_busy(self) -> None:
        end = self._clock.monotonic() + PATIENCE
        while self._busy() and self._clock.monotonic() < end:  # noqa: ASYNC110 - that it ends is no event
            await asyncio.sleep(1.0)

    async def _conclude(self, done: "list[Check]") -> bool:
        for check in done:
            if check.is_elsewhere:
                self._scan.look(check.place, check.name)
        findings = [check.finding for check in done if check.finding is not None]
        if findings:
            async with self._scan.turn:
                judged = await self._database.write(damage.apply, findings, self._clock.now())
                self.damaged = judged.total
                self._tell(judged)
        return len(findings) == len(done)


def _read_some(checks: "deque[Check]", buffer: memoryview) -> "tuple[int, list[Check]]":
    """Reads on in the first of the checks; (bytes read, those that are done, taken from the left). Blocks."""
    count = 0
    done: list[Check] = []
    while checks and count < SLICE and len(done) < FILES:
        count += checks[0].advance(buffer, SLICE - count)
        if checks[0].is_done:
            checks[0].close()
            done.append(checks.popleft())
    return count, done


def _close(checks: "Iterable[Check]") -> None:
    for check in checks:
        check.close()


def _touched(known: Iterable[Suspect], before: float) -> list[Suspect]:
    from peer.shares.check import ctime_of

    def is_due(suspect: Suspect) -> bool:
        if suspect.damage == Damage.UNREADABLE and (suspect.checked_at or 0) <= before:
            return True
        return ctime_of(suspect) not in (None, suspect.damage_ctime)

    return [suspect for suspect in known if is_due(suspect)]


def _nothing() -> None:
    pass
