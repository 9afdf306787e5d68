"""The owner's downloads: which of them run, and what becomes of those that cannot go on now.

Guarantees: what was added is still there after a kill; at most `at_once` run, those of higher priority and then of
longer standing first; one that stalls is tried again later, for longer each time, with whatever sources there are
then, and says why in words.
"""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from common import errors
from common.content.hashing import Algorithm
from common.database.sqlite import Database
from common.http.outgoing import Outgoing
from common.ids import FileId
from common.runtime.clock import Clock
from common.serving.bandwidth import Bandwidth
from common.wire.files import FileInfo, Source
from common.wire.transfer import Download, DownloadEdit, DownloadRequest
from peer.downloads import destinations, store, views
from peer.downloads.fetch import already_there
from peer.downloads.others import Crowd
from peer.downloads.part_file import Wanted, discard
from peer.downloads.record import OPEN, Record, after
from peer.downloads.running import Running
from peer.downloads.schema import MIGRATIONS
from peer.downloads.terms import Terms
from peer.downloads.transfer import Transfer

log = logging.getLogger("shoal.downloads")

DATABASE = "downloads.db"
MOST = 10_000  # downloads that are remembered
NOTE = 5.0  # seconds between two notes of how far a download is
FAREWELL = 2.0  # seconds that the last reports may take
TELL = 0.5  # seconds between two tellings of a running download


class Network(Protocol):
    """What a queue asks of the super-peer. Each raises Refusal."""

    async def file(self, file_id: str) -> FileInfo: ...

    async def sources(self, file_id: str) -> list[Source]: ...


class Watcher(Protocol):
    """Who hears of downloads."""

    def told(self, download: Download) -> None:
        """How one fares now; at most twice a second for each."""

    async def ended(self, record: Record, transfer: Transfer | None) -> None:
        """One is over for now: finished, failed, stalled or paused."""


class Settings(msgspec.Struct, frozen=True):
    """What the configuration says of downloads."""

    folder: str
    at_once: int
    algorithm: Algorithm
    headers: dict[str, str]


