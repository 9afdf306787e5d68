"""The course of one transfer, from its sources to the proven file. Pure: events and `now` in, orders out.

It follows one claim at a time: learns its manifest, takes up what lies on the disk under it, gathers the missing pieces
and has the whole checked. A claim that leads to a wrong whole is refuted, and the next one is followed with whatever
pieces fit it too. It ends with Publish, or with Fail and the reason in words.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from common import errors
from common.content.grid import Grid
from common.content.manifest import Manifest
from common.wire.files import Source
from peer.downloads.claims import ALONE, Claims, is_alone
from peer.downloads.plan import Plan
from peer.downloads.requests import Order, Request
from peer.downloads.standing import Patience, SourceTrouble, Standing, nobody_left

STUCK = 5.0  # seconds without anybody who has what is missing, after which another claim is followed
EARLIER_RUN = "an earlier run"
MOST_REFUSED = 1000
NO_SUCH_FILE = "This is not the id of an empty file, which it is said to be."


@dataclass(frozen=True, slots=True)
class Learn:
    """Ask this source for its manifest; then say `learned` or `not_learned`."""

    source: Source


@dataclass(frozen=True, slots=True)
class TakeUp:
    """Find out which pieces on the disk this manifest proves (without one: how many lie there from the front); then
    say `taken_up`. With a reason to start `afresh`, what lies there is thrown away first."""

    manifest: Manifest | None
    afresh: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """All pieces are there: hash the whole; then say `checked`."""


@dataclass(frozen=True, slots=True)
class Publish:
    """The file is proven: give it its name."""


@dataclass(frozen=True, slots=True)
class Fail:
    """It cannot be had now."""

    refusal: errors.Refusal


Step = Order | Learn | TakeUp | Check | Publish | Fail


@dataclass(slots=True)
class Course:
    """One transfer. `phase`: choosing, taking up, gathering, checking, over."""

    size: int
    patience: Patience
    chance: random.Random
    sequential: bool = False
    phase: str = "choosing"
    claim: str | None = None
    manifests: dict[str, Manifest] = field(default_factory=dict)
    givers: set[str] = field(default_factory=set)
    blamed: list[tuple[Source, SourceTrouble]] = field(default_factory=list)
    claims: Claims = field(init=False)
    plan: Plan = field(init=False)
    _grid: Grid = field(init=False)
    _haves: dict[str, int] = field(init=False, default_factory=dict)
    _known: dict[str, Standing] = field(init=False, default_factory=dict)
    _pending: list[Step] = field(init=False, default_factory=list)
    _idle_since: float | None = field(init=False, default=None)
    _gathered: int = field(init=False, default=0)
    _afresh: str = field(init=False, default="")
    _followed_since: float = field(init=False, default=0.0)
    _aside: frozenset[str] = field(init=False, default=frozenset())
    _refused: dict[str, SourceTrouble] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._grid = Grid.of(self.size)
        self.claims = Claims(has_one_piece=self._grid.count <= 1)
        self.plan = self._new_plan(0)

    # What happens

    def sources(self, found: Sequence[Source], now: float) -> None:
        """These are said to be online now: new ones are used, those that were only away get another chance."""
        for source in found:
            claimant = self.claims.tell(source)
            if claimant.failed and source.url not in self.claims.blamed:
                claimant.failed = 0
            if source.url in self._known:
                self._known[source.url].forgive(now)
        self._enlist()

    def refused(self, source: Source, trouble: SourceTrouble) -> bool:
        """This source is not used at all; whether that is new."""
        is_new = source.url not in self._refused
        if is_new and len(self._refused) < MOST_REFUSED:
            self._refused[source.url] = trouble
        return is_new

    def has(self, url: str, pieces: int) -> None:
        """A source that has a part of the file has these pieces of it."""
        self._haves[url] = self._haves.get(url, 0) | pieces
        self.plan.news(url, pieces)

    def learned(self, url: str, manifest: Manifest) -> None:
        """What a source claims."""
        self.manifests.setdefault(manifest.digest, manifest)
        self.claims.learned(url, manifest.digest)
        self._enlist()

    def not_learned(self, url: str, trouble: SourceTrouble, now: float) -> None:
        """A source did not tell its manifest."""
        self.claims.not_learned(url, trouble, now)

    def taken_up(self, proven: int) -> None:
        """These pieces lie on the disk."""
        self.plan = self._new_plan(proven)
        self._enlist()
        self.phase = "gathering"
        if proven and not self.givers:
            self.givers.add(EARLIER_RUN)

    def proven(self, request: Request, piece: int) -> None:
        """A piece has come."""
        self.plan.prove(request, piece)
        self.givers.add(request.standing.source.url)

    def checked(self, is_right: bool) -> Step | None:
        """Whether the whole is the file."""
        if is_right:
            self.phase = "over"
            return Publish()
        return self._refute()

    @property
    def is_proven_in_part(self) -> bool:
        """There are pieces of which nothing says that they are not the file's."""
        return self.claim is not None and self.plan.proven != 0

    def standings(self) -> list[Standing]:
        """Every source that was asked for pieces, under whatever claim."""
        return list(self._known.values())

    # What is to be done

    def step(self, now: float) -> list[Step]:
        """What is to be done now; each order counts as carried out."""
        steps: list[Step] = [*self._pending, *(Learn(source) for source in self.claims.to_ask(now))]
        self._pending = []
        if self.phase == "choosing":
            steps += self._choose(now)
        elif self.phase == "gathering":
            steps += self._gather(now)
        return steps

    def waits(self, now: float) -> float | None:
        """Seconds until somebody may be asked again, when nobody may be now; None while something goes on."""
        if self.phase not in ("choosing", "gathering") or self.plan.requests:
            return None
        pauses = [s.not_before - now for s in self.plan.standings.values() if not s.dropped]
        pauses += [c.not_before - now for c in self.claims.claimants.values() if c.claim is None and not c.asking]
        return max(0.0, min(pauses, default=0.0)) if pauses and min(pauses) > 0 else None

    def _choose(self, now: float) -> Iterator[Step]:
        if not self._grid.count:
            # Nothing is to be fetched of an empty file: its hash alone tells whether it is one.
            self.phase = "checking"
            yield Check()
            return
        claim = self.claims.best(self._aside) or self.claims.best(self._gone())
        if claim is None or (is_alone(claim) and self._grid.count > 1 and self.claims.may_learn()):
            yield from self._wait(now)
            return
        if not is_alone(claim) and claim not in self.manifests:
            yield from self._learn(claim, now)
            return
        self._aside = frozenset()
        self.claim, self.phase, self._followed_since = claim, "taking up", now
        # What was fetched under a false claim may still fit another manifest; without one nothing tells.
        afresh = self._afresh if is_alone(claim) else ""
        if afresh:
            self.givers, self._afresh = set(), ""
        yield TakeUp(self.manifests.get(claim), afresh)

    def _learn(self, claim: str, now: float) -> Iterator[Step]:
        """Asks whoever announced this claim for its manifest, one after another."""
        claimants = [self.claims.claimants[source.url] for source in self.claims.under(claim)]
        if any(claimant.asking for claimant in claimants):
            return
        ready = [claimant for claimant in claimants if claimant.not_before <= now]
        if ready:
            first = min(ready, key=lambda claimant: (claimant.failed, not claimant.source.complete))
            first.asking = True
            yield Learn(first.source)
        else:
            yield from self._wait(now)

    def _gather(self, now: float) -> Iterator[Step]:
        if self.plan.is_done:
            yield from self.plan.step(now)
            if not self.plan.requests:
                self.phase = "checking"
                yield Check()
            return
        yield from self.plan.step(now)
        if now - self._note_idle(now) < self.patience.waiting and self.plan.requests:
            return
        useless = self._gone() | self.plan.standings.keys()
        if self._is_lost(now) and self.claims.best(useless) is not None:
            # What is under way was asked under this claim, and is to be judged by no other.
            yield from (self.plan.cancel(request) for request in self.plan.requests if not request.ending)
            if not self.plan.requests:
                self._aside, self.phase = useless, "choosing"
        else:
            yield from self._wait(now)

    def _wait(self, now: float) -> Iterator[Step]:
        """Nobody can be asked just now: fails when nobody will be, or when that has lasted too long."""
        idle_since = self._note_idle(now)
        left = [s for s in self.plan.standings.values() if not s.dropped] if self.phase == "gathering" else []
        waits = bool(left) or self.claims.may_learn() or any(c.asking for c in self.claims.claimants.values())
        if waits and now - idle_since < self.patience.waiting:
            return
        self.phase = "over"
        yield Fail(nobody_left(self._troubles(), kept=self.is_proven_in_part))

    def _note_idle(self, now: float) -> float:
        """Since when nothing has come."""
        gathered = sum(standing.received for standing in self._known.values())
        if self._idle_since is None or gathered != self._gathered:
            self._idle_since, self._gathered = now, gathered
        return self._idle_since

    def _troubles(self) -> list[SourceTrouble]:
        found = [s.latest for s in self.plan.standings.values() if s.latest is not None]
        return [*self._refused.values(), *found, *self.claims.troubles(), *(trouble for _, trouble in self.blamed)]

    def _is_lost(self, now: float) -> bool:
        """Nobody is left under the present claim, or nobody who has what is missing. A source that stands alone keeps
        nobody else from being asked while it is busy."""
        left = [standing for standing in self.plan.standings.values() if not standing.dropped]
        can_give = [standing for standing in left if not self.plan.alone or standing.may_be_asked(now)]
        hopeless = not any(standing.have & self.plan.free for standing in can_give)
        return not left or (hopeless and now - max(self._note_idle(now), self._followed_since) >= STUCK)

    def _gone(self) -> frozenset[str]:
        return frozenset(url for url, standing in self._known.items() if standing.dropped)

    def _new_plan(self, proven: int) -> Plan:
        alone_now = self.claim is not None and is_alone(self.claim)
        return Plan(self._grid, self.patience, self.chance, self.sequential, alone_now, proven)

    def _enlist(self) -> None:
        """Who makes the present claim is in the plan, with how it stood before; nobody else is."""
        followed = {} if self.claim is None else {source.url: source for source in self.claims.under(self.claim)}
        for url in self.plan.standings.keys() - followed.keys():
            self._pending += self.plan.remove(url)
        for url, source in followed.items():
            have = None if source.complete else self._haves.get(url, 0)
            self._known[url] = self.plan.add(source, have, self._known.get(url))

    def _refute(self) -> Step | None:
        """The whole is not the file. Where one source alone can have caused it, it is left; else the claim is false."""
        if not self._grid.count:
            self.phase = "over"
            return Fail(errors.Unacceptable("proof_failed", NO_SUCH_FILE))
        assert self.claim is not None
        giver = self.claim.removeprefix(ALONE)
        if is_alone(self.claim) and self.givers - {giver}:
            self.givers, self.phase = set(), "taking up"
            return TakeUp(None, afresh="each source is tried alone now")
        trouble = SourceTrouble("corrupt", "sent bytes that are not the file's")
        self.blamed += [(source, trouble) for source in self.claims.refute(self.claim)]
        self._pending += [order for url in list(self.plan.standings) for order in self.plan.remove(url)]
        self._afresh = "the bytes are not the file's"
        self.claim, self.phase = None, "choosing"
        return None
