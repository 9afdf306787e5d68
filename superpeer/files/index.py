"""Writes of the index: entries as announced, and the listings that follow from them, in one transaction.

Guarantees: after every commit each listing is what `listing.py` makes of the entries of its audience, and the text
searched is the listing's; a file that nobody offers any more is gone.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from common import errors
from common.wire.files import CatalogueDelta, Entry
from common.wire.scalars import MAX_INT
from superpeer.database.connections import Database
from superpeer.database.tables import entries, facts, files, listings, peers
from superpeer.files.catalogue import Held, columns
from superpeer.files.relisting import Row, batches, extend, offers, recount, relist
from superpeer.files.visible import ANYONE, audiences, visible

DOWNLOADS = "downloads"  # the fact that counts all of them, whatever became of the files


class Change(NamedTuple):
    """What everybody may know of a delta: the ids announced, and those that the peer no longer offers."""

    added: list[str]
    removed: list[str]


class Index:
    """The index of one super-peer."""

    def __init__(self, database: Database, max_entries: int, max_entries_unverified: int) -> None:
        self._database = database
        self._max_entries = max_entries
        self._max_entries_unverified = max_entries_unverified

    async def apply(self, peer_n: int, delta: CatalogueDelta, now: float) -> tuple[Held, Change]:
        """Takes a delta. Raises Conflict when it is out of step, TooLarge beyond the peer's quota."""
        return await self._database.write(self._apply, peer_n, delta, now)

    def _apply(self, connection: sa.Connection, peer_n: int, delta: CatalogueDelta, now: float) -> tuple[Held, Change]:
        held = self._held(connection, peer_n).advance(delta)
        change = self._change(connection, peer_n, delta, held.round, now)
        self._store_held(connection, peer_n, held)
        return held, change

    async def announce(self, peer_n: int, entry: Entry, now: float) -> tuple[Held, Change]:
        """Takes one file from a program that keeps no catalogue. Raises TooLarge beyond the peer's quota."""
        return await self._database.write(self._announce, peer_n, entry, now)

    def _announce(self, connection: sa.Connection, peer_n: int, entry: Entry, now: float) -> tuple[Held, Change]:
        before = self._held(connection, peer_n)
        delta = CatalogueDelta(before.catalogue_id or "-", before.version, add=[entry])
        change = self._change(connection, peer_n, delta, before.round, now)
        held = Held(before.catalogue_id, before.version + 1, before.round)
        self._store_held(connection, peer_n, held)
        return held, change

    def _held(self, connection: sa.Connection, peer_n: int) -> Held:
        query = sa.select(peers.c.catalogue_id, peers.c.catalogue_version, peers.c.catalogue_round)
        row = (connection.execute(query.where(peers.c.n == peer_n))).one_or_none()
        if row is None:
            raise errors.NotFound("peer_not_found", "This peer has been forgotten: register again.")
        return Held(*row)

    def _store_held(self, connection: sa.Connection, peer_n: int, held: Held) -> None:
        shown = visible(ANYONE, entries)
        counts = sa.select(sa.func.count(), sa.func.count().filter(shown), sum_of(entries.c.size).filter(shown))
        count, public, size = (connection.execute(counts.where(entries.c.peer_n == peer_n))).one()
        unverified = sa.select(peers.c.public_key.is_(None)).where(peers.c.n == peer_n)
        quota = self._max_entries_unverified if connection.scalar(unverified) else self._max_entries
        if count > quota:
            raise errors.TooLarge(
                "too_many_entries", f"A peer may announce {quota} entries here; this would be {count}."
            )
        connection.execute(
            peers.update()
            .where(peers.c.n == peer_n)
            .values(
                catalogue_id=held.catalogue_id,
                catalogue_version=held.version,
                catalogue_round=held.round,
                shared_files=public,
                shared_bytes=bounded(size),
            )
        )

    def _change(self, connection: sa.Connection, peer_n: int, delta: CatalogueDelta, round_: int, now: float) -> Change:
        left = _remove(connection, peer_n, delta.remove)
        came: list[Row] = []
        if delta.add:
            numbers = _files(connection, delta.add)
            own = {"peer_n": peer_n, "round": round_, "announced_at": now}
            rows = [{**columns(entry), **own, "file_n": numbers[entry.id]} for entry in delta.add]
            replaced, came = _clear(connection, peer_n, rows)
            left += replaced
            had = offers(connection, peer_n, {row["file_n"] for row in came})
            _write(connection, rows)
        if delta.complete:
            left += _delete(connection, entries.c.peer_n == peer_n, entries.c.round < round_)
        known = audiences(ANYONE)
        gone = _no_longer_offered(connection, peer_n, {place.file_n for place in left if place.audience in known})
        anew = {place.file_n for place in left}
        relist(connection, anew)
        if came:
            extend(connection, peer_n, [row for row in came if row["file_n"] not in anew], had)
        return Change([entry.id for entry in delta.add if entry.audience in known], gone)

    def recount(self, connection: sa.Connection, peer_ns: Sequence[int]) -> None:
        """Finds the sources online anew for all that these peers offer."""
        recount(connection, peer_ns)

    def withdraw(self, connection: sa.Connection, peer_n: int) -> None:
        """Takes all entries of a peer away."""
        left = _delete(connection, entries.c.peer_n == peer_n)
        relist(connection, {place.file_n for place in left})

    async def count_downloads(self, counts: dict[int, int]) -> None:
        """Adds downloads, by file number."""
        if counts:
            await self._database.write(_count_downloads, counts)


