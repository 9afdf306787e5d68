"""The scan: takes what is to be looked at from the agenda, has it looked at, hashed and written down, turn by turn.

Turns never overlap, and whoever else changes the library takes a turn of its own (`turn`), so what was seen on the disk
is written before anybody looks again. Killed at any moment, it finds what was written, and hashes only the rest.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, TypeVar

from common.content.hashing import Algorithm
from common.database.sqlite import Database
from common.runtime.clock import Clock
from peer.shares import store
from peer.shares.agenda import Agenda, Place
from peer.shares.bookkeeping import apply_outcomes, apply_report
from peer.shares.hash_process import Outcome
from peer.shares.hasher import Group, Hasher
from peer.shares.offers import News
from peer.shares.omissions import Omissions
from peer.shares.report import Report
from peer.shares.share import Share
from peer.shares.survey import Survey
from peer.shares.tree import Rules
from peer.shares.underway import Underway, Verdict
from peer.shares.watch import Watch, open_watch

log = logging.getLogger("shoal.shares")

T = TypeVar("T")

BATCH = 1000
"""Proven files written at a time."""
GATHER = 0.1
"""Seconds for which proven files wait for others."""
ENOUGH = 4096
"""Files waiting to be hashed, from which on no walk goes further."""
AGAIN = 1.5
"""Seconds after which a new folder is walked through once more, where the watch may have missed something."""


class Walk(NamedTuple):
    """A walk that is under way."""

    place: Place
    reports: Generator[Report, None, None]
    left_out: Counter[str]


class Scan:
    """One scan over all shares. `tell` is called, in the loop, with what each transaction came to."""

    def __init__(
        self, database: Database, clock: Clock, settle: float, algorithm: Algorithm, tell: Callable[[News], None]
    ) -> None:
        self.agenda = Agenda()
        self.turn = asyncio.Lock()
        self.shares: Mapping[int, Share] = {}
        self.absent: set[int] = set()
        """Shares whose root is not there just now."""
        self.hashed = 0
        """Files read through since the start."""
        self.cost = 0.0
        """Seconds spent looking since the last sweep through all began."""
        self._database = database
        self._clock = clock
        self._settle = settle
        self._algorithm = algorithm
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._eyes = ThreadPoolExecutor(1, "scan")
        self._hasher = Hasher(self._deliver, algorithm)
        self._underway = Underway()
        self._outcomes: list[tuple[Group, list[Outcome]]] = []
        self._first_outcome = 0.0
        self._walks: list[Walk] = []
        self._wake = asyncio.Event()
        self._turned: set[asyncio.Future[None]] = set()
        self._omissions = Omissions()
        self._survey: Survey
        self._watch: Watch

    async def open(self) -> None:
        """Before `run`."""
        self._watch = open_watch(self._notice, self.sweep)
        self._connection = await self._see(self._database.reader)
        empty_id = self._algorithm.empty_id
        self._survey = Survey(self._connection, self._settle, empty_id, self._clock, self._watch, self._underway.of)

    async def close(self) -> None:
        """After `run` was ended. Returns when no thread and no process is left, or a disk does not answer for 5 s."""
        self._watch.close()
        for turned in self._turned:
            turned.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.to_thread(self._hasher.close)
                await self._see(self._shut_eyes)
        self._eyes.shutdown(wait=False)

    def _shut_eyes(self) -> None:
        for walk in self._walks:
            walk.reports.close()
        self._connection.close()

    def set_shares(self, shares: Iterable[Share], rules: Rules) -> None:
        """These are the shares from now on. Called within a turn."""
        known = {share.id: share for share in shares}
        active = {share: each for share, each in known.items() if each.active}
        changed = self._survey.rules != rules
        self._survey.shares, self._survey.rules = known, rules
        for share in self.shares.keys() - active.keys():
            self._forget(share)
        fresh = active.keys() if changed else active.keys() - self.shares.keys()
        self.shares = active
        self._watch.begin((share.id, share.root) for share in active.values())
        for share in fresh:
            self.agenda.sweep(share)
        self._wake.set()

    def sweep(self, share: int | None = None) -> None:
        """Walk through a share, or through all."""
        if share is None:
            self.cost = 0.0
        for each in self.shares if share is None else (share,):
            self.agenda.sweep(each)
        self._wake.set()

    def walk(self, place: Place) -> None:
        """Walk through a folder and all below it."""
        self.agenda.walk(place)
        self._wake.set()

    def look(self, place: Place, name: bytes) -> None:
        """Look at one name."""
        self.agenda.look(place, (name,))
        self._wake.set()

    async def proof(self, place: Place, name: bytes) -> str | None:
        """The id of a file, once it is settled and proven; None if that cannot be."""
        self.look(place, name)
        while True:
            turned = self._next_turn()
            async with self.turn:
                if not self._is_coming_to(place, name):
                    return await self._database.read(store.id_of, place, name)
            await turned

    def _is_coming_to(self, place: Place, name: bytes) -> bool:
        """Whether more will be known of a file."""
        if self.agenda.awaits(place, name) or name in self._underway.of(place):
            return True
        return any(walk.place == place for walk in self._walks)

    async def quiet(self) -> None:
        """Returns when nothing is left to be looked at or hashed."""
        while not self.is_quiet:
            await self.turned()

    async def turned(self) -> None:
        """Returns after the next turn."""
        await self._next_turn()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is known that is still to be done."""
        return not (self.agenda or self._walks or self._underway or self._outcomes or self.turn.locked())

    @property
    def is_watching(self) -> bool:
        """Whether changes are noticed as they happen."""
        return self._watch.is_complete

    def busy_shares(self) -> set[int]:
        """The shares that are being walked through or hashed."""
        return {walk.place.share for walk in self._walks} | self._underway.shares() | self.agenda.sweeps()

    async def run(self) -> None:
        """For ever. Begins with a walk through everything."""
        self._walks.clear()
        self.sweep()
        while True:
            if not await self._take_turn():
                await self._rest()

    async def _take_turn(self) -> bool:
        """Whether there was something to do."""
        self._wake.clear()
        async with self.turn:
            wrote = await self._record()
            report = await self._next_report()
            if report is not None:
                await self._act_on(report)
        self._end_turn()
        return wrote or report is not None

    async def _rest(self) -> None:
        if self.is_quiet:
            self._omissions.tell(self.shares)
        moments = [self.agenda.due()]
        if self._outcomes:
            moments.append(self._first_outcome + GATHER)
        known = [moment for moment in moments if moment is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(min(known) - self._clock.monotonic(), 0) if known else None):
                await self._wake.wait()

    async def _next_report(self) -> Report | None:
        names = self.agenda.next_names(self._clock.monotonic())
        if names is not None:
            place, some = names
            return (
                await self._see(self._survey.look, place, some) if place.share in self.shares else Report(place.share)
            )
        if self._hasher.waiting >= ENOUGH:
            return None
        walk = self._walk_on()
        if walk is None:
            return None
        report = await self._see(_next, walk.reports)
        if report is None:
            self._end_walk(walk)
            return Report(walk.place.share)
        return report

    def _walk_on(self) -> Walk | None:
        """The walk to go on with: the latest, as what just happened somewhere comes before a sweep."""
        place = self.agenda.next_folder()
        if place is None and not self._walks:
            place = self.agenda.next_sweep()
        share = self.shares.get(place.share) if place else None
        if place is not None and share is not None:
            if share.is_folder:
                self._begin_walk(place)
            else:
                self.look(place, share.name)
        return self._walks[-1] if self._walks else None

    def _begin_walk(self, place: Place) -> None:
        left_out: Counter[str] = Counter()
        if not place.folder:
            self._omissions.begin(place.share)
        self._walks.append(Walk(place, self._survey.walk(place, left_out), left_out))

    def _end_walk(self, walk: Walk) -> None:
        self._walks.remove(walk)
        if not walk.place.folder:
            self._omissions.walked(walk.place.share, walk.left_out)

    async def _act_on(self, report: Report) -> None:
        if report.writes:
            self._tell(await self._database.write(apply_report, report, self._clock.now()))
        for place, name in report.dropped:
            self._underway.drop(place, name)
        for reason in report.unfit:
            self._omissions.refused(report.share, reason)
        self._underway.add(report.fresh)
        self._hasher.submit(report.fresh)
        self._note_presence(report)
        now = self._clock.monotonic()
        for wait, place, name in report.unsettled:
            self.agenda.look_at(now + wait, place, name)
        for place, name in report.elsewhere:
            self.agenda.look(place, (name,))
        for place in report.folders:
            self.agenda.walk(place)
            if not self._watch.sees_new_folders:
                self.agenda.walk_at(now + AGAIN, place)

    def _note_presence(self, report: Report) -> None:
        share = self.shares.get(report.share)
        if share is None or not (report.entries or report.closed):
            return
        is_absent = any(not place.folder for place, _ in report.closed)
        if is_absent and share.id not in self.absent:
            log.warning("a share is not there; its files are kept in mind", extra={"share": share.label})
            self.absent.add(share.id)
        elif not is_absent and share.id in self.absent:
            log.info("a share is back", extra={"share": share.label})
            self.absent.discard(share.id)

    async def _record(self) -> bool:
        """Writes down what was hashed, when it is enough or has waited for long enough."""
        if not self._outcomes or not self._is_time_to_record():
            return False
        taken = self._outcomes[: self._count_for_batch()]
        verdicts = [self._underway.judge(group, outcomes) for group, outcomes in taken]
        proofs = [proof for verdict in verdicts for proof in verdict.proofs]
        refused = [refusal for verdict in verdicts for refusal in verdict.refused]
        names = [(place, name) for place, name, _ in refused]
        self._tell(await self._database.write(apply_outcomes, proofs, names, self._clock.now()))
        # Only now: had the writing failed, it would be tried again.
        del self._outcomes[: len(taken)]
        self._first_outcome = self._clock.monotonic()
        self.hashed += len(proofs)
        for verdict in verdicts:
            self._conclude(verdict)
        return True

    def _is_time_to_record(self) -> bool:
        files = sum(len(outcomes) for _, outcomes in self._outcomes)
        waited = self._clock.monotonic() - self._first_outcome
        return files >= BATCH or waited >= GATHER or files >= len(self._underway)

    def _count_for_batch(self) -> int:
        files = 0
        for count, (_, outcomes) in enumerate(self._outcomes, start=1):
            files += len(outcomes)
            if files >= BATCH:
                return count
        return len(self._outcomes)

    def _conclude(self, verdict: Verdict) -> None:
        now = self._clock.monotonic()
        for proof in verdict.proofs:
            self._underway.drop(proof.place, proof.file.name)
        for place, name, reason in verdict.refused:
            self._underway.drop(place, name)
            self._omissions.refused(place.share, reason)
        for place, name in verdict.changed:
            self._underway.drop(place, name)
            self.agenda.look_at(now + self._settle, place, name)

    def _forget(self, share: int) -> None:
        self.agenda.forget(share)
        self._underway.forget(share)
        self._watch.leave(Place(share, b""))
        self._survey.forget(share)
        self.absent.discard(share)
        for walk in [walk for walk in self._walks if walk.place.share == share]:
            self._walks.remove(walk)

    def _notice(self, place: Place, name: bytes) -> None:
        share = self.shares.get(place.share)
        if share is None:
            return
        if not name:
            self.agenda.walk(place)
        elif share.is_folder or name == share.name:
            self.agenda.notice(place, name)
        self._wake.set()

    def _deliver(self, group: Group, outcomes: list[Outcome]) -> None:
        """Called by the hasher's threads."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._received, group, outcomes)

    def _received(self, group: Group, outcomes: list[Outcome]) -> None:
        if not self._outcomes:
            self._first_outcome = self._clock.monotonic()
        self._outcomes.append((group, outcomes))
        self._wake.set()

    async def _see(self, look: Callable[..., T], *args: object) -> T:
        began = self._clock.monotonic()
        try:
            return await self._loop.run_in_executor(self._eyes, look, *args)
        finally:
            self.cost += self._clock.monotonic() - began

    def _next_turn(self) -> "asyncio.Future[None]":
        turned = self._loop.create_future()
        self._turned.add(turned)
        return turned

    def _end_turn(self) -> None:
        turned, self._turned = self._turned, set()
        for each in turned:
            if not each.done():
                each.set_result(None)


def _next(reports: Iterator[Report]) -> Report | None:
    return next(reports, None)
