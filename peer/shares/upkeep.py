"""What a library does from time to time: sweep, notice that a share's disk came or went, withdraw, forget."""

import asyncio
import os
import sqlite3
from collections.abc import Callable

from common.database.sqlite import Database
from common.runtime.clock import Clock
from peer.shares import offers, readings
from peer.shares.offers import News
from peer.shares.scan import Scan

TICK = 1.0
FORGETTING = 3600.0
SHORTEST_SWEEP = 2.0
"""Seconds between sweeps where changes cannot be noticed otherwise."""
SHARE_OF_TIME = 20
"""And then a sweep takes at most one part in so many of the time."""


class Upkeep:
    """`tell` is called with what each transaction came to."""

    def __init__(
        self, scan: Scan, database: Database, clock: Clock, sweep_interval: float, tell: Callable[[News], None]
    ) -> None:
        self.leaving_at: float | None = 0.0
        """When the next entry is to be withdrawn, by the time of day."""
        self._scan = scan
        self._database = database
        self._clock = clock
        self._sweep_interval = sweep_interval
        self._tell = tell
        self._roots: dict[int, tuple[int, int] | None] = {}
        self._swept = self._forgot = clock.monotonic()

    async def tick(self) -> None:
        """Every TICK seconds."""
        now = self._clock.monotonic()
        await self._probe()
        if self.leaving_at is not None and self._clock.now() >= self.leaving_at:
            async with self._scan.turn:
                self._tell(await self._database.write(offers.withdraw, self._clock.now()))
        if now - self._swept >= self._interval():
            self._swept = now
            self._scan.sweep()
        if now - self._forgot >= FORGETTING:
            self._forgot = now
            async with self._scan.turn:
                await self._database.write(_forget, self._clock.now())

    def _interval(self) -> float:
        if self._scan.is_watching:
            return self._sweep_interval
        return min(self._sweep_interval, max(SHORTEST_SWEEP, SHARE_OF_TIME * self._scan.cost))

    async def _probe(self) -> None:
        """A disk that is mounted or taken away changes what a share's root is, and gives no notice."""
        roots = {share.id: share.path for share in self._scan.shares.values()}
        found = await asyncio.to_thread(_identities, roots)
        for share, identity in found.items():
            before = self._roots.get(share, None if share in self._scan.absent else identity)
            if identity != before:
                self._scan.sweep(share)
        self._roots = found


def _identities(roots: dict[int, bytes]) -> dict[int, tuple[int, int] | None]:
    return {share: _identity(root) for share, root in roots.items()}


def _identity(root: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(root, follow_symlinks=False)
        return found.st_dev, found.st_ino
    except OSError:
        return None


def _forget(connection: sqlite3.Connection, now: float) -> None:
    offers.forget(connection, now)
    readings.forget(connection, now)
