"""A download of the queue while it is at work."""

import asyncio

from peer.downloads.events import Event, Finished, Verifying
from peer.downloads.record import Record
from peer.downloads.transfer import Transfer


class Running:
    """A download at work."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.transfer: Transfer | None = None
        self.hashed: int | None = None
        self.task: asyncio.Task[None]

    @property
    def verified(self) -> int:
        return self.record.verified if self.transfer is None else self.transfer.verified

    def hear(self, event: Event) -> None:
        """What its transfer tells."""
        if isinstance(event, Verifying):
            self.hashed = event.hashed
        elif not isinstance(event, Finished):
            self.hashed = None