class Queue:
    """Open from `open` to `close`."""

    def __init__(
        self,
        settings: Settings,
        outgoing: Outgoing,
        network: Network,
        bandwidth: Bandwidth,
        crowd: Callable[[], Crowd],
        watcher: Watcher,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._outgoing = outgoing
        self._network = network
        self._bandwidth = bandwidth
        self._crowd = crowd
        self._watcher = watcher
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._running: dict[str, Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._adding = asyncio.Lock()
        self._not_before: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None]
        self._database: Database
        self._noted = 0.0
        self.finished = 0
        self.bytes = 0

    @property
    def active(self) -> int:
        """Downloads at work."""
        return len(self._running)

    async def open(self, folder: Path) -> None:
        """Goes on with what was not finished. Raises DatabaseUnusable."""
        self._database = await Database.open(folder / DATABASE, MIGRATIONS)
        for record in await self._database.read(store.load, MOST):
            self._records[record.id] = record
        self._keeper = asyncio.create_task(self._keep(), name="downloads")

    async def close(self) -> None:
        """Stops all; each goes on where it was when the queue is opened again."""
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        await asyncio.gather(*(self._stop(running) for running in list(self._running.values())))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FAREWELL)
        for task in list(self._tasks):
            task.cancel()
            await asyncio.wait([task])
        await self._database.close()

    # What the owner does

    def all(self) -> list[Download]:
        """All downloads, in the order in which they were added."""
        return [self._view(record) for record in self._records.values()]

    def get(self, download_id: str) -> Download:
        """One. Raises NotFound."""
        return self._view(self._record(download_id))

    async def add(self, requests: Sequence[DownloadRequest], folder: str | None = None) -> list[Download]:
        """Adds downloads, all or none; one that is there already is not added twice. Raises Refusal."""
        if len(self._records) + len(requests) > MOST:
            await self._forget_old(len(requests))
        asked = [await self._new(request, folder) for request in requests]
        async with self._adding:
            known = {record.place: record for record in self._records.values() if _is_there(record)}
            records = [known.setdefault(record.place, record) for record in asked]
            new = [record for record in known.values() if record.id not in self._records]
            destinations.check_room(new)
            await self._database.write(store.insert, new)
            self._records |= {record.id: record for record in new}
        for record in new:
            self._tell(record)
        self._wake.set()
        return [self._view(record) for record in records]

    async def pause(self, download_id: str) -> Download:
        """Stops one until it is resumed. Raises NotFound, Conflict."""
        record = self._record(download_id)
        self._refuse_ended(record, "be paused")
        await self._change(record, state="paused", why="Paused by you.", code="")
        await self._stop_if_running(download_id)
        return self.get(download_id)

    async def resume(self, download_id: str) -> Download:
        """Goes on with one, at once if there is room; one that failed is tried again. Raises NotFound, Conflict."""
        record = self._record(download_id)
        if record.state == "finished":
            self._refuse_ended(record, "be resumed")
        if download_id not in self._running or record.state == "paused":
            self._not_before.pop(download_id, None)
            await self._change(record, state="queued", why="", code="", failures=0)
            self._wake.set()
        return self.get(download_id)

    async def edit(self, download_id: str, edit: DownloadEdit) -> Download:
        """Changes its priority, or whether it comes in order, which counts from its next start. Raises NotFound."""
        record = self._record(download_id)
        priority = record.priority if edit.priority is None else edit.priority
        sequential = record.sequential if edit.sequential is None else edit.sequential
        await self._change(record, priority=priority, sequential=sequential)
        self._wake.set()
        return self.get(download_id)

    async def cancel(self, download_id: str) -> None:
        """Forgets one, and what has come of it unless it is finished. Raises NotFound."""
        record = self._record(download_id)
        await self._change(record, state="paused", why="")
        await self._stop_if_running(download_id)
        await self._database.write(store.delete, download_id)
        latest = self._records.pop(download_id, record)
        if "finished" not in (record.state, latest.state):
            await asyncio.to_thread(discard, self._wanted(record))

    # The queue at work

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            for record in self._next():
                self._start(record)
            self._tell_running()
            await self._note_running()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELL if self._running else self._until_next()):
                    await self._wake.wait()

    def _next(self) -> list[Record]:
        """Those to be started now."""
        now, room = self._clock.monotonic(), self._settings.at_once - len(self._running)
        ready = [
            record
            for record in self._records.values()
            if record.state in OPEN and record.id not in self._running and self._not_before.get(record.id, 0.0) <= now
        ]
        return sorted(ready, key=lambda record: -record.priority)[: max(0, room)]

    def _until_next(self) -> float:
        now = self._clock.monotonic()
        waiting = [self._not_before.get(r.id, now) - now for r in self._records.values() if r.state in OPEN]
        return max(0.1, min(waiting, default=3600.0))

    def _start(self, record: Record) -> None:
        running = self._running[record.id] = Running(record)
        running.task = self._spawn(self._run(running), f"download {record.name}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("could not be noted", extra={"task": task.get_name()}, exc_info=error)

    async def _run(self, running: Running) -> None:
        record = running.record
        try:
            path = await self._obtain(running)
            changes: dict[str, object] = {"state": "finished", "why": "", "path": path, "verified": record.size}
            changes |= {"finished": self._clock.now(), "failures": 0}
            changes["code"] = "already_there" if running.transfer is None else ""
            self.finished, self.bytes = self.finished + 1, self.bytes + record.size
        except errors.Refusal as refusal:
            failures = self._record(record.id).failures + 1
            state, pause = after(refusal, failures)
            self._not_before[record.id] = self._clock.monotonic() + pause
            changes = {"state": state, "why": refusal.detail, "code": refusal.code, "failures": failures}
            changes["verified"] = running.verified
        except Exception:
            log.exception("download failed", extra={"download": record.id})
            changes = {"state": "failed", "why": "Something went wrong here: the log says what. Resume to try again."}
            changes["code"] = "internal_error"
        finally:
            self._let_go(running)
        await self._conclude(running, changes)

    def _let_go(self, running: Running) -> None:
        if self._running.get(running.record.id) is running:
            del self._running[running.record.id]
        self._wake.set()

    async def _conclude(self, running: Running, changes: dict[str, object]) -> None:
        """Notes how it ended, unless its owner cancelled it meanwhile; one that was paused meanwhile stays so."""
        record = self._records.get(running.record.id)
        if record is None:
            return
        if record.state == "paused" and changes["state"] != "finished":
            changes = {"verified": running.verified}
        await self._change(record, **changes)
        await self._watcher.ended(replace(record, **changes), running.transfer)

    async def _obtain(self, running: Running) -> str:
        record, settings = running.record, self._settings
        wanted = self._wanted(record)
        await asyncio.to_thread(destinations.make, record.folder)
        if there := await already_there(wanted, settings.algorithm):
            return there

        async def find() -> Sequence[Source]:
            return await self._sources(record)

        terms = Terms(
            sequential=self._record(record.id).sequential,
            bandwidth=self._bandwidth,
            algorithm=settings.algorithm,
            headers=settings.headers,
        )
        running.transfer = Transfer(wanted, self._outgoing, find, running.hear, terms, self._crowd())
        return await running.transfer.run()

    async def _sources(self, record: Record) -> Sequence[Source]:
        """Who has it now; while the super-peer is away, who had it last."""
        try:
            found = await self._network.sources(record.file_id)
        except errors.NotFound:
            return []
        except errors.Refusal:
            kept: list[Source] = msgspec.json.decode(self._record(record.id).sources, type=list[Source])
            if not kept:
                raise
            return kept
        if found:
            await self._change(self._record(record.id), sources=msgspec.json.encode(found).decode())
        return found

    async def _stop_if_running(self, download_id: str) -> None:
        if running := self._running.get(download_id):
            await self._stop(running)
            ended = self._watcher.ended(self._records.get(download_id, running.record), running.transfer)
            self._spawn(ended, "report")

    async def _stop(self, running: Running) -> None:
        running.task.cancel()
        await asyncio.wait([running.task])
        self._let_go(running)  # where it was stopped before its first step
        if running.record.id in self._records:
            await self._change(self._records[running.record.id], verified=running.verified)
        self._wake.set()

    # What is kept and told

    async def _new(self, request: DownloadRequest, folder: str | None) -> Record:
        name, size = request.filename, request.size
        if name is None or size is None:
            info = await self._network.file(request.file_id)
            name, size = name or info.filename, info.size
        where, safe = destinations.place(request.folder or folder or self._settings.folder, name)
        return Record(
            id=secrets.token_hex(8),
            file_id=request.file_id,
            folder=where,
            name=safe,
            path=os.path.join(where, safe),
            size=size,
            state="paused" if request.paused else "queued",
            added=self._clock.now(),
            why="Paused by you." if request.paused else "",
            priority=request.priority,
            sequential=request.sequential,
        )

    def _wanted(self, record: Record) -> Wanted:
        return Wanted(FileId(record.file_id), record.size, record.folder, record.name)

    def _record(self, download_id: str) -> Record:
        record = self._records.get(download_id)
        if record is None:
            raise errors.NotFound("download_not_found", "There is no such download: `peer downloads` lists them.")
        return record

    def _refuse_ended(self, record: Record, what: str) -> None:
        if record.state in ("finished", "failed"):
            raise errors.Conflict("download_ended", f"This download is {record.state} and cannot {what}.")

    async def _change(self, record: Record, **values: object) -> None:
        changed = replace(record, **values)
        if changed != record:
            self._records[record.id] = changed
            await self._database.write(store.change, record.id, values)
            self._tell(changed)

    async def _forget_old(self, needed: int) -> None:
        """Makes room: those that ended longest ago are forgotten. Raises TooMany when there are not enough of them."""
        ended = [record for record in self._records.values() if record.state in ("finished", "failed")]
        surplus = len(self._records) + needed - MOST
        if surplus > len(ended):
            raise errors.TooMany("too_many_downloads", f"No more than {MOST} downloads can wait at one time.")
        for record in ended[:surplus]:
            await self._database.write(store.delete, record.id)
            self._records.pop(record.id, None)

    def _view(self, record: Record) -> Download:
        running = self._running.get(record.id)
        if running is None:
            return views.download(record)
        return views.download(record, running.transfer, running.hashed)

    def _tell(self, record: Record) -> None:
        self._watcher.told(self._view(record))

    async def _note_running(self) -> None:
        """How far they are, for who asks after a kill and before they go on."""
        if self._clock.monotonic() - self._noted >= NOTE:
            self._noted = self._clock.monotonic()
            with contextlib.suppress(errors.Refusal):
                for running in list(self._running.values()):
                    await self._change(self._record(running.record.id), verified=running.verified)

    def _tell_running(self) -> None:
        for running in self._running.values():
            self._tell(self._record(running.record.id))


def _is_there(record: Record) -> bool:
    """Whether it need not be added again."""
    return record.state != "finished" or os.path.exists(record.path)
