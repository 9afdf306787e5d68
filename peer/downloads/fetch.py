"""Fetches one file from one source at a time and goes on with the next where one fails.

The file appears under its name only when its bytes have proven to be its own: their SHA-256 is its id. Bytes that do
not fit are thrown away; who sent all of them is not asked again, and where several had a part, each is tried alone.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence

from common import errors
from common.content.names import free_name
from common.http.outgoing import Outgoing
from common.wire.files import Source
from peer.downloads import events
from peer.downloads.candidates import Candidates, Patience, SourceTrouble
from peer.downloads.disk import Disk
from peer.downloads.events import Event
from peer.downloads.part_file import PartFile, Wanted, drop_published
from peer.downloads.proof import holds
from peer.downloads.rate import Meter, Pace
from peer.downloads.source import Reply, ask

Tell = Callable[[Event], None]
EARLIER_RUN = ""


async def fetch(
    wanted: Wanted, sources: Sequence[Source], outgoing: Outgoing, patience: Patience | None = None
) -> AsyncGenerator[Event, None]:
    """Fetches `wanted` and yields what happens. Closed early (`aclosing`) it stops, and the part file stays.

    Raises Refusal: proof_failed, no_source_online, source_unavailable, disk_full, invalid_path, download_running.
    """
    happened: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.create_task(_fetch(wanted, sources, outgoing, patience or Patience(), happened.put_nowait))
    task.add_done_callback(lambda _: happened.put_nowait(None))
    try:
        while event := await happened.get():
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _fetch(wanted: Wanted, sources: Sequence[Source], outgoing: Outgoing, patience: Patience, tell: Tell) -> None:
    if there := await already_there(wanted):
        drop_published(wanted, there)
        tell(events.Finished(there, wanted.id, wanted.size, already_there=True))
        return
    with Disk(PartFile(wanted)) as disk:
        tell(events.Started(wanted.id, wanted.size, disk.part.path, len(sources)))
        await _Fetch(wanted, sources, outgoing, patience, disk, tell).run()
        tell(events.Verified(wanted.id))
        tell(events.Finished(await disk.publish(), wanted.id, wanted.size))


async def already_there(wanted: Wanted) -> str | None:
    """The path of the target, or of the first `NAME (2)` and so on, that holds this very content."""
    others: set[str] = set()
    while True:
        path = os.path.join(wanted.folder, name := free_name(wanted.name, others.__contains__))
        if not os.path.lexists(path):  # noqa: ASYNC240 - no slower than the open that follows
            return None
        if await holds(path, wanted.id, wanted.size):
            return path
        others.add(name)


class _Fetch:
    """One fetch under way. `givers`: the URLs whose bytes lie in the part; `alone`: no more than one source's may."""

    def __init__(
        self,
        wanted: Wanted,
        sources: Sequence[Source],
        outgoing: Outgoing,
        patience: Patience,
        disk: Disk,
        tell: Tell,
    ) -> None:
        self._wanted = wanted
        self._sources = sources
        self._outgoing = outgoing
        self._patience = patience
        self._disk = disk
        self._tell = tell
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._candidates = Candidates(sources, patience)
        self._meter = Meter(self._clock())
        self._givers: set[str] = {EARLIER_RUN} if disk.received else set()
        self._alone = False

    async def run(self) -> None:
        """Until the part holds the file, proven."""
        if self._disk.received:
            self._tell(events.Resumed(self._disk.received))
        while True:
            await self._gather()
            if await self._is_proven():
                return
            await self._blame()

    async def _gather(self) -> None:
        """Until all bytes are there, whoever they come from."""
        while self._disk.received < self._wanted.size:
            source = self._candidates.next(self._clock())
            if source is None:
                await self._wait()
                continue
            before = self._disk.received
            try:
                await self._take_from(source)
            except SourceTrouble as trouble:
                self._failed(source, trouble, self._disk.received - before)

    async def _wait(self) -> None:
        pause = self._candidates.pause(self._clock(), kept=self._disk.received > 0)
        self._tell(events.Waiting(pause))
        await asyncio.sleep(pause)

    async def _take_from(self, source: Source) -> None:
        """Asks one source for what is missing and takes it. Raises SourceTrouble."""
        if self._alone and self._disk.received:
            await self._start_over("each source is tried alone now")
        offset, wanted = self._disk.received, self._wanted
        async with ask(self._outgoing, source, wanted, offset, self._patience.head) as reply:
            if reply.start < offset:
                await self._start_over("this source sends whole files only")
            try:
                await self._receive(reply, source)
            finally:
                await self._disk.settle()

    async def _receive(self, reply: Reply, source: Source) -> None:
        patience, disk, total = self._patience, self._disk, self._wanted.size
        told = self._clock()
        pace = Pace(patience.crawl, patience.slowest, told)
        while disk.received < total:
            chunk = await reply.read(patience.silence)
            await disk.put(chunk)
            self._givers.add(source.url)
            now = self._clock()
            self._meter.add(len(chunk), now)
            if pace.crawls(len(chunk), now) and self._candidates.has_other(source, now):
                raise SourceTrouble("slow", f"sent less than {patience.slowest} bytes a second")
            if now - told >= patience.news or disk.received == total:
                told = now
                self._tell_progress(now)

    def _tell_progress(self, now: float) -> None:
        received, total = self._disk.received, self._wanted.size
        self._tell(events.Progress(received, total, self._meter.rate(now), self._meter.eta(total - received, now)))

    async def _is_proven(self) -> bool:
        """Whether the bytes, now hashed and durable, are the file's."""
        flushed = self._disk.flush()
        while not await self._disk.is_hashed(self._patience.news):
            self._tell(events.Verifying(self._disk.proof.hashed, self._wanted.size))
        await flushed
        return self._disk.proof.file_id() == self._wanted.id

    async def _blame(self) -> None:
        """Leaves who sent all of the bytes; where several did, nobody can be named yet."""
        givers = self._givers
        if not givers:
            raise errors.Unacceptable("proof_failed", "This is not the id of an empty file, which it is said to be.")
        await self._start_over("the bytes are not the file's")
        culprit = next((source for source in self._sources if givers == {source.url}), None)
        if culprit is None:
            self._alone = True
        else:
            self._failed(culprit, SourceTrouble("corrupt", "sent bytes that are not the file's"), 0)

    async def _start_over(self, why: str) -> None:
        await self._disk.start_over()
        self._givers = set()
        self._tell(events.StartedOver(why))

    def _failed(self, source: Source, trouble: SourceTrouble, gained: int) -> None:
        self._candidates.failed(source, trouble, gained, self._clock())
        self._tell(events.SourceFailed(source.peer_id, trouble.outcome, trouble.detail))
