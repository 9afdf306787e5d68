"""The serving of others, put together: slots, limits, quotas, the crowd's gate, and their endpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from aiohttp import web

from common.http.endpoint import Endpoint
from common.http.hub import Hub
from common.runtime.clock import Clock
from common.runtime.config import PeerSettings
from common.runtime.tasks import Jobs
from common.serving.bandwidth import Bandwidth
from common.serving.file_reply import Served
from common.wire.peers import Load
from peer.uploads.askers import is_near
from peer.uploads.holdings import Holdings
from peer.uploads.quota import Quota
from peer.uploads.quota_file import INTERVAL, QuotaFile
from peer.uploads.routes import UploadRoutes
from peer.uploads.seeding import Gate
from peer.uploads.slots import Slots
from peer.uploads.swarm_routes import SwarmRoutes
from peer.uploads.torrent_pieces import TorrentPieceRoutes

TELL = 1.0  # seconds between two tellings of what goes out


class Shelf(Protocol):
    """The files to serve."""

    async def open_for_serving(self, file_id: str) -> Served: ...

    async def manifest_digest(self, file_id: str) -> str | None: ...

    async def count_download(self, file_id: str) -> None: ...


class Uploads:
    """Everything about serving others. `is_relayed` tells what this peer asks itself for others."""

    def __init__(
        self,
        settings: PeerSettings,
        folder: Path,
        shelf: Shelf,
        hub: Hub,
        owners_topic: str,
        clock: Clock,
        is_relayed: Callable[[web.Request], bool],
    ) -> None:
        self.bandwidth = Bandwidth(is_near)
        self.quotas = QuotaFile(Quota(settings.upload_quota_per_peer), folder, clock)
        self.slots = Slots(settings.upload_slots, clock, self.bandwidth.has_spare)
        self.holdings = Holdings()
        self._hub = hub
        self._topic = owners_topic
        gate = Gate(lambda: self.bandwidth.is_drained(clock.monotonic()))
        self._files = UploadRoutes(
            shelf, self.slots, self.bandwidth, self.quotas.quota, clock, self.holdings, gate, is_relayed
        )
        self._swarms = SwarmRoutes(shelf, self.holdings, self._files, gate)
        self._torrent_pieces = TorrentPieceRoutes(shelf)

    def load(self) -> Load:
        """How busy this peer is."""
        return Load(self.slots.active, self.slots.slots, self.slots.rate())

    def is_busy(self) -> bool:
        return self.slots.active > 0

    def open(self) -> None:
        """Takes up what was noted of the day's quotas."""
        self.quotas.load()

    def add_jobs(self, jobs: Jobs) -> None:
        """What goes on while this peer serves."""
        jobs.every("tell of uploads", TELL, self._tell)
        if self.quotas.quota.limit:
            jobs.every("quota", INTERVAL, self.quotas.save)

    async def stop(self) -> None:
        """Ends the answers that would go on."""
        await self._swarms.close()

    async def close(self) -> None:
        await self._torrent_pieces.close()
        await self.quotas.close()

    def endpoints(self) -> list[Endpoint]:
        return [*self._files.endpoints(), *self._swarms.endpoints(), *self._torrent_pieces.endpoints()]

    async def _tell(self) -> None:
        if self._files.active and self._hub.has_listeners(self._topic):
            self._hub.publish(self._topic, "upload_progress", self._files.active.told())
