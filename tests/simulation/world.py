"""A world of sources in virtual time, around the real rules of a transfer: no socket, no disk, no clock.

Sources are slow, stall, vanish and come back, lie, flip bits, are busy, have a part of the file that grows; they come
and go while the transfer runs. After every step the invariants at the head of `plan.py` are asserted.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from common.content.grid import SMALLEST_PIECE, Grid
from common.content.manifest import Manifest
from common.content.pieces import all_of, members
from common.wire.files import Source
from peer.downloads.course import Check, Course, Fail, Learn, Publish, Step, TakeUp
from peer.downloads.requests import Ask, Cancel, Request, Trim
from peer.downloads.standing import Patience, SourceTrouble

TICK = 0.5  # and longer the longer it lasts
REFRESH = 5.0
TRUE, FALSE = 1, 2
"""Two versions of a piece: the file's, and another."""


def manifest(values: list[int], size: int) -> Manifest:
    """The manifest of pieces with these values."""
    return Manifest(size, b"".join(bytes([value]) * 32 for value in values))


@dataclass
class SimSource:
    """A source: `values` are the pieces under its manifest, `rate` bytes a second in all. Where `flips`, that share of
    the pieces it sends is damaged. It is there from `since` to `until` and again from `again` on. `stalls_after` bytes
    it sends nothing more on a connection. `busy`: the share of requests that it refuses."""

    name: str
    values: list[int]
    rate: float
    has_manifest: bool = True
    complete: bool = True
    has: int = 0
    flips: float = 0.0
    since: float = 0.0
    until: float = float("inf")
    again: float = float("inf")
    stalls_after: float = float("inf")
    busy: float = 0.0
    latency: float = 0.01
    announces: bool = True
    active: int = 0

    def is_up(self, now: float) -> bool:
        return self.since <= now < self.until or now >= self.again

    @property
    def is_honest(self) -> bool:
        return set(self.values) <= {TRUE} and not self.flips

    @property
    def is_lasting(self) -> bool:
        """Whoever asks it long enough gets the whole file from it."""
        lasts = self.until == self.again == float("inf") or self.again < float("inf")
        return self.is_honest and self.complete and lasts and self.stalls_after == float("inf") and self.busy < 1

    def wire(self, size: int) -> Source:
        digest = manifest(self.values, size).digest if self.has_manifest and self.announces else None
        return Source(self.name, f"http://{self.name}/", self.complete, digest, 50, "", 0.0, True, "")


@dataclass(eq=False)
class Lane:
    """A request under way in the world: what the thread of a real one does."""

    request: Request
    source: SimSource
    piece: int = -1
    began: float = 0.0
    piece_began: float = 0.0
    piece_ends: float = float("inf")
    whole: int = 0
    over: bool = False


