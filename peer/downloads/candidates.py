"""Which source is asked next: values and `now` in, a choice out.

The order given is the order of preference; who failed stands back, for longer each time. A source that misbehaves is
not asked again, one that is merely away gets a few attempts, one that is busy is asked when it said, in bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common import errors
from common.wire.files import Source

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds
ENOUGH = 1 << 20  # bytes that make up for earlier failures
FOR_GOOD = frozenset({"refused", "corrupt"})
AWAY = frozenset({"unreachable", "timeout"})
KEPT = "What came so far is kept: the same command goes on from there."


@dataclass(frozen=True, slots=True)
class Patience:
    """What a fetch bears with: seconds until a `head` comes, of `silence`, of `waiting` while nothing is gained; less
    than `slowest` bytes a second over `crawl` seconds; failed `attempts` of a source, with a `pause` after the first
    that doubles each time. `news`: seconds between Progresses.
    """

    head: float = 15.0
    silence: float = 15.0
    crawl: float = 15.0
    slowest: int = 16 * 1024
    attempts: int = 3
    pause: float = 1.0
    waiting: float = 120.0
    news: float = 0.2


class SourceTrouble(Exception):
    """Why a source was left: unreachable, timeout, broken, slow, busy, refused, corrupt. `retry_after` in seconds."""

    def __init__(self, outcome: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.retry_after = retry_after


@dataclass(slots=True)
class _Candidate:
    source: Source
    strikes: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class Candidates:
    """The sources of one fetch, those with the whole file, and what is known against each."""

    sources: Sequence[Source]
    patience: Patience
    _latest: dict[str, SourceTrouble] = field(init=False, default_factory=dict)
    _left: list[_Candidate] = field(init=False)
    _may_wait: float = field(init=False)

    def __post_init__(self) -> None:
        self._may_wait = self.patience.waiting
        self._left = [_Candidate(source) for source in self.sources if source.complete]

    def next(self, now: float) -> Source | None:
        """Whom to ask now; None when nobody may be asked yet."""
        ready = [candidate for candidate in self._left if candidate.not_before <= now]
        return min(ready, key=lambda candidate: candidate.strikes).source if ready else None

    def pause(self, now: float, kept: bool = False) -> float:
        """Seconds until somebody may be asked. Raises the Refusal that sums up why nobody will be; `kept` tells whether
        something has come that the next fetch goes on from."""
        if self._left:
            pause = max(0.0, min(candidate.not_before for candidate in self._left) - now)
            self._may_wait -= pause
            if self._may_wait >= 0:
                return pause
        raise nobody_left(list(self._latest.values()), kept)

    def has_other(self, source: Source, now: float) -> bool:
        """True when somebody who has not failed yet may be asked in place of this source."""
        return any(c.source is not source and c.not_before <= now and c.strikes == 0 for c in self._left)

    def failed(self, source: Source, trouble: SourceTrouble, gained: int, now: float) -> None:
        """Notes a failure; when `gained` bytes before it were ENOUGH, all patience is fresh."""
        self._latest.pop(source.url, None)
        self._latest[source.url] = trouble
        candidate = next((c for c in self._left if c.source is source), None)
        if candidate is None:
            return
        if gained >= ENOUGH:
            candidate.strikes, self._may_wait = 0, self.patience.waiting
        if trouble.outcome != "busy":
            candidate.strikes += 1
        if trouble.outcome in FOR_GOOD or candidate.strikes >= self.patience.attempts:
            self._left.remove(candidate)
        candidate.not_before = now + self._pause_after(trouble, candidate.strikes)

    def _pause_after(self, trouble: SourceTrouble, strikes: int) -> float:
        if trouble.outcome == "slow":
            return 0.0
        wanted = trouble.retry_after
        if wanted is None:
            wanted = self.patience.pause * 2.0 ** max(0, strikes - 1)
        return min(max(wanted, SHORTEST_PAUSE), LONGEST_PAUSE)


def nobody_left(troubles: Sequence[SourceTrouble], kept: bool) -> errors.Refusal:
    """What went wrong, when it went wrong with everybody: how each source failed at last, the latest at the end."""
    outcomes = {trouble.outcome for trouble in troubles}
    if "corrupt" in outcomes:
        detail = "What the sources sent is not this file; nothing of it was kept. Try again when others share it."
        return errors.Unacceptable("proof_failed", detail)
    rest = f" {KEPT}" if kept else ""
    if outcomes <= AWAY:
        detail = f"No source of this file answers. Try again when one is online.{rest}"
        return errors.Unavailable("no_source_online", detail)
    if outcomes <= AWAY | {"busy"}:
        detail = f"All sources of this file are busy. Try again later.{rest}"
    else:
        last = next(trouble for trouble in reversed(troubles) if trouble.outcome not in AWAY)
        why = last.detail.removesuffix(".")
        detail = f"No source gives this file as it should: the last one {why}. Try again later.{rest}"
    return errors.Unavailable("source_unavailable", detail)
