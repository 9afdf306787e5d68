"""A flash crowd in virtual time: one peer has a file, many want it at once, and every uplink is limited.

Each member runs the real rules: its course and plan, the seeding of the one who has everything, the gate's order. What
is modelled is the network: latency, news that are gathered, uplinks shared round-robin in small parts. The measure is
the fluid bound, below which no schedule can end: max(F/u_s, N·F/(u_s + Σu_i)) (Mundinger, Weber and Weiss, 2008).
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from common.content.grid import Grid
from common.content.manifest import Manifest
from common.content.pieces import all_of
from common.wire.files import Source
from peer.downloads.course import Check, Course, Publish, TakeUp
from peer.downloads.requests import Ask, Cancel, Request, Trim
from peer.downloads.standing import Patience, SourceTrouble
from peer.uploads.seeding import AT_ONCE, Seeding
from peer.uploads.swarm_routes import GATHER, LONGEST, MANY, WORTH_A_LINE

PART = 32 * 1024
DEGREE = 8  # others that each one picks; as many pick it
TICK = 0.25


@dataclass(eq=False)
class Upload:
    """One piece, or a piece of the source's choice, for `taker`."""

    taker: "Member"
    request: Request
    has: int
    piece: int
    left: int = 0
    cancelled: bool = False


@dataclass(eq=False)
class Member:
    """A peer: what it fetches, and what it gives at `rate` bytes a second."""

    name: str
    rate: float
    course: Course | None = None
    pieces: int = 0
    neighbours: set[str] = field(default_factory=set)
    waiting: list[tuple[int, int, Upload]] = field(default_factory=list)
    active: deque[Upload] = field(default_factory=deque)
    is_sending: bool = False
    news: int = 0
    is_here: bool = False
    done: float | None = None
    seeding: Seeding = field(default_factory=Seeding)


