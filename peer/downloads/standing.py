"""How one source of a transfer stands: what it has, how fast it gives, what is held against it. Values and `now` in.

Who fails stands back, for longer each time. A source that misbehaves is dropped, one that is merely away gets a few
attempts, one that is busy is asked when it said, in bounds, and one that is slow is asked when there is nobody better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common import errors
from common.wire.files import Source

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds
ENOUGH = 1 << 20  # bytes that make up for earlier failures
MOST_BAD = 2  # pieces that are not what the source's own manifest says, after which it is dropped
FOR_GOOD = frozenset({"refused", "corrupt"})
AWAY = frozenset({"unreachable", "timeout"})
KEPT = "What came so far is kept: the same command goes on from there."
SMOOTH = 0.3  # the weight of the newest rate


@dataclass(frozen=True, slots=True)
class Patience:
    """What a transfer bears with: seconds until a `head` comes, of `silence`, of `waiting` while nothing is gained; a
    request that is `slower` times slower than another source after `crawl` seconds is taken away; failed `attempts` of
    a source, with a `pause` after the first that doubles each time. `news`: seconds between Progresses.
    """

    head: float = 15.0
    silence: float = 15.0
    crawl: float = 2.0
    slower: float = 16.0
    attempts: int = 3
    pause: float = 1.0
    waiting: float = 120.0
    news: float = 0.2


class SourceTrouble(Exception):
    """Why a request to a source ended: unreachable, timeout, broken, slow, busy, refused, corrupt.

    `retry_after` in seconds; `place`: in the source's line, 0 when it told none.
    """

    def __init__(self, outcome: str, detail: str, retry_after: float | None = None, place: int = 0) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.retry_after = retry_after
        self.place = place


@dataclass(slots=True, eq=False)
class Standing:
    """One source. `have`: the pieces it has; `rate`: bytes a second of one request; `run`: bytes of its next one.

    `gives_next`: it may be asked for a piece of its own choice. `requests`: how many it has now.
    """

    source: Source
    patience: Patience
    have: int = 0
    rate: float = 0.0
    run: int = 0
    gives_next: bool = True
    requests: int = 0
    strikes: int = 0
    struck: float = float("-inf")
    bad: int = 0
    not_before: float = 0.0
    dropped: bool = False
    latest: SourceTrouble | None = None
    received: int = 0
    verified: int = 0
    busy_seconds: float = field(default=0.0)

    @property
    def complete(self) -> bool:
        return self.source.complete

    @property
    def worst(self) -> str:
        """What is held against it at last; empty when nothing is."""
        if self.bad:
            return "corrupt"
        return self.latest.outcome if self.latest is not None else ""

    def may_be_asked(self, now: float) -> bool:
        """Not dropped, and its pause is over."""
        return not self.dropped and self.not_before <= now

    def gained(self, count: int, seconds: float) -> None:
        """A request brought `count` bytes in `seconds`."""
        self.busy_seconds += seconds
        if seconds > 0 and count:
            rate = count / seconds
            self.rate = rate if not self.rate else self.rate + SMOOTH * (rate - self.rate)

    def succeeded(self) -> None:
        """It did as it was asked: all patience is fresh, unless it was dropped meanwhile."""
        if not self.dropped:
            self.strikes = 0
            self.latest = None

    def failed(self, trouble: SourceTrouble, gained: int, now: float, asked: float = float("inf")) -> None:
        """A request ended in trouble after `gained` bytes; when these were ENOUGH, all patience is fresh.

        Requests that were under way together, `asked` before the last failure, fail together: that counts once.
        """
        if not self.dropped:
            self.latest = trouble  # what it was dropped for is remembered
        if gained >= ENOUGH:
            self.strikes = 0
        if trouble.outcome not in ("busy", "slow") and asked >= self.struck:
            self.strikes, self.struck = self.strikes + 1, now
        if trouble.outcome == "corrupt":
            self.bad += 1
        for_good = trouble.outcome == "refused" or self.bad >= MOST_BAD or self.strikes >= self.patience.attempts
        self.dropped = self.dropped or for_good
        self.not_before = max(self.not_before, now + self._pause(trouble))

    def _pause(self, trouble: SourceTrouble) -> float:
        if trouble.outcome == "corrupt":
            return 0.0
        wanted = trouble.retry_after
        if wanted is None:
            wanted = self.patience.pause * 2.0 ** max(0, self.strikes - 1)
        if trouble.outcome == "slow":
            wanted = LONGEST_PAUSE
        return min(max(wanted, SHORTEST_PAUSE), LONGEST_PAUSE)

    def forgive(self, now: float) -> None:
        """It is said to be there again: what was only absence is forgotten."""
        if self.dropped and self.latest is not None and self.latest.outcome not in FOR_GOOD:
            self.dropped, self.strikes, self.not_before = False, 0, max(self.not_before, now)


def nobody_left(troubles: Sequence[SourceTrouble], kept: bool) -> errors.Refusal:
    """What went wrong, when it went wrong with everybody: how each source failed at last, the latest at the end."""
    outcomes = {trouble.outcome for trouble in troubles}
    rest = f" {KEPT}" if kept else ""
    if "corrupt" in outcomes and outcomes <= FOR_GOOD:
        gone = KEPT if kept else "Nothing of it was kept."
        return errors.Unacceptable(
            "proof_failed", f"What the sources sent is not this file. {gone} Try again when others share it."
        )
    outcomes -= {"corrupt"}  # those who may come back decide
    if outcomes <= AWAY:
        detail = f"No source of this file answers. Try again when one is online.{rest}"
        return errors.Unavailable("no_source_online", detail)
    if outcomes <= AWAY | {"busy", "slow"}:
        detail = f"All sources of this file are busy. Try again later.{rest}"
    else:
        last = next(trouble for trouble in reversed(troubles) if trouble.outcome not in AWAY)
        why = last.detail.removesuffix(".")
        detail = f"No source gives this file as it should: the last one {why}. Try again later.{rest}"
    return errors.Unavailable("source_unavailable", detail)