@dataclass
class World:
    """Runs one transfer to its end."""

    seed: int
    size: int
    sources: list[SimSource]
    patience: Patience = field(default_factory=Patience)
    sequential: bool = False
    now: float = 0.0
    disk: dict[int, int] = field(default_factory=dict)
    outcome: Publish | Fail | None = None
    sent: dict[str, int] = field(default_factory=dict)
    corrupted: dict[str, int] = field(default_factory=dict)
    wrote: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.grid = Grid.of(self.size)
        self.course = Course(self.size, self.patience, self.chance, self.sequential)
        self.lanes: dict[Request, Lane] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._by_url = {f"http://{source.name}/": source for source in self.sources}
        self._never_sent = {source.name: all_of(self.grid.count) for source in self.sources}

    def at(self, delay: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), what))

    def run(self, deadline: float = 100_000.0) -> None:
        self._refresh()
        self._tick()
        self._carry_out()
        while self._agenda and self.outcome is None:
            self.now, _, what = heapq.heappop(self._agenda)
            assert self.now < deadline, "the transfer does not come to an end"
            what()
            self._carry_out()

    def _refresh(self) -> None:
        self.course.sources([s.wire(self.size) for s in self.sources if s.is_up(self.now)], self.now)
        for source in self.sources:
            if not source.complete and source.is_up(self.now):
                self.course.has(f"http://{source.name}/", source.has)
        self.at(max(REFRESH, self.now / 100), self._refresh)

    def _tick(self) -> None:
        for lane in self.lanes.values():
            if lane.piece >= 0 and not lane.over:
                span = self.grid.span(lane.piece).length
                share = min(1.0, (self.now - lane.piece_began) / max(lane.piece_ends - lane.piece_began, 1e-9))
                self.course.plan.received(lane.request, lane.whole + int(span * share))
        self.at(max(TICK, self.now / 100), self._tick)

    def _carry_out(self) -> None:
        while steps := self.course.step(self.now):
            for step in steps:
                self._do(step)
        self.check()

    def _do(self, step: Step) -> None:
        match step:
            case Learn(source):
                self.at(0.02, lambda: self._learn(source))
            case TakeUp(manifest, afresh):
                self._take_up(manifest, afresh)
            case Check():
                self.at(0.1, self._check)
            case Publish() | Fail():
                self.outcome = step
            case Ask(request):
                self._ask(request)
            case Trim(request, last):
                self.course.plan.trimmed(request, max(self.lanes[request].piece, request.at, last))
            case Cancel(request, why):
                lane = self.lanes[request]
                self.at(self.chance.uniform(0, 0.05), lambda: self._end(lane, why))

    # What is asked of the world

    def _learn(self, source: Source) -> None:
        there = self._by_url[source.url]
        if not there.is_up(self.now):
            self.course.not_learned(source.url, SourceTrouble("unreachable", "is away"), self.now)
        elif not there.has_manifest:
            self.course.not_learned(source.url, SourceTrouble("refused", "has no manifest"), self.now)
        else:
            self.course.learned(source.url, manifest(there.values, self.size))

    def _take_up(self, claimed: Manifest | None, afresh: str) -> None:
        if afresh:
            self.disk.clear()
        if claimed is None:
            count = next(piece for piece in itertools.count() if piece not in self.disk)
            self.course.taken_up(all_of(count))
            return
        fits = [piece for piece, value in self.disk.items() if bytes([value]) * 32 == claimed.piece_hash(piece)]
        self.course.taken_up(sum(1 << piece for piece in fits))

    def _check(self) -> None:
        assert len(self.disk) == self.grid.count
        step = self.course.checked(all(value == TRUE for value in self.disk.values()))
        if step is not None:
            self._do(step)

    def _ask(self, request: Request) -> None:
        source = self._by_url[request.standing.source.url]
        lane = self.lanes[request] = Lane(request, source)
        source.active += 1
        self.at(source.latency, lambda: self._answer(lane))

    def _answer(self, lane: Lane) -> None:
        if lane.over:
            return
        source = lane.source
        if not source.is_up(self.now):
            self._end(lane, SourceTrouble("unreachable", "is away"))
        elif self.chance.random() < source.busy:
            self._end(lane, SourceTrouble("busy", "has no slot", 1.0))
        elif lane.request.is_open:
            self._choose(lane)
        else:
            assert self.course.plan.answered(lane.request, self.now)
            lane.began = self.now
            self._send(lane, lane.request.first)

    def _choose(self, lane: Lane) -> None:
        never = self._never_sent[lane.source.name]
        if not never:
            lane.request.standing.gives_next = False
            self._end(lane, None)
            return
        piece = self.chance.choice(list(members(never)))
        self._never_sent[lane.source.name] &= ~(1 << piece)
        if self.course.plan.answered(lane.request, self.now, piece):
            lane.began = self.now
            self._send(lane, piece)
        else:
            self._end(lane, None)

    def _send(self, lane: Lane, piece: int) -> None:
        source, length = lane.source, self.grid.span(piece).length
        writers = [other for other in self.lanes.values() if other.piece == piece and not other.over]
        assert not writers, f"two requests write piece {piece}"
        assert piece not in self.disk or not self.course.plan.proven >> piece & 1, "a proven piece is written again"
        lane.piece, lane.piece_began = piece, self.now
        if lane.whole + length > source.stalls_after:
            self.at(self.patience.silence, lambda: self._end(lane, SourceTrouble("timeout", "sent nothing")))
            lane.piece_ends = float("inf")
            return
        seconds = length * max(1, source.active) / source.rate
        lane.piece_ends = self.now + seconds
        self.at(seconds, lambda: self._arrived(lane))

    def _arrived(self, lane: Lane) -> None:
        if lane.over:
            return
        source, piece = lane.source, lane.piece
        if not source.is_up(self.now):
            self._end(lane, SourceTrouble("broken", "broke off"))
            return
        lane.whole += self.grid.span(piece).length
        self.wrote += self.grid.span(piece).length
        self.course.plan.received(lane.request, lane.whole)
        value = 3 if self.chance.random() < source.flips else source.values[piece]
        claimed = self.course.manifests.get(self.course.claim or "")
        if claimed is not None and claimed.piece_hash(piece) != bytes([value]) * 32:
            self.corrupted[source.name] = self.corrupted.get(source.name, 0) + 1
            self._end(lane, SourceTrouble("corrupt", "sent a wrong piece"))
            return
        self.disk[piece] = value
        lane.piece = -1
        self.course.proven(lane.request, piece)
        if piece >= lane.request.last:
            self._end(lane, None)
        elif not lane.request.ending:
            self._send(lane, piece + 1)

    def _end(self, lane: Lane, trouble: SourceTrouble | None) -> None:
        if lane.over:
            return
        lane.over, lane.piece = True, -1
        lane.source.active -= 1
        del self.lanes[lane.request]
        self.course.plan.ended(lane.request, trouble, self.now)

    # What must hold

    def check(self) -> None:
        """The invariants at the head of plan.py."""
        plan = self.course.plan
        if self.course.phase != "gathering":
            return
        held = 0
        for request in plan.requests:
            pieces = request.pieces()
            assert not held & pieces, "a piece is asked for twice"
            assert not plan.proven & pieces, "a proven piece is asked for"
            assert not pieces & ~request.standing.have, "a source is asked for what it has not"
            assert request.ending or not request.standing.dropped, "one that was dropped goes on"
            held |= pieces
        assert plan.busy == held, "what is busy is not what is asked for"
        for standing in plan.standings.values():
            assert standing.requests == sum(request.standing is standing for request in plan.requests)
            if plan.room(standing, self.now) > 0 and not plan.is_done:
                assert not plan.free & standing.have, "a source with room is not asked"


def truth(size: int) -> list[int]:
    return [TRUE] * Grid.of(size).count


def megabytes(count: float) -> int:
    return int(count * 4) * SMALLEST_PIECE
