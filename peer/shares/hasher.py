"""Two workers that prove what files are: each takes a batch of small files, then a slice of a large one, in turn.

Guarantees: a crowd of small files and a few large ones share the machine fairly; `close` interrupts within a batch or a
slice; with nothing to do for IDLE seconds there is no thread, process or buffer left.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import NamedTuple

from common.content.hashing import BUFFER_SIZE, SHA256, Algorithm, FileHash
from peer.shares.crew import Crew
from peer.shares.disk import open_inside
from peer.shares.hash_process import Batch, Outcome, hash_batch, objection, reason_of
from peer.shares.tree import LISTING_SIZE, Listing, Rules, Seen, walk

log = logging.getLogger("shoal.shares")

BATCH_FILES = 256
SLICE = 16 * 1024 * 1024  # bytes of a batch, or of a large file, before the other kind has its turn
CROWD = 2 * BATCH_FILES  # small files waiting that are worth a process
IDLE = 2.0  # seconds


class Group(NamedTuple):
    """Files of one folder of the share `share`, whose root is `root`."""

    share: int
    root: bytes
    folder: bytes
    files: list[Seen]


Deliver = Callable[[Group, list[Outcome]], None]
"""Called by a worker's thread with the outcomes of a group's files, in order; a group submitted may come in parts."""


class Backlog:
    """What waits to be hashed; workers take from it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.small: deque[Group] = deque()
        self.large: deque[Group] = deque()
        self.files = 0

    def put(self, groups: Iterable[Group]) -> None:
        with self.changed:
            for group in groups:
                self.files += len(group.files)
                large = [file for file in group.files if file[1] > SLICE]
                if large:
                    self.large += [group._replace(files=[file]) for file in large]
                    group = group._replace(files=[file for file in group.files if file[1] <= SLICE])
                if group.files:
                    self.small.append(group)
            self.changed.notify_all()

    def take_small(self) -> list[Group]:
        """Up to BATCH_FILES files and about SLICE bytes."""
        taken: list[Group] = []
        room, budget = BATCH_FILES, SLICE
        with self.changed:
            while self.small and room > 0 and budget > 0:
                group = self.small.popleft()
                size = sum([file[1] for file in group.files])
                if len(group.files) > room or size > budget:
                    group, size = self._split(group, room, budget)
                taken.append(group)
                room -= len(group.files)
                budget -= size
            self.files -= BATCH_FILES - room
        return taken

    def _split(self, group: Group, room: int, budget: int) -> tuple[Group, int]:
        """What fits of a group, at least one file, and its size; the rest goes back."""
        count = size = 0
        for file in islice(group.files, room):
            count += 1
            size += file.size
            if size >= budget:
                break
        if count < len(group.files):
            self.small.appendleft(group._replace(files=group.files[count:]))
        return group._replace(files=group.files[:count]), size

    def take_large(self) -> Group | None:
        """One file."""
        with self.changed:
            if not self.large:
                return None
            self.files -= 1
            return self.large.popleft()


