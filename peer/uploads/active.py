"""Who is being served which file now: one entry for an asker and a file, however many requests they make of it.

Pure; the time is an argument. An entry is told until a moment after its last request, so that a file that is fetched
piece by piece is one upload and not hundreds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common.wire.transfer import Upload
from peer.uploads.askers import RELAY, Asker

LINGER = 3.0  # seconds
RATE_WINDOW = 2.0
MOST = 1000


@dataclass(slots=True)
class _Entry:
    name: str
    size: int
    since: float
    seen: float
    sent: int = 0
    requests: int = 0
    rate: float = 0.0
    window: tuple[float, int] = (0.0, 0)


class Active:
    """All uploads of this peer that go on."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[tuple[Asker, str], _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @contextmanager
    def served(self, asker: Asker, file_id: str, name: str, size: int) -> Iterator[Callable[[int], None]]:
        """A request for a file, as long as the block runs; what it yields counts the bytes that leave."""
        now = self._now()
        self._forget(now)
        entry = self._entries.setdefault((asker, file_id), _Entry(name, size, now, now, window=(now, 0)))
        entry.requests += 1

        def sent(count: int) -> None:
            entry.sent += count
            entry.seen = self._now()

        try:
            yield sent
        finally:
            entry.requests -= 1
            entry.seen = self._now()

    def told(self) -> list[Upload]:
        """Each upload, those that began first at the front."""
        now = self._now()
        self._forget(now)
        return [_upload(asker, file_id, entry, now) for (asker, file_id), entry in self._entries.items()]

    def _forget(self, now: float) -> None:
        over = [key for key, entry in self._entries.items() if not entry.requests and now - entry.seen > LINGER]
        idle = [key for key, entry in self._entries.items() if not entry.requests]
        for key in over or idle[: max(0, len(self._entries) - MOST)]:
            del self._entries[key]


def _upload(asker: Asker, file_id: str, entry: _Entry, now: float) -> Upload:
    since, before = entry.window
    if now - since >= RATE_WINDOW:
        entry.rate, entry.window = (entry.sent - before) / (now - since), (now, entry.sent)
    return Upload(
        file_id=file_id,
        filename=entry.name,
        size=entry.size,
        asker=asker.name or asker.address,
        relayed=asker.address == RELAY,
        sent=entry.sent,
        rate=entry.rate,
        seconds=round(now - entry.since, 3),
        requests=entry.requests,
    )
