"""One transfer under way: carries out what its course orders, and tells the course what happens.

Guarantees: the file appears under its name only when its hash is its id; whatever ends the transfer, no thread and no
connection is left, and the pieces that were proven stay on the disk for the next time.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from common import errors
from common.content.grid import Grid, Span
from common.content.manifest import Manifest
from common.content.pieces import prefix, to_text
from common.http.outgoing import Outgoing
from common.runtime.tasks import to_the_end
from common.wire.files import Source
from peer.downloads import events
from peer.downloads.course import Check, Course, Fail, Learn, Publish, Step, TakeUp
from peer.downloads.errands import Begun, DiskFailed, Ended, News, Proven
from peer.downloads.lanes import Lanes
from peer.downloads.learning import ask_manifest, check_url
from peer.downloads.others import Crowd
from peer.downloads.part_file import PartFile, Wanted
from peer.downloads.proof import Proof
from peer.downloads.rate import Meter
from peer.downloads.requests import Ask, Cancel, Request, Trim
from peer.downloads.standing import SourceTrouble
from peer.downloads.taking_up import pieces_there
from peer.downloads.terms import Terms

GATHER = 0.002  # seconds
GATHER_NEWS = 0.015  # the same in a crowd, of which something is heard all the time
LOOK = 0.02
TICK = 0.1  # seconds between two looks at what goes on
# What is received faster than it is hashed only takes the processor from the hash, and the whole is ready no sooner.
AHEAD = 64 << 20  # bytes
LOOK_AGAIN = 30.0  # seconds after which the sources are asked for anew
LOOK_AGAIN_SOON = 5.0  # the same while nothing goes on

Find = Callable[[], Awaitable[Sequence[Source]]]
Tell = Callable[[events.Event], None]


class Transfer:
    """Fetches `wanted` from the sources that `find` finds. To be run once."""

    def __init__(
        self,
        wanted: Wanted,
        outgoing: Outgoing,
        find: Find,
        tell: Tell,
        terms: Terms | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        self.wanted = wanted
        self.terms = terms or Terms()
        self.course = Course(wanted.size, self.terms.patience, random.Random(), self.terms.sequential)
        self.grid = Grid.of(wanted.size)
        self.part: PartFile
        self._outgoing = outgoing
        self._find = find
        self._tell = tell
        self._crowd = crowd or Crowd()
        self._clock = asyncio.get_running_loop().time
        self._happened: deque[News] = deque()
        self._wake = asyncio.Event()
        self._nudged = self._is_eager = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._meter = Meter(self._clock())
        self._counted = 0
        self._told_at = float("-inf")
        self._looked_at = float("inf")
        self._waiting = False
        self._path: str | None = None
        self._lanes: Lanes
        self._proof: Proof

    def now(self) -> float:
        """The time by which its plan counts."""
        return self._clock()

    @property
    def verified(self) -> int:
        """Bytes of the pieces that are proven."""
        proven, last = self.course.plan.proven, self.grid.count - 1
        has_last = last >= 0 and proven >> last & 1
        rest = self.grid.span(last).length if has_last else 0
        return (proven.bit_count() - bool(has_last)) * self.grid.piece_size + rest

    @property
    def received(self) -> int:
        """Those, and the bytes of pieces on their way."""
        return min(self.wanted.size, self.verified + sum(map(self._on_the_way, self.course.plan.requests)))

    @property
    def is_published(self) -> bool:
        """The file lies under its name."""
        return self._path is not None

    @property
    def rate(self) -> float:
        """Bytes a second that come."""
        return self._meter.rate(self._clock())

    @property
    def eta(self) -> float | None:
        """Seconds until all is there; None while nothing comes."""
        return self._meter.eta(self.wanted.size - self.received, self._clock())

    async def run(self) -> str:
        """Until the file lies under its name, whose path is returned. Raises Refusal."""
        opening = asyncio.ensure_future(asyncio.to_thread(PartFile, self.wanted))
        try:
            self.part = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await to_the_end(_let_go(opening))
            raise
        try:
            return await self._run_with_part()
        finally:
            await to_the_end(asyncio.to_thread(self.part.close))

    async def _run_with_part(self) -> str:
        loop = asyncio.get_running_loop()
        policy, terms = self._outgoing.policy, self.terms

        def tell(news: News) -> None:
            self._happened.append(news)
            # Alone with whole sources, that a piece is proven can wait for the next look; a crowd waits for the news.
            if not self._nudged and (self._is_eager or not isinstance(news, Proven)):
                self._nudged = True
                loop.call_soon_threadsafe(self._wake.set)

        self._proof = Proof(self.part.read_into, terms.algorithm)
        self._lanes = Lanes(
            self.part,
            self.wanted.id,
            self.grid,
            policy,
            terms.patience,
            tell,
            terms.bandwidth,
            terms.headers,
            self._has,
            lambda: self._proof.backlog > AHEAD,
        )
        try:
            if not await self._was_whole():
                await self._look()
                await self._work()
        finally:
            # The threads write into the part: it is not closed before they are gone, however often this is stopped.
            await to_the_end(self._end())
        assert self._path is not None
        return self._path

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        try:
            await self._crowd.end()
        finally:
            await asyncio.to_thread(self._lanes.close)
            await asyncio.to_thread(self._proof.close)

    def hear(self, sources: Sequence[Source]) -> None:
        """These have the file, or fetch it too."""
        self.course.sources([source for source in sources if self._leads_there(source)], self._clock())
        self._wake.set()

    def has(self, url: str, pieces: int) -> None:
        """A source that fetches the file too has these pieces of it."""
        self.course.has(url, pieces)
        self._wake.set()

    # The turn: what happened, what is to be done

    async def _work(self) -> None:
        while self._path is None:
            self._hear()
            now = self._clock()
            while steps := self.course.step(now):
                for step in steps:
                    await self._do(step)
                self._hear()
            self._tell_state(now)
            self._look_again(now)
            self._is_eager = self.course.plan.is_crowd
            if self._path is None:
                await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK if self.course.plan.requests else TICK):
                await self._wake.wait()
        if self.course.plan.requests:
            # What happens at almost the same time is looked at together: each look costs more than any one of them.
            await asyncio.sleep(GATHER_NEWS if self._is_eager else GATHER)

    def _hear(self) -> None:
        self._nudged = False
        self._wake.clear()
        plan = self.course.plan
        while self._happened:
            self._take_in(self._happened.popleft())
        for request in plan.requests:
            plan.received(request, self._lanes.received(request))
        self._proof.advance(self.grid.run(0, prefix(plan.proven) - 1).stop)

    def _take_in(self, news: News) -> None:
        match news:
            case Begun(request, piece):
                plan = self.course.plan
                if request in plan.requests and plan.answered(request, self._clock(), piece):
                    self._lanes.grant(request)
                else:
                    self._lanes.cancel(request, None)
            case Proven(request, piece) if request in self.course.plan.requests:
                self.course.proven(request, piece)
                self._crowd.proven(piece)
            case Ended(request, trouble):
                self._ended(request, trouble)
            case DiskFailed(_, refusal):
                raise refusal

    def _ended(self, request: Request, trouble: SourceTrouble | None) -> None:
        plan = self.course.plan
        if request in plan.requests:
            plan.received(request, self._lanes.received(request))
            plan.ended(request, trouble, self._clock())
        self._lanes.forget(request)
        if trouble is not None:
            self._tell(events.SourceFailed(request.standing.source.peer_id, trouble.outcome, trouble.detail))

    async def _do(self, step: Step) -> None:
        match step:
            case Ask(request):
                self._lanes.ask(request, request.standing.source.url)
            case Trim(request, last):
                self.course.plan.trimmed(request, self._lanes.trim(request, last))
            case Cancel(request, why):
                self._lanes.cancel(request, why)
            case Learn(source):
                self._spawn(self._learn(source))
            case TakeUp(manifest, afresh):
                await self._take_up(manifest, afresh)
            case Check():
                await self._check()
            case Publish():
                self._tell(events.Verified(self.wanted.id))
                self._path = await asyncio.to_thread(self.part.publish)
            case Fail(refusal):
                if refusal.code == "proof_failed" and not self.course.is_proven_in_part:
                    await asyncio.to_thread(self.part.restart)
                raise refusal

    async def _take_up(self, manifest: Manifest | None, afresh: str) -> None:
        await self._proof.restart()
        if manifest is None:
            await self._crowd.end()  # nothing proves pieces any more, so none may be offered
        if afresh:
            await asyncio.to_thread(self.part.restart)
            self._tell(events.StartedOver(afresh))
        there = await asyncio.to_thread(pieces_there, self.part, self.grid, manifest)
        self._lanes.manifest = manifest
        self.course.taken_up(there)
        self._counted = self.received
        if there:
            self._tell(events.Resumed(self.verified))
        if manifest is not None:
            await self._crowd.begin(self, manifest)

    async def _was_whole(self) -> bool:
        """Whether an earlier run brought everything, and was ended before it was published: nobody need be asked."""
        if not self.wanted.size or self.part.extents() != [Span(0, self.wanted.size)]:
            return False
        self._proof.advance(self.wanted.size)
        await self._hash_whole()
        if self._proof.file_id() != self.wanted.id:
            return False
        await self._do(Publish())
        return True

    async def _check(self) -> None:
        """Whether the whole is the file."""
        self._tell_progress(self._clock())
        await self._hash_whole()
        blamed = len(self.course.blamed)
        step = self.course.checked(self._proof.file_id() == self.wanted.id)
        for source, trouble in self.course.blamed[blamed:]:
            self._tell(events.SourceFailed(source.peer_id, trouble.outcome, trouble.detail))
        if step is not None:
            await self._do(step)

    async def _hash_whole(self) -> None:
        """Hashes what is not hashed yet, and makes all of it durable meanwhile."""
        flushed = asyncio.ensure_future(asyncio.to_thread(self.part.flush))
        try:
            while not await self._proof.caught_up(self.terms.patience.news):
                self._tell(events.Verifying(self._proof.hashed, self.wanted.size))
        except (EOFError, OSError) as error:
            raise errors.Invalid("invalid_path", f"{self.part.path} cannot be read back: {error}.") from error
        finally:
            await flushed

    # Sources

    async def _look(self) -> None:
        """Asks who has the file. Raises Refusal."""
        self.hear(await self._find())
        self._looked_at = self._clock()

    async def _look_anew(self) -> None:
        """The same while it goes on: it goes on without an answer too."""
        with contextlib.suppress(errors.Refusal):
            await self._look()
        self._looked_at = self._clock()

    def _leads_there(self, source: Source) -> bool:
        try:
            check_url(source, self.wanted.id)
        except SourceTrouble as trouble:
            if self.course.refused(source, trouble):
                self._tell(events.SourceFailed(source.peer_id, trouble.outcome, trouble.detail))
            return False
        return True

    def _look_again(self, now: float) -> None:
        pause = LOOK_AGAIN if self.course.plan.requests else LOOK_AGAIN_SOON
        if now - self._looked_at >= pause:
            self._looked_at = float("inf")
            self._spawn(self._look_anew())

    async def _learn(self, source: Source) -> None:
        try:
            manifest = await ask_manifest(self._outgoing, source, self.wanted.id, self.wanted.size)
        except SourceTrouble as trouble:
            self.course.not_learned(source.url, trouble, self._clock())
            if trouble.outcome not in ("busy", "refused"):
                self._tell(events.SourceFailed(source.peer_id, trouble.outcome, trouble.detail))
        else:
            self.course.learned(source.url, manifest)
        self._wake.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    # What is told

    def _has(self) -> str:
        """The pieces that need not be sent, for a source that is to choose one."""
        return to_text(self.course.plan.proven | self.course.plan.busy, self.grid.count)

    def _on_the_way(self, request: Request) -> int:
        if request.is_open:
            return 0
        before = self.grid.span(request.at).start - self.grid.span(request.first).start
        return max(0, request.received - before)

    def _tell_state(self, now: float) -> None:
        received = self.received
        self._meter.add(max(0, received - self._counted), now)
        self._counted = received
        waits = self.course.waits(now)
        if waits and not self._waiting:
            self._tell(events.Waiting(waits))
        self._waiting = bool(waits)
        if self.course.plan.requests and now - self._told_at >= self.terms.patience.news:
            self._tell_progress(now)

    def _tell_progress(self, now: float) -> None:
        self._told_at = now
        self._tell(events.Progress(self.received, self.wanted.size, self.rate, self.eta, self.verified))


async def _let_go(opening: asyncio.Future[PartFile]) -> None:
    """Closes a part that nobody waits for any more, once it is open."""
    with contextlib.suppress(errors.Refusal):
        (await opening).close()
