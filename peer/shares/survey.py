"""A scan's eyes: looks at folders and names, compares them with what is remembered, and reports what has to be done.

It runs in one thread, reads the database through a connection of its own, and writes nothing. What it holds at one
time is bounded: a report covers some thousand files, and a walk goes on only after it has been dealt with.
"""

import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping

from common.content.names import is_relative_path
from common.runtime.clock import Clock
from common.wire.scalars import MAX_INT
from peer.shares.agenda import Place
from peer.shares.comparison import Row, compare, state_of_absent
from peer.shares.disk import lstat, open_folder, signed
from peer.shares.hasher import Group
from peer.shares.moves import trace
from peer.shares.report import Report
from peer.shares.schema import State
from peer.shares.settling import settles_in
from peer.shares.share import Share, catalogue_path, relative
from peer.shares.store import Proof, has_below, names_in, rows_in, rows_named, subfolders
from peer.shares.tree import LISTING_SIZE, Closed, Listing, Rules, Seen, closing_reason, join, seen, walk
from peer.shares.watch import Watch

STEP = 0.05  # seconds after which a walk reports what it has
SURELY_SHORT = 900  # bytes of a path that fit into a catalogue even if each has to be written as an escape

Underway = Callable[[Place], Mapping[bytes, Seen]]
"""What is being hashed of a folder, by name."""


