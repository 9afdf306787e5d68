"""What a peer has of a file while it fetches it: the pieces that it has proven, for others to follow and to fetch."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.content.grid import Grid, Span
from common.content.pieces import all_of, set_of
from common.serving.file_reply import Version

MOST_FOLLOWERS = 64

Met = Callable[[str, int], None]
"""Called with the address and port of somebody who follows, because it fetches the same."""


class Holding:
    """The proven pieces of one file, which `fd` reads; offered until it is withdrawn. `withdrawn` hears of that."""

    def __init__(
        self,
        file_id: str,
        size: int,
        name: str,
        manifest: str,
        fd: int,
        met: Met,
        withdrawn: "Callable[[Holding], None]" = lambda holding: None,
    ) -> None:
        self.file_id = file_id
        self.grid = Grid.of(size)
        self.name = name
        self.manifest = manifest
        self.pieces = 0
        self.is_over = False
        self.met = met
        self._fd = fd
        self._withdrawn = withdrawn
        self._sealed: Version | None = None
        self._followers: dict[asyncio.Event, set[int]] = {}

    @property
    def is_complete(self) -> bool:
        return self.pieces == all_of(self.grid.count)

    @property
    def followers(self) -> int:
        return len(self._followers)

    def add(self, piece: int) -> None:
        """One piece more is proven."""
        self.pieces |= 1 << piece
        if self.is_complete:
            self._sealed = Version.of(self._fd)
        for wake, news in self._followers.items():
            news.add(piece)
            wake.set()

    def holds(self, span: Span) -> bool:
        """Whether all these bytes are proven."""
        wanted = set_of(self.grid.touched(span))
        return span.stop <= self.grid.size and not wanted & ~self.pieces

    @property
    def is_untouched(self) -> bool:
        """Whether a whole file is still as it was proven: it has its name now, and its owner may change it."""
        return self._sealed is None or Version.of(self._fd) == self._sealed

    def open(self) -> int:
        """A descriptor of the caller's own."""
        return os.dup(self._fd)

    @contextmanager
    def followed(self) -> Iterator[tuple[asyncio.Event, set[int]]]:
        """What a follower hears: the event is set when there is news, which are the pieces in the set."""
        wake, news = asyncio.Event(), set[int]()
        self._followers[wake] = news
        try:
            yield wake, news
        finally:
            del self._followers[wake]

    def withdraw(self) -> None:
        """It is offered no longer; followers hear that it is over."""
        if not self.is_over:
            self.is_over = True
            os.close(self._fd)
            self._withdrawn(self)
            for wake in self._followers:
                wake.set()


class Holdings:
    """The holdings of this peer, by file id."""

    def __init__(self) -> None:
        self._held: dict[str, Holding] = {}

    def __len__(self) -> int:
        return len(self._held)

    def begin(self, file_id: str, size: int, name: str, manifest: str, fd: int, met: Met) -> Holding:
        """Offers a file whose bytes `fd` reads, in the place of what was offered of it before."""
        if earlier := self._held.get(file_id):
            earlier.withdraw()
        holding = self._held[file_id] = Holding(file_id, size, name, manifest, fd, met, self._forget)
        return holding

    def find(self, file_id: str) -> Holding | None:
        return self._held.get(file_id)

    def close(self) -> None:
        """Ends all."""
        for holding in list(self._held.values()):
            holding.withdraw()

    def _forget(self, holding: Holding) -> None:
        if self._held.get(holding.file_id) is holding:
            del self._held[holding.file_id]
