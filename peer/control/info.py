"""The peer in numbers, and its events: for everybody, and a little more for its owner."""

from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from common.http.endpoint import Endpoint
from common.http.hub import Hub, Listener, Spoken
from common.runtime.clock import utc
from common.runtime.config import PeerSettings
from common.wire.peer_daemon import DownloadStats, PeerInfo, PeerStats, PublicConfig, UploadStats
from peer.control.owner import Owner
from peer.uplink.session import Session
from peer.uploads.slots import Slots

OWNERS_TOPIC = "transfers"
NOT_WANTED = "It is not to register by itself: peer.auto_register is off."


class InfoRoutes:
    """`/api/v1/info`, `/api/v1/stats` and `/ws`."""

    def __init__(
        self,
        settings: PeerSettings,
        peer_id: str,
        name: str,
        session: Session[Any],
        slots: Slots,
        shared_files: Callable[[], int],
        owner: Owner,
        hub: Hub,
        downloads: Callable[[], DownloadStats] = DownloadStats,
    ) -> None:
        self._settings = settings
        self._name = name
        self._session = session
        self._slots = slots
        self._shared_files = shared_files
        self._owner = owner
        self._hub = hub
        self._downloads = downloads
        self.peer_id = peer_id
        self.address = ""
        self.port = 0

    def current(self) -> PeerInfo:
        """The peer in one object."""
        heartbeat = self._session.last_heartbeat
        settings = self._settings
        return PeerInfo(
            id=self.peer_id,
            name=self._name,
            address=self._session.address or self.address,
            port=self.port,
            is_registered=self._session.is_registered,
            shared_files=self._shared_files(),
            last_heartbeat=utc(heartbeat) if heartbeat is not None else None,
            download_stats=self._downloads(),
            upload_stats=UploadStats(self._slots.finished, self._slots.bytes, self._slots.active),
            config=PublicConfig(
                port=self.port,
                super_peer_address=settings.super_peer_address,
                max_file_size=settings.max_file_size,
                heartbeat_interval=settings.heartbeat_interval,
            ),
            trouble=self._session.trouble if settings.auto_register else NOT_WANTED,
            direct=self._session.dialled.is_set(),
        )

    async def info(self, request: web.Request) -> PeerInfo:
        return self.current()

    async def stats(self, request: web.Request) -> PeerStats:
        info = self.current()
        return PeerStats(
            peer_id=info.id,
            shared_files=info.shared_files,
            download_stats=info.download_stats,
            upload_stats=info.upload_stats,
            is_registered=info.is_registered,
            last_heartbeat=info.last_heartbeat,
        )

    async def events(self, request: web.Request) -> web.WebSocketResponse:
        return await self._hub.serve(request, self._greeting, self._said, topics=("files",))

    def _greeting(self) -> Iterable[str]:
        yield self._hub.frame("peer_info", self.current())

    def _said(self, listener: Listener, spoken: Spoken) -> bool:
        """`auth` with the owner's token opens the events of transfers."""
        if spoken.type != "auth" or not isinstance(spoken.data, dict):
            return False
        token: Any = spoken.data.get("token")
        if isinstance(token, str) and self._owner.is_token(token):
            listener.allowed = frozenset({"files", OWNERS_TOPIC})
            listener.topics = listener.allowed
            return True
        return False

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/info",
                handle=self.info,
                summary="This peer in one object",
                tag="peer",
                answer=PeerInfo,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/stats",
                handle=self.stats,
                summary="This peer's counters",
                tag="peer",
                answer=PeerStats,
            ),
            Endpoint(
                method="GET", path="/ws", handle=self.events, summary="Events (WebSocket)", tag="peer", status=101
            ),
        ]
