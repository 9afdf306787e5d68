"""The owner's downloads in this daemon: the queue, opened when it is first needed, and what the rest hears of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from common import errors
from common.content.hashing import Algorithm
from common.http.hub import Hub
from common.http.outgoing import Outgoing, OutgoingError
from common.runtime.clock import Clock
from common.runtime.config import PeerSettings
from common.serving.bandwidth import Bandwidth
from common.wire.files import FileInfo, Source
from common.wire.peer_daemon import DownloadStats
from common.wire.transfer import Download, Outcome, TransferReport
from peer.control.info import OWNERS_TOPIC
from peer.uplink.super_peer import SuperPeer
from peer.uploads.holdings import Holdings

if TYPE_CHECKING:
    from common.content.manifest import Manifest
    from peer.downloads.others import Crowd
    from peer.downloads.queue import Queue
    from peer.downloads.record import Record
    from peer.downloads.transfer import Transfer

T = TypeVar("T")

DATABASE = "downloads.db"
_OUTCOMES: dict[str, Outcome] = {"corrupt": "corrupt", "refused": "refused", "busy": "ok", "slow": "ok"}
"""How a report calls what was the matter; all else is a timeout."""


class Library(Protocol):
    """What is learnt of files on the way, and what becomes of them."""

    async def know_manifest(self, file_id: str, manifest: "Manifest") -> None: ...

    def offer_on(self, file_id: str, size: int, name: str, path: str) -> None:
        """A proven file lies at `path`."""


class OwnersDownloads:
    """Asked for the queue by whoever needs it. `port` tells where this peer serves."""

    def __init__(
        self,
        settings: PeerSettings,
        folder: Path,
        algorithm: Algorithm,
        super_peer: SuperPeer,
        library: Library,
        holdings: Holdings,
        bandwidth: Bandwidth,
        hub: Hub,
        clock: Clock,
        port: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._algorithm = algorithm
        self._super_peer = super_peer
        self._library = library
        self._holdings = holdings
        self._bandwidth = bandwidth
        self._hub = hub
        self._clock = clock
        self._port = port
        self._outgoing: Outgoing
        self._opening = asyncio.Lock()
        self._queue: Queue | None = None
        self._is_closed = False

    def through(self, outgoing: Outgoing) -> None:
        """Sources are asked through `outgoing`, which can be made only once the loop runs."""
        self._outgoing = outgoing

    async def resume(self) -> None:
        """Opens the queue if there is something in it."""
        if (self._folder / DATABASE).exists():
            await self.queue()

    async def queue(self) -> "Queue":
        """The queue, opened now if it was not."""
        async with self._opening:
            if self._is_closed:
                raise errors.Unavailable("shutting_down", "The peer is stopping; come back later.")
            if self._queue is None:
                self._queue = await self._open()
            return self._queue

    async def _open(self) -> "Queue":
        # The crowd as well, which is needed at the first download: then it costs that one no time.
        from peer.downloads import crowd  # noqa: F401
        from peer.downloads.queue import Queue, Settings

        folder = self._settings.downloads or str((self._folder / "downloads").absolute())
        headers = {"X-Peer-ID": self._super_peer.peer_id}
        settings = Settings(folder, self._settings.downloads_at_once, self._algorithm, headers)
        network = _Network(self._super_peer, self._settings.region)
        queue = Queue(settings, self._outgoing, network, self._bandwidth, self._crowd, self, self._clock)
        await queue.open(self._folder)
        return queue

    def _crowd(self) -> "Crowd":
        from peer.downloads.crowd import Swarm
        from peer.downloads.others import Crowd

        if not self._settings.share_downloads:
            return Crowd()  # it fetches from those who have the whole file, and offers nothing
        return Swarm(self._holdings, self._super_peer.swarm, self._outgoing, self._port())

    def stats(self) -> DownloadStats:
        """What was fetched since the start."""
        queue = self._queue
        return DownloadStats() if queue is None else DownloadStats(queue.finished, queue.bytes, queue.active)

    def told(self, download: Download) -> None:
        """Of the queue: for the owner's page."""
        self._hub.publish(OWNERS_TOPIC, "download_progress", download)

    async def ended(self, record: "Record", transfer: "Transfer | None") -> None:
        """Of the queue: what the sources did is reported, what was learnt is kept, and the file offered on."""
        if record.state == "finished":
            await self._offer_on(record, transfer)
        for report in _reports(record, transfer) if transfer is not None else ():
            with contextlib.suppress(OutgoingError):
                await self._super_peer.report(report)

    async def _offer_on(self, record: "Record", transfer: "Transfer | None") -> None:
        manifest = transfer.course.manifests.get(transfer.course.claim or "") if transfer is not None else None
        if manifest is not None:
            await self._library.know_manifest(record.file_id, manifest)
        self._library.offer_on(record.file_id, record.size, record.name, record.path)

    async def close(self) -> None:
        """Stops what runs; it goes on at the next start."""
        self._is_closed = True
        async with self._opening:
            queue, self._queue = self._queue, None
        if queue is not None:
            await queue.close()
        self._holdings.close()


class _Network:
    """The super-peer as a queue asks it."""

    def __init__(self, super_peer: SuperPeer, region: str) -> None:
        self._super_peer = super_peer
        self._region = region

    async def file(self, file_id: str) -> FileInfo:
        return await _refusing(self._super_peer.file(file_id))

    async def sources(self, file_id: str) -> list[Source]:
        found = await _refusing(self._super_peer.sources(file_id, self._region))
        # What this peer has of a file that it is fetching is no source of it; one that it shares is.
        return [source for source in found if source.complete or source.peer_id != self._super_peer.peer_id]


async def _refusing(asked: Awaitable[T]) -> T:
    """What a call to the super-peer brings. Raises NotFound and Unavailable."""
    try:
        return await asked
    except OutgoingError as error:
        if error.code == "file_not_found":
            raise errors.NotFound("file_not_found", error.detail) from error
        raise errors.Unavailable("source_unavailable", f"The super-peer does not answer: {error.detail}") from error


def _reports(record: "Record", transfer: "Transfer") -> list[TransferReport]:
    """One for each source that was asked."""
    found, liars = [], {source.url for source, _ in transfer.course.blamed}
    for standing in transfer.course.standings():
        worst = "corrupt" if standing.source.url in liars else standing.worst
        outcome = _OUTCOMES.get(worst, "timeout") if worst else "ok"
        if standing.received or worst:
            source, seconds = standing.source.peer_id[:64], round(min(standing.busy_seconds, 31_536_000.0), 3)
            found.append(TransferReport(record.file_id, source, standing.verified, seconds, outcome))
    return found