def _count_downloads(connection: sa.Connection, counts: dict[int, int]) -> None:
    rows = [{"row": n, "more": count} for n, count in counts.items()]
    more: sa.BindParameter[int] = sa.bindparam("more")
    for table, key in ((files, files.c.n), (listings, listings.c.file_n)):
        change = table.update().where(key == sa.bindparam("row")).values(downloads=table.c.downloads + more)
        connection.execute(change, rows)
    first = insert(facts).values(name=DOWNLOADS, value=str(sum(counts.values())))
    sum_ = sa.cast(facts.c.value, sa.BigInteger) + sa.cast(first.excluded.value, sa.BigInteger)
    total = first.on_conflict_do_update(index_elements=["name"], set_={"value": sa.cast(sum_, sa.Text)})
    connection.execute(total)


class Place(NamedTuple):
    """Where an entry was before it went or was replaced."""

    file_n: int
    audience: str


def sum_of(column: sa.ColumnElement[Any]) -> sa.Function[Any]:
    """The sum of sizes, as a float: whatever peers claim, it does not overflow. None of nothing."""
    return sa.func.sum(sa.cast(column, sa.Float))


def bounded(sum_: float | None) -> int:
    """Such a sum as a number that every reader of JSON understands."""
    return int(min(sum_ or 0.0, MAX_INT))


def _delete(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Place]:
    result = connection.execute(entries.delete().where(*conditions).returning(entries.c.file_n, entries.c.audience))
    return [Place(*row) for row in result.all()]


def _remove(connection: sa.Connection, peer_n: int, paths: Iterable[str]) -> list[Place]:
    left: list[Place] = []
    for batch in batches(paths):
        left += _delete(connection, entries.c.peer_n == peer_n, entries.c.path.in_(batch))
    return left


def _files(connection: sa.Connection, added: list[Entry]) -> dict[str, int]:
    """The numbers of the files that these entries are, new ones made."""
    ids = {entry.id for entry in added}
    connection.execute(insert(files).on_conflict_do_nothing(), [{"id": file_id, "downloads": 0} for file_id in ids])
    numbers: dict[str, int] = {}
    for batch in batches(ids):
        rows = connection.execute(sa.select(files.c.n, files.c.id).where(files.c.id.in_(batch)))
        numbers |= {row.id: row.n for row in rows}
    return numbers


def _clear(connection: sa.Connection, peer_n: int, rows: list[Row]) -> tuple[list[Place], list[Row]]:
    """Takes other files away from the paths of these entries.

    Returns the places of all that is replaced or changed by them, and the entries that are not there just so.
    """
    standing: dict[str, Any] = {}
    for batch in batches(row["path"] for row in rows):
        query = sa.select(entries).where(entries.c.peer_n == peer_n, entries.c.path.in_(batch))
        standing |= {row["path"]: row for row in (connection.execute(query)).mappings().all()}
    came = [row for row in rows if not _same(standing.get(row["path"]), row)]
    replaced = [(standing[row["path"]], row) for row in came if row["path"] in standing]
    # A new content is a new announcement, and stands behind those who had it before.
    _remove(connection, peer_n, [row["path"] for old, row in replaced if old["file_n"] != row["file_n"]])
    return [Place(old["file_n"], old["audience"]) for old, _ in replaced], came


def _same(standing: Any | None, row: Row) -> bool:
    own = ("round", "announced_at")
    return standing is not None and all(standing[key] == value for key, value in row.items() if key not in own)


def _write(connection: sa.Connection, rows: list[Row]) -> None:
    """Writes entries; what stands at the path of one is of the same file."""
    statement = insert(entries)
    kept = ("peer_n", "path", "announced_at")
    fresh = {name: statement.excluded[name] for name in rows[0] if name not in kept}
    connection.execute(statement.on_conflict_do_update(index_elements=["peer_n", "path"], set_=fresh), rows)


def _no_longer_offered(connection: sa.Connection, peer_n: int, candidates: Iterable[int]) -> list[str]:
    """The ids among `candidates` (files by number) of which the peer has no entry left that everybody may see."""
    gone: list[str] = []
    for batch in batches(candidates):
        still = sa.select(entries.c.file_n).where(
            entries.c.peer_n == peer_n, entries.c.file_n.in_(batch), visible(ANYONE, entries)
        )
        query = sa.select(files.c.id).where(files.c.n.in_(batch), files.c.n.not_in(still))
        gone += [row.id for row in connection.execute(query)]
    return gone
