"""What a look at a share has found, for the scan to act upon."""

from dataclasses import dataclass, field

from peer.shares.agenda import Place
from peer.shares.hasher import Group
from peer.shares.store import Proof


@dataclass(slots=True)
class Report:
    """Rows are those of the database. Everything here is bounded by the size of one look."""

    share: int
    entries: int = 0
    """How much was looked at."""
    fresh: list[Group] = field(default_factory=list)
    """To be hashed."""
    proven: list[Proof] = field(default_factory=list)
    """Known without being read: empty, or moved."""
    back: list[tuple[int, int]] = field(default_factory=list)
    """(device, row) pairs that are here, as they were."""
    changed: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    vanished: list[tuple[Place, int]] = field(default_factory=list)
    """Folders that are not there, and the device of what they lay in."""
    closed: list[tuple[Place, bool]] = field(default_factory=list)
    """Folders that cannot be read, and whether that is meant to be."""
    unfit: list[str] = field(default_factory=list)
    """Why files cannot be offered although they can be read."""
    identity: tuple[int, int] | None = None
    """What the share's root is now, where that is news."""
    unsettled: list[tuple[float, Place, bytes]] = field(default_factory=list)
    """Seconds after which to look at a name again."""
    folders: list[Place] = field(default_factory=list)
    """To be walked through."""
    elsewhere: list[tuple[Place, bytes]] = field(default_factory=list)
    """Names to look at to understand what has happened."""
    dropped: list[tuple[Place, bytes]] = field(default_factory=list)
    """Being hashed, and no longer what is there."""

    @property
    def writes(self) -> bool:
        """Whether the database has to know."""
        rows = self.proven or self.back or self.changed or self.gone or self.missing
        return bool(rows or self.vanished or self.closed or self.identity)
