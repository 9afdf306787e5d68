"""What all peers are thought of, in memory; what changed is written behind.

A source is heard about from at most KEPT reporters: one more takes the place of the least worth.
"""

from dataclasses import dataclass, field
from typing import Protocol

from common.runtime.clock import Clock
from common.wire.transfer import Outcome
from superpeer.peers.opinions import OpinionStore
from superpeer.peers.reputation import (
    FORGOTTEN,
    NEW,
    Opinion,
    Standing,
    after,
    least_worth,
    may_rate,
    standing,
)

KEPT = 32


@dataclass(slots=True)
class _Source:
    opinions: dict[int, Opinion] = field(default_factory=dict)
    standing: Standing = NEW


class Rater(Protocol):
    """What decides whether and how much a report counts."""

    n: int
    registered_from: str
    keyed: bool


class Standings:
    """Opinions of sources by reporters, both by their number."""

    def __init__(self, store: OpinionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._sources: dict[int, _Source] = {}
        self._unwritten: set[tuple[int, int]] = set()

    async def open(self) -> None:
        """Takes up what the database remembers."""
        for source_n, reporter_n, opinion in await self._store.load():
            self._sources.setdefault(source_n, _Source()).opinions[reporter_n] = opinion
        self.fade()

    def of(self, n: int) -> Standing:
        """What is thought of this peer."""
        source = self._sources.get(n)
        return source.standing if source else NEW

    def report(self, reporter: Rater, source: Rater, outcome: Outcome, count: int, seconds: float) -> None:
        """One transfer of `count` bytes in `seconds`, as the reporter saw it; passed over when it does not count."""
        if reporter.n == source.n or not may_rate(reporter.registered_from, source.registered_from):
            return
        now = self._clock.now()
        held = self._sources.setdefault(source.n, _Source())
        blank = Opinion(reporter.registered_from, reporter.keyed, 0.0, 0.0, None, now)
        held.opinions[reporter.n] = after(held.opinions.get(reporter.n), blank, outcome, count, seconds)
        self._unwritten.add((source.n, reporter.n))
        if len(held.opinions) > KEPT:
            self._drop(source.n, least_worth(held.opinions))
        held.standing = standing(held.opinions.values(), now)

    def _drop(self, source_n: int, reporter_n: int) -> None:
        del self._sources[source_n].opinions[reporter_n]
        self._unwritten.add((source_n, reporter_n))

    def fade(self) -> None:
        """Time has passed: what was said counts less, and what was said long ago not at all."""
        now = self._clock.now()
        for n, source in list(self._sources.items()):
            for reporter_n in [r for r, opinion in source.opinions.items() if opinion.at < now - FORGOTTEN]:
                self._drop(n, reporter_n)
            source.standing = standing(source.opinions.values(), now)
            if not source.opinions:
                del self._sources[n]

    def forget(self, n: int) -> None:
        """The peer is forgotten, and with it what was thought of it."""
        self._sources.pop(n, None)

    async def write_behind(self) -> None:
        """Writes what was reported since the last call."""
        taken, self._unwritten = self._unwritten, set()
        try:
            await self._store.write({pair: self._opinion(*pair) for pair in taken})
        except BaseException:
            self._unwritten |= taken
            raise

    def _opinion(self, source_n: int, reporter_n: int) -> Opinion | None:
        source = self._sources.get(source_n)
        return source.opinions.get(reporter_n) if source else None
