"""Libraries over real folders, with everything that a daemon would have but the sockets."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.content.hashing import SHA256, Algorithm
from common.runtime.clock import SystemClock
from common.runtime.config import PeerSettings
from common.wire.files import SharedFile
from peer.shares.library import Library
from tests.support.waiting import PATIENCE, until

SETTLE = 0.05


class ShiftedClock(SystemClock):
    """The machine's clock, some time ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return SystemClock.now() + self.ahead


@dataclass
class Kept:
    """A library, and what it told."""

    library: Library
    share: Path
    clock: ShiftedClock
    told: list[tuple[str, SharedFile]] = field(default_factory=list)

    async def names(self) -> list[str]:
        """What is offered and there, by path in the catalogue."""
        return sorted(await self.paths("state = 0"))

    async def offered(self) -> list[str]:
        """What is offered, there or not."""
        return sorted(await self.paths("1"))

    async def paths(self, where: str) -> list[str]:
        query = f"SELECT path FROM entry WHERE offered AND {where}"
        return await self.library._database.read(lambda connection: [path for (path,) in connection.execute(query)])

    async def id_of(self, path: str) -> str:
        query = "SELECT hash FROM entry WHERE path = ?"
        found = await self.library._database.read(lambda connection: connection.execute(query, (path,)).fetchone())
        return str(found[0])

    async def until(self, *names: str) -> None:
        """Returns when exactly these paths are offered and there."""
        wanted = sorted(names)
        async with asyncio.timeout(PATIENCE):
            while await self.names() != wanted:
                await asyncio.sleep(0.005)

    async def eventually(self, condition: Callable[[], bool]) -> None:
        """Returns once the condition holds."""
        await until(condition)

    def kinds(self) -> Counter[str]:
        """How often which event was told."""
        return Counter(kind for kind, _ in self.told)


@dataclass
class Shelf:
    """Where libraries are opened, one after another, over the same folders."""

    folder: Path
    opened: list[Kept] = field(default_factory=list)
    busy: Callable[[], bool] = lambda: False
    """Whether somebody is served just now."""

    @property
    def share(self) -> Path:
        return self.folder / "share"

    async def open(self, algorithm: Algorithm = SHA256, **settings: Any) -> Kept:
        """A library that has looked at everything. `share` is its shared directory."""
        kept = await self.begin(algorithm, **settings)
        async with asyncio.timeout(PATIENCE):
            await kept.library.quiet()
        return kept

    async def begin(self, algorithm: Algorithm = SHA256, **settings: Any) -> Kept:
        """The same, just opened."""
        data = self.folder / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        settings = {"shared_directory": str(self.share), "settle": SETTLE, **settings}
        clock = ShiftedClock()
        told: list[tuple[str, SharedFile]] = []
        library = Library(
            PeerSettings(**settings),
            data,
            algorithm,
            clock,
            lambda kind, file: told.append((kind, file)),
            lambda: self.busy(),
        )
        await library.open()
        self.opened.append(Kept(library, self.share, clock, told))
        return self.opened[-1]

    async def close(self) -> None:
        while self.opened:
            await self.opened.pop().library.close()

    async def reopen(self, algorithm: Algorithm = SHA256, **settings: Any) -> Kept:
        await self.close()
        return await self.open(algorithm, **settings)


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    shelf = Shelf(tmp_path)
    descriptors = len(os.listdir("/proc/self/fd"))
    yield shelf
    await shelf.close()
    assert len(os.listdir("/proc/self/fd")) <= descriptors