class Survey:
    """Looks at shares, one look at a time. `shares` and `rules` are set anew by the scan whenever they change.

    `empty_id` is the id of an empty file.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        settle: float,
        empty_id: str,
        clock: Clock,
        watch: Watch,
        underway: Underway,
    ) -> None:
        self.shares: Mapping[int, Share] = {}
        self.rules = Rules()
        self._connection = connection
        self._settle = settle
        self._empty_id = empty_id
        self._clock = clock
        self._watch = watch
        self._underway = underway
        self._sighted: dict[tuple[Place, bytes], tuple[Seen, float]] = {}
        self._identities: dict[int, tuple[int, int]] = {}

    def forget(self, share: int) -> None:
        """Nothing of this share matters any more. Called while no look is going on."""
        self._identities.pop(share, None)
        self._sighted = {key: sight for key, sight in self._sighted.items() if key[0].share != share}

    def look(self, place: Place, names: Collection[bytes]) -> Report:
        """Looks at some names of one folder."""
        share = self.shares[place.share]
        report = Report(share.id, entries=len(names))
        if not self._has_root(share, report):
            return report
        if self._is_closed(share, place.folder):
            self._cannot_enter(place, "excluded", report)
            return report
        try:
            fd = open_folder(share.root, place.folder)
        except OSError as error:
            self._cannot_enter(place, closing_reason(error), report)
            return report
        try:
            if not share.is_folder:
                self._watch.enter(place, fd)
            self._look_at(share, place, fd, names, report)
        finally:
            os.close(fd)
        self._trace_moves(report)
        return report

    def walk(self, place: Place, skipped: Counter[str]) -> Generator[Report, None, None]:
        """Looks at a folder and all below it, report by report; counts what is left out."""
        share = self.shares[place.share]
        report = Report(share.id)
        began = self._clock.monotonic()
        if self._has_root(share, report):
            for found in walk(share.root, self.rules, place.folder, skipped, self._entering(share.id)):
                self._take(share, found, report)
                if report.entries >= LISTING_SIZE or self._clock.monotonic() - began > STEP:
                    self._trace_moves(report)
                    yield report
                    report, began = Report(share.id), self._clock.monotonic()
        self._trace_moves(report)
        yield report

    def _entering(self, share: int) -> "Entering":
        return Entering(self._watch, share)

    def _has_root(self, share: Share, report: Report) -> bool:
        """Whether the share is there. One that gave way to an empty folder is a disk that is away."""
        try:
            found = os.stat(share.root, follow_symlinks=False)
            # A number of its own where the file system has one: devices are numbered anew at each mount.
            identity = signed(os.statvfs(share.root).f_fsid or found.st_dev), signed(found.st_ino)
            before = self._identities.get(share.id, share.identity)
            if not share.is_folder or identity == before:
                return True
            if before is not None and not os.listdir(share.root):
                report.closed.append((Place(share.id, b""), False))
                return False
            report.identity = self._identities[share.id] = identity
            return True
        except OSError as error:
            report.closed.append((Place(share.id, b""), closing_reason(error) == "denied"))
            return False

    def _is_closed(self, share: Share, folder: bytes) -> bool:
        """Whether a folder is left out of its share. What is around the share closes nothing in it."""
        path = join(share.root, folder)
        inside = (closed for closed in self.rules.closed if relative(share.path, closed) is not None)
        return any(relative(closed, path) is not None for closed in inside)

    def _cannot_enter(self, place: Place, reason: str, report: Report) -> None:
        if reason == "excluded":
            self._watch.leave(place)
        if reason != "gone":
            report.closed.append((place, reason != "failed"))
        elif place.folder:
            report.elsewhere.append(_in_parent(place))
        else:
            report.closed.append((place, False))

    def _take(self, share: Share, found: Listing | Closed, report: Report) -> None:
        place = Place(share.id, found.folder)
        if isinstance(found, Closed):
            report.entries += 1
            self._cannot_enter(place, found.reason, report)
            return
        report.entries += len(found.files) + 1
        rows = rows_in(self._connection, place) if found.is_whole else self._rows_of(place, found.files)
        self._compare(share, place, found.files, rows, report)
        if found.is_whole:
            there = {file.name for file in found.files}
            absent = [row for row in rows.values() if row.name not in there]
            self._miss(found, place, absent, report)
            self._drop(place, found.files, None, report)
        elif found.is_last:
            for some in names_in(self._connection, place):
                self._miss(found, place, some, report)
        if found.is_last:
            self._miss_folders(found, place, report)

    def _rows_of(self, place: Place, files: list[Seen]) -> dict[bytes, Row]:
        return rows_named(self._connection, place, [file.name for file in files])

    def _look_at(self, share: Share, place: Place, fd: int, names: Collection[bytes], report: Report) -> None:
        device = signed(os.fstat(fd).st_dev)
        rows = rows_named(self._connection, place, list(names))
        files: list[Seen] = []
        for name in names:
            found = lstat(fd, name) if self._is_of_interest(share, name) else None
            if found is not None and stat.S_ISREG(found.st_mode):
                files.append(seen(name, found))
                continue
            is_folder = found is not None and stat.S_ISDIR(found.st_mode) and share.is_folder
            if is_folder:
                report.folders.append(Place(place.share, join(place.folder, name)))
            if name in rows or not is_folder:
                self._miss_name(place, name, rows.get(name), device, report)
        self._compare(share, place, files, rows, report)
        self._drop(place, files, names, report)

    def _is_of_interest(self, share: Share, name: bytes) -> bool:
        return not self.rules.objection(name) if share.is_folder else name == share.name

    def _compare(
        self, share: Share, place: Place, files: list[Seen], rows: Mapping[bytes, Row], report: Report
    ) -> None:
        difference = compare(files, rows)
        report.back += [(file.device, row.id) for file, row in difference.back]
        ready = []
        for file, row in difference.fresh:
            if row is not None and row.state == State.HERE and row.proven:
                report.changed.append(row.id)
            if self._is_underway(place, file):
                continue
            if objection := self._objection(share, place, file):
                report.unfit.append(objection)
                continue
            wait = self._settles_in(place, file)
            if wait > 0:
                report.unsettled.append((wait, place, file.name))
            elif file.size == 0:
                report.proven.append(Proof(place, file, self._empty_id, 0))
            else:
                ready.append(file)
        if ready:
            report.fresh.append(Group(share.id, share.root, place.folder, ready))

    def _is_underway(self, place: Place, file: Seen) -> bool:
        being_hashed = self._underway(place).get(file.name)
        return being_hashed is not None and being_hashed[1:4] == file[1:4]

    def _objection(self, share: Share, place: Place, file: Seen) -> str:
        """Why the wire could not tell of a file, empty if it could."""
        if file.size > MAX_INT:
            return "too_large"
        if len(place.folder) + len(file.name) < SURELY_SHORT:
            return ""
        path = catalogue_path(share.label, share.is_folder, place.folder, file.name)
        return "" if is_relative_path(path) else "path_too_long"

    def _settles_in(self, place: Place, file: Seen) -> float:
        now, key = self._clock.monotonic(), (place, file.name)
        before, since = self._sighted.get(key, (None, now))
        if before is None or before != file:
            since = now
        wait = settles_in(max(file.mtime_ns, file.ctime_ns), self._clock.now(), self._settle, now - since)
        if wait > 0:
            self._sighted[key] = (file, since)
        else:
            self._sighted.pop(key, None)
        return wait

    def _miss(self, listing: Listing, place: Place, rows: Collection[Row], report: Report) -> None:
        """Rows that were not listed: what was deleted, and what came only after its place in the list was read."""
        again = []
        for row in rows:
            if row.state == State.GONE:
                continue
            found = None if self.rules.objection(row.name) else lstat(listing.fd, row.name)
            if found is not None and stat.S_ISREG(found.st_mode):
                again.append(seen(row.name, found))
            else:
                self._miss_name(place, row.name, row, listing.device, report)
        if again:
            self._compare(self.shares[place.share], place, again, {row.name: row for row in rows}, report)

    def _miss_name(self, place: Place, name: bytes, row: Row | None, device: int, report: Report) -> None:
        self._sighted.pop((place, name), None)
        if row is None:
            below = Place(place.share, join(place.folder, name))
            if has_below(self._connection, below):
                report.vanished.append((below, device))
        elif row.state != State.GONE:
            into = report.gone if state_of_absent(row, device) == State.GONE else report.missing
            into.append(row.id)

    def _miss_folders(self, listing: Listing, place: Place, report: Report) -> None:
        there = set(listing.folders)
        for name in subfolders(self._connection, place):
            if name not in there:
                report.vanished.append((Place(place.share, join(place.folder, name)), listing.device))

    def _drop(self, place: Place, files: list[Seen], names: Collection[bytes] | None, report: Report) -> None:
        """What is being hashed and is not what is there (of these names; of all in the folder)."""
        underway = self._underway(place)
        if underway:
            now = {file.name: file[1:4] for file in files}
            report.dropped += [
                (place, name)
                for name, file in underway.items()
                if (names is None or name in names) and now.get(name) != file[1:4]
            ]

    def _trace_moves(self, report: Report) -> None:
        files = [(Place(group.share, group.folder), file) for group in report.fresh for file in group.files]
        if not files:
            return
        known = trace(self._connection, self.shares, files)
        if not known:
            return
        report.proven += known.values()
        fresh = []
        for group in report.fresh:
            place = Place(group.share, group.folder)
            unknown = [file for file in group.files if (place, file.name) not in known]
            if unknown:
                fresh.append(group._replace(files=unknown))
        report.fresh = fresh


class Entering:
    """Tells the watch of the folders of one share, by path."""

    def __init__(self, watch: Watch, share: int) -> None:
        self._watch = watch
        self._share = share

    def __call__(self, folder: bytes, fd: int) -> None:
        self._watch.enter(Place(self._share, folder), fd)


def _in_parent(place: Place) -> tuple[Place, bytes]:
    folder, _, name = place.folder.rpartition(b"/")
    return Place(place.share, folder), name