class Hasher:
    """Hashes what is submitted, in no order, and delivers the outcomes."""

    def __init__(self, deliver: Deliver, algorithm: Algorithm, workers: int = 2) -> None:
        self.algorithm = algorithm
        self._deliver = deliver
        self._workers = workers
        self._backlog = Backlog()
        self._threads: set[_Worker] = set()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Files submitted that no worker has taken yet."""
        return self._backlog.files

    def submit(self, groups: Iterable[Group]) -> None:
        """Takes files to hash; returns at once. Some hundred at a time spare the workers much waking up."""
        with self._backlog.changed:
            if self._closed:
                return
            self._backlog.put(groups)
            for _ in range(len(self._threads), min(self._workers, self._backlog.files)):
                worker = _Worker(self)
                self._threads.add(worker)
                worker.start()

    def close(self) -> None:
        """Stops, leaving undone what is not done; returns when no thread and no process is left."""
        with self._backlog.changed:
            self._closed = True
            workers = list(self._threads)
            self._backlog.changed.notify_all()
        for worker in workers:
            worker.crew.stop()
        for worker in workers:
            worker.join()

    def rest(self, worker: "_Worker") -> bool:
        """A worker without work waits here; False when it is to end."""
        with self._backlog.changed:
            if not self._closed and not self._backlog.files:
                self._backlog.changed.wait(IDLE)
            if self._closed or not self._backlog.files:
                self._threads.discard(worker)
                return False
            return True


class _Worker(threading.Thread):
    """Small files and a large one in turn, until there are none."""

    def __init__(self, hasher: Hasher) -> None:
        super().__init__(name="hashing", daemon=True)
        self.crew = Crew(hasher.algorithm)
        self._hasher = hasher
        self._backlog = hasher._backlog
        self._deliver = hasher._deliver
        self._buffer = memoryview(bytearray(BUFFER_SIZE))
        self._large: _LargeFile | None = None

    def run(self) -> None:
        try:
            while not self._hasher._closed:
                if not (self._hash_small() | self._hash_large()) and not self._hasher.rest(self):
                    break
        finally:
            self.crew.stop()
            if self._large:
                self._large.close()

    def _hash_small(self) -> bool:
        crowd = self._backlog.files >= CROWD
        groups = self._backlog.take_small()
        if not groups:
            return False
        outcomes = iter(self._outcomes(groups, crowd))
        for group in groups:
            found = list(islice(outcomes, len(group.files)))
            if found:
                self._deliver(group, found)
        return True

    def _outcomes(self, groups: list[Group], crowd: bool) -> list[Outcome]:
        batch: Batch = [(group.root, group.folder, [file[:4] for file in group.files]) for group in groups]
        try:
            if self.crew.is_there or (crowd and self.crew.start()):
                outcomes = self.crew.hash(batch)
                if outcomes is not None or self._hasher._closed:
                    return outcomes or []
            return hash_batch(batch, self._buffer, self._hasher.algorithm)
        except Exception:
            # A worker that died would leave its files waiting for ever.
            log.exception("hashing failed")
            return ["failed"] * sum(len(group.files) for group in groups)

    def _hash_large(self) -> bool:
        if self._large is None:
            group = self._backlog.take_large()
            if group is None:
                return False
            self._large = _LargeFile(group, self._hasher.algorithm)
        outcome = self._large.advance(self._buffer)
        if outcome is not None:
            self._deliver(self._large.group, [outcome])
            self._large.close()
            self._large = None
        return True


class _LargeFile:
    """One file that is hashed slice by slice."""

    def __init__(self, group: Group, algorithm: Algorithm) -> None:
        self.group = group
        self._algorithm = algorithm
        self._file = group.files[0]
        self._fd = -1
        self._hash: FileHash | None = None

    def advance(self, buffer: memoryview) -> Outcome | None:
        """One more slice; the outcome with the last."""
        try:
            if self._hash is None:
                self._fd = open_inside(self.group.root, self.group.folder, self._file.name)
                self._hash = FileHash(self._fd, self._algorithm)
            if not self._hash.advance(buffer, self._file.size, SLICE):
                return None
            why = objection(self._fd, self._file[1:4], self._hash.length)
            return why or (self._hash.hexdigest(), self._hash.head)
        except OSError as error:
            return reason_of(error)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def hash_tree(
    root: bytes, rules: Rules | None = None, workers: int = 2, algorithm: Algorithm = SHA256
) -> Iterator[tuple[Group, list[Outcome]]]:
    """The files below `root` with their outcomes, group by group in no order, found and hashed as a scan does it."""
    done: SimpleQueue[tuple[Group, list[Outcome]]] = SimpleQueue()
    hasher = Hasher(lambda group, outcomes: done.put((group, outcomes)), algorithm, workers)
    left = 0
    try:
        for groups in _in_crowds(root, rules or Rules()):
            left += sum(len(group.files) for group in groups)
            hasher.submit(groups)
        while left:
            group, outcomes = done.get()
            left -= len(outcomes)
            yield group, outcomes
    finally:
        hasher.close()


def _in_crowds(root: bytes, rules: Rules) -> Iterator[list[Group]]:
    groups: list[Group] = []
    count = 0
    for listing in walk(root, rules):
        if isinstance(listing, Listing) and listing.files:
            groups.append(Group(0, root, listing.folder, listing.files))
            count += len(listing.files)
        if count >= LISTING_SIZE:
            yield groups
            groups, count = [], 0
    yield groups