class Crowd:
    """Runs until everybody has the file."""

    def __init__(self, members: int, size: int, rate: float, latency: float, seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self.grid = Grid.of(size)
        self.latency = latency
        self.now = 0.0
        self.sent = 0
        self.manifest = Manifest(size, bytes(32) * self.grid.count)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._uploads: dict[Request, tuple[Member, Upload]] = {}
        whole = all_of(self.grid.count)
        self.seed = Member("seed", rate, pieces=whole)
        self.members = [Member(f"m{n}", rate) for n in range(members)]
        self._all = {member.name: member for member in [self.seed, *self.members]}
        for member in self.members:
            others = [other for other in self.members if other is not member]
            for other in self.chance.sample(others, min(DEGREE, len(others))):
                member.neighbours.add(other.name)
                other.neighbours.add(member.name)
        for member in self.members:
            member.course = Course(size, Patience(), random.Random(self.chance.random()))
            self.at(self.chance.uniform(0, 0.05), lambda member=member: self._join(member))  # type: ignore[misc]

    def at(self, delay: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), what))

    def run(self) -> float:
        """When the last one has everything."""
        while any(member.done is None for member in self.members):
            self.now, _, what = heapq.heappop(self._agenda)
            what()
            assert self.now < 1000, "the crowd does not come to an end"
        return max(member.done or 0.0 for member in self.members)

    def _source(self, name: str) -> Source:
        complete = name == "seed"
        return Source(name, f"http://{name}/", complete, self.manifest.digest, 50, "", 0.0, True, "")

    def _join(self, member: Member) -> None:
        course = _course(member)
        member.is_here = True
        course.manifests[self.manifest.digest] = self.manifest
        course.sources([self._source(name) for name in ("seed", *sorted(member.neighbours))], self.now)
        self._step(member)
        self._tick(member)

    def _tick(self, member: Member) -> None:
        if member.done is None:
            self._step(member)
            self.at(TICK, lambda: self._tick(member))

    def _step(self, member: Member) -> None:
        course = _course(member)
        while steps := course.step(self.now):
            for step in steps:
                match step:
                    case TakeUp():
                        course.taken_up(0)
                    case Check():
                        course.checked(True)
                        member.done = self.now
                        return
                    case Ask(request):
                        self._ask(member, request)
                    case Trim(request, last):
                        course.plan.trimmed(request, max(request.at, last))
                    case Cancel(request, why):
                        self._cancel(member, request, why)
                    case Publish():
                        pass

    def _ask(self, member: Member, request: Request) -> None:
        source = self._all[request.standing.source.peer_id]
        plan = _course(member).plan
        upload = Upload(member, request, plan.proven | plan.busy, request.first)
        self._uploads[request] = source, upload
        self.at(self.latency, lambda: self._arrive(source, upload))

    def _arrive(self, source: Member, upload: Upload) -> None:
        had = source.seeding.given("file", upload.taker.name) if upload.piece < 0 else 0
        heapq.heappush(source.waiting, (had, next(self._order), upload))
        self._admit(source)

    def _admit(self, source: Member) -> None:
        while source.waiting and len(source.active) < AT_ONCE:
            _, _, upload = heapq.heappop(source.waiting)
            if upload.cancelled:
                continue
            if upload.piece < 0:
                chosen = source.seeding.choose("file", self.grid.count, upload.has, upload.taker.name, self.now)
                if chosen is None:
                    self.at(self.latency, lambda upload=upload: self._nothing(upload))  # type: ignore[misc]
                    continue
                upload.piece = chosen
            upload.left = self.grid.span(upload.piece).length
            source.active.append(upload)
            self.at(self.latency, lambda upload=upload: self._answered(upload))  # type: ignore[misc]
        if source.active and not source.is_sending:
            source.is_sending = True
            self.at(PART / source.rate, lambda: self._send(source))

    def _send(self, source: Member) -> None:
        """One part of the upload whose turn it is."""
        source.is_sending = False
        upload = source.active.popleft()
        if not upload.cancelled:
            self.sent += min(PART, upload.left)
            upload.left -= PART
            if upload.left > 0:
                source.active.append(upload)
            else:
                self.at(self.latency, lambda: self._arrived(upload))
        self._admit(source)

    def _answered(self, upload: Upload) -> None:
        if not upload.cancelled and not _course(upload.taker).plan.answered(upload.request, self.now, upload.piece):
            self._cancel(upload.taker, upload.request, None)

    def _nothing(self, upload: Upload) -> None:
        upload.request.standing.gives_next = False
        self._end(upload.taker, upload.request, None)
        self._step(upload.taker)

    def _arrived(self, upload: Upload) -> None:
        member, course, piece = upload.taker, _course(upload.taker), upload.piece
        if upload.cancelled:
            return
        course.plan.received(upload.request, self.grid.span(piece).length)
        course.proven(upload.request, piece)
        member.pieces |= 1 << piece
        if not member.news:
            self.at(GATHER + self.latency, lambda: self._tell(member))
        member.news |= 1 << piece
        if piece >= upload.request.last:
            self._end(member, upload.request, None)
        else:
            upload.piece, upload.left = piece + 1, self.grid.span(piece + 1).length
            self._all[upload.request.standing.source.peer_id].active.append(upload)
            self._admit(self._all[upload.request.standing.source.peer_id])
        self._step(member)

    def _tell(self, member: Member, gathered: int = 1) -> None:
        is_worth_it = len(member.neighbours) < MANY or member.news.bit_count() >= WORTH_A_LINE
        if not is_worth_it and gathered < LONGEST:
            self.at(GATHER, lambda: self._tell(member, gathered + 1))
            return
        news, member.news = member.news, 0
        for name in sorted(member.neighbours):
            other = self._all[name]
            _course(other).has(f"http://{member.name}/", news)
            if other.is_here and other.done is None:
                self._step(other)

    def _cancel(self, member: Member, request: Request, why: SourceTrouble | None) -> None:
        self._uploads[request][1].cancelled = True
        self.at(self.latency, lambda: self._after_cancel(member, request, why))

    def _after_cancel(self, member: Member, request: Request, why: SourceTrouble | None) -> None:
        if request in self._uploads:
            self._end(member, request, why)
            self._step(member)

    def _end(self, member: Member, request: Request, why: SourceTrouble | None) -> None:
        if self._uploads.pop(request, None) is not None:
            _course(member).plan.ended(request, why, self.now)


def _course(member: Member) -> Course:
    assert member.course is not None
    return member.course


def fluid_bound(members: int, size: int, rate: float) -> float:
    """Seconds below which no schedule can end."""
    return max(size / rate, members * size / (rate + members * rate))
