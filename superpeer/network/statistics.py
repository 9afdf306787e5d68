"""The network in numbers, kept at hand: read anew at most once a second, and only when something changed."""

from collections.abc import Awaitable, Callable

from common.runtime.clock import Clock, utc
from common.wire.peers import NetworkStats
from superpeer.network.news import News

AT_LEAST_EVERY = 10.0  # seconds between two updates, changed or not


class Statistics:
    """`count` reads the database: (peers, online, files, bytes, downloads). `hash_algorithm` names the files."""

    def __init__(
        self,
        count: Callable[[], Awaitable[tuple[int, int, int, int, int]]],
        hash_algorithm: str,
        news: News,
        clock: Clock,
    ) -> None:
        self._count = count
        self._news = news
        self._clock = clock
        self._hash_algorithm = hash_algorithm
        self._told = float("-inf")
        self.current = NetworkStats(0, 0, 0, 0, 0, 0.0, utc(clock.now()), hash_algorithm)

    async def read(self) -> NetworkStats:
        """The numbers as they are now."""
        peers, online, files, size, downloads = await self._count()
        health = 100 * online / peers if peers else 0.0
        now = utc(self._clock.now())
        self.current = NetworkStats(peers, online, files, size, downloads, round(health, 1), now, self._hash_algorithm)
        return self.current

    async def tick(self) -> None:
        """Once a second: news of bursts, and the numbers when they changed or are old."""
        self._news.flush()
        changed = self._news.take_changed()
        if changed or self._clock.monotonic() - self._told >= AT_LEAST_EVERY:
            self._told = self._clock.monotonic()
            self._news.stats(await self.read())
