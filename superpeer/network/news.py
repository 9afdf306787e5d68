"""What happened, for whoever listens on `/ws`: peers and files come and go, the numbers change.

Slices tell it here; what it becomes on the wire is decided here.
"""

from common.http.hub import Hub
from common.runtime.clock import Clock
from common.wire.files import FileInfo, FileRemoved, FilesRegistered
from common.wire.peers import NetworkStats, Peer
from superpeer.network.bursts import Bursts


class News:
    """Puts events on the hub, bursts gathered."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._registered = Bursts()
        self._removed = Bursts()
        self._changed = True

    def peer(self, kind: str, peer: Peer) -> None:
        """`peer_registered`, `peer_online` or `peer_offline`."""
        self._changed = True
        self._hub.publish("peers", kind, peer)

    def changed(self) -> None:
        """Something that the numbers show is different."""
        self._changed = True

    def to_tell(self, peer_id: str, ids: list[str]) -> list[str]:
        """Of these files that a peer announced, the ones to tell one by one (see `files`); the others are counted."""
        self._changed = True
        return self._registered.take(peer_id, ids, self._clock.monotonic()) if len(self._hub) else []

    def files(self, infos: list[FileInfo]) -> None:
        """Files were announced."""
        for info in infos:
            self._hub.publish("files", "file_registered", info)

    def removed(self, peer_id: str, ids: list[str]) -> None:
        """A peer no longer offers these."""
        self._changed = True
        for file_id in self._removed.take(peer_id, ids, self._clock.monotonic()):
            self._hub.publish("files", "file_removed", FileRemoved(file_id, peer_id))

    def flush(self) -> None:
        """Tells the bursts."""
        for peer_id, count in self._registered.due().items():
            self._hub.publish("files", "files_registered", FilesRegistered(peer_id, count))
        for peer_id, count in self._removed.due().items():
            self._hub.publish("files", "files_removed", FilesRegistered(peer_id, count))

    def stats(self, stats: NetworkStats) -> None:
        """The numbers."""
        self._hub.publish("stats", "stats_update", stats)

    def take_changed(self) -> bool:
        """Whether something changed since the last call."""
        changed, self._changed = self._changed, False
        return changed
