"""Writes of the index: entries as announced, and the listings that follow from them, in one transaction.

Guarantees: after every commit each listing is what `listing.py` makes of the entries of its audience, and the text
searched is the listing's; a file that nobody offers any more is gone.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common import errors
from common.wire.files import CatalogueDelta, Entry
from common.wire.scalars import MAX_INT
from superpeer.database.connections import Database
from superpeer.database.tables import entries, facts, files, listings, peers
from superpeer.files.catalogue import Held, columns
from superpeer.files.listing import groups, listing
from superpeer.files.visible import ANYONE, audiences, visible

T = TypeVar("T")
BATCH = 500  # keys a statement
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
        async with self._database.write() as connection:
            held = (await self._held(connection, peer_n)).advance(delta)
            change = await self._change(connection, peer_n, delta, held.round, now)
            await self._store_held(connection, peer_n, held)
        return held, change

    async def announce(self, peer_n: int, entry: Entry, now: float) -> tuple[Held, Change]:
        """Takes one file from a program that keeps no catalogue. Raises TooLarge beyond the peer's quota."""
        async with self._database.write() as connection:
            before = await self._held(connection, peer_n)
            delta = CatalogueDelta(before.catalogue_id or "-", before.version, add=[entry])
            change = await self._change(connection, peer_n, delta, before.round, now)
            held = Held(before.catalogue_id, before.version + 1, before.round)
            await self._store_held(connection, peer_n, held)
        return held, change

    async def _held(self, connection: AsyncConnection, peer_n: int) -> Held:
        query = sa.select(peers.c.catalogue_id, peers.c.catalogue_version, peers.c.catalogue_round)
        row = (await connection.execute(query.where(peers.c.n == peer_n))).one_or_none()
        if row is None:
            raise errors.NotFound("peer_not_found", "This peer has been forgotten: register again.")
        return Held(*row)

    async def _store_held(self, connection: AsyncConnection, peer_n: int, held: Held) -> None:
        shown = visible(ANYONE, entries)
        counts = sa.select(sa.func.count(), sa.func.count().filter(shown), sum_of(entries.c.size).filter(shown))
        count, public, size = (await connection.execute(counts.where(entries.c.peer_n == peer_n))).one()
        unverified = sa.select(peers.c.public_key.is_(None)).where(peers.c.n == peer_n)
        quota = self._max_entries_unverified if await connection.scalar(unverified) else self._max_entries
        if count > quota:
            raise errors.TooLarge(
                "too_many_entries", f"A peer may announce {quota} entries here; this would be {count}."
            )
        await connection.execute(
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

    async def _change(
        self, connection: AsyncConnection, peer_n: int, delta: CatalogueDelta, round_: int, now: float
    ) -> Change:
        left = await _remove(connection, peer_n, delta.remove)
        numbers: dict[str, int] = {}
        if delta.add:
            numbers = await _files(connection, delta.add)
            left += await _add(connection, peer_n, delta.add, numbers, round_, now)
        if delta.complete:
            left += await _delete(connection, entries.c.peer_n == peer_n, entries.c.round < round_)
        known = audiences(ANYONE)
        gone = await _no_longer_offered(connection, peer_n, {place.file_n for place in left if place.audience in known})
        await relist(connection, {place.file_n for place in left}.union(numbers.values()))
        return Change([entry.id for entry in delta.add if entry.audience in known], gone)

    async def recount(self, connection: AsyncConnection, peer_ns: Sequence[int]) -> None:
        """Finds the sources online anew for all that these peers offer."""
        theirs = sa.select(entries.c.file_n).where(entries.c.peer_n.in_(peer_ns))
        online = (
            sa.select(entries.c.peer_n)
            .select_from(entries.join(peers))
            .where(
                entries.c.file_n == listings.c.file_n,
                entries.c.audience == listings.c.audience,
                entries.c.size == listings.c.size,
                peers.c.online,
            )
        )
        column = entries.c.peer_n
        await connection.execute(
            listings.update()
            .where(listings.c.file_n.in_(theirs))
            .values(
                online_sources=online.with_only_columns(sa.func.count(sa.distinct(column))).scalar_subquery(),
                source_n=online.with_only_columns(sa.func.min(column)).scalar_subquery(),
            )
        )

    async def withdraw(self, connection: AsyncConnection, peer_n: int) -> None:
        """Takes all entries of a peer away."""
        await relist(connection, {place.file_n for place in await _delete(connection, entries.c.peer_n == peer_n)})

    async def count_downloads(self, counts: dict[int, int]) -> None:
        """Adds downloads, by file number."""
        if not counts:
            return
        rows = [{"row": n, "more": count} for n, count in counts.items()]
        more: sa.BindParameter[int] = sa.bindparam("more")
        first = insert(facts).values(name=DOWNLOADS, value=str(sum(counts.values())))
        sum_ = sa.cast(facts.c.value, sa.BigInteger) + sa.cast(first.excluded.value, sa.BigInteger)
        async with self._database.write() as connection:
            for table, key in ((files, files.c.n), (listings, listings.c.file_n)):
                change = table.update().where(key == sa.bindparam("row")).values(downloads=table.c.downloads + more)
                await connection.execute(change, rows)
            await connection.execute(
                first.on_conflict_do_update(index_elements=["name"], set_={"value": sa.cast(sum_, sa.Text)})
            )


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


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


async def _delete(connection: AsyncConnection, *conditions: sa.ColumnElement[bool]) -> list[Place]:
    result = await connection.execute(
        entries.delete().where(*conditions).returning(entries.c.file_n, entries.c.audience)
    )
    return [Place(*row) for row in result]


async def _remove(connection: AsyncConnection, peer_n: int, paths: Iterable[str]) -> list[Place]:
    left: list[Place] = []
    for batch in batches(paths):
        left += await _delete(connection, entries.c.peer_n == peer_n, entries.c.path.in_(batch))
    return left


async def _files(connection: AsyncConnection, added: list[Entry]) -> dict[str, int]:
    """The numbers of the files that these entries are, new ones made."""
    ids = {entry.id for entry in added}
    await connection.execute(
        insert(files).on_conflict_do_nothing(), [{"id": file_id, "downloads": 0} for file_id in ids]
    )
    numbers: dict[str, int] = {}
    for batch in batches(ids):
        rows = await connection.execute(sa.select(files.c.n, files.c.id).where(files.c.id.in_(batch)))
        numbers |= {row.id: row.n for row in rows}
    return numbers


async def _add(
    connection: AsyncConnection, peer_n: int, added: list[Entry], numbers: dict[str, int], round_: int, now: float
) -> list[Place]:
    """Writes the entries; returns what stood at their paths before."""
    before: list[Place] = []
    for batch in batches(entry.path for entry in added):
        query = sa.select(entries.c.file_n, entries.c.audience)
        rows = await connection.execute(query.where(entries.c.peer_n == peer_n, entries.c.path.in_(batch)))
        before += [Place(*row) for row in rows]
    own = {"peer_n": peer_n, "round": round_, "announced_at": now}
    new = [{**columns(entry), **own, "file_n": numbers[entry.id]} for entry in added]
    statement = insert(entries)
    kept = ("peer_n", "path", "announced_at")
    fresh: dict[str, sa.ColumnElement[Any]] = {
        column: statement.excluded[column] for column in new[0] if column not in kept
    }
    same = statement.excluded.file_n == entries.c.file_n
    fresh["announced_at"] = sa.case((same, entries.c.announced_at), else_=statement.excluded.announced_at)
    await connection.execute(statement.on_conflict_do_update(index_elements=["peer_n", "path"], set_=fresh), new)
    return before


async def _no_longer_offered(connection: AsyncConnection, peer_n: int, candidates: Iterable[int]) -> list[str]:
    """The ids among `candidates` (files by number) of which the peer has no entry left that everybody may see."""
    gone: list[str] = []
    for batch in batches(candidates):
        still = sa.select(entries.c.file_n).where(
            entries.c.peer_n == peer_n, entries.c.file_n.in_(batch), visible(ANYONE, entries)
        )
        query = sa.select(files.c.id).where(files.c.n.in_(batch), files.c.n.not_in(still))
        gone += [row.id for row in await connection.execute(query)]
    return gone


_ENTRY = (
    sa.select(
        *(
            entries.c[name]
            for name in (
                "peer_n",
                "file_n",
                "name",
                "size",
                "category",
                "tags",
                "mime",
                "modified",
                "manifest",
                "audience",
                "announced_at",
            )
        ),
        files.c.downloads,
        peers.c.online,
    )
    .select_from(entries.join(files).join(peers))
    .order_by(entries.c.announced_at, entries.c.n)
)


async def relist(connection: AsyncConnection, file_ns: Iterable[int]) -> None:
    """Makes the listings of these files anew, and drops files without entries."""
    for batch in batches(file_ns):
        announced = await connection.execute(_ENTRY.where(entries.c.file_n.in_(batch)))
        wanted = {key: listing(group) for key, group in groups(announced).items()}
        columns_ = (listings.c.n, listings.c.file_n, listings.c.audience, listings.c.text)
        rows = (await connection.execute(sa.select(*columns_).where(listings.c.file_n.in_(batch)))).all()
        texts = {key: row["text"] for key, row in wanted.items()}
        same = [row.n for row in rows if texts.get((row.file_n, row.audience)) == row.text]
        await connection.execute(_TEXT_OUT, {"file_ns": batch, "same": same})
        await _drop(connection, batch, [row.n for row in rows if (row.file_n, row.audience) not in wanted], wanted)
        await _list(connection, list(wanted.values()))
        await connection.execute(_TEXT_IN, {"file_ns": batch, "same": same})


async def _drop(
    connection: AsyncConnection, file_ns: list[int], stale: list[int], kept: Iterable[tuple[int, str]]
) -> None:
    if stale:
        await connection.execute(listings.delete().where(listings.c.n.in_(stale)))
    orphans = set(file_ns).difference(file_n for file_n, _ in kept)
    if orphans:
        await connection.execute(files.delete().where(files.c.n.in_(orphans)))


async def _list(connection: AsyncConnection, wanted: list[dict[str, Any]]) -> None:
    if wanted:
        statement = insert(listings)
        fresh = {name: statement.excluded[name] for name in wanted[0]}
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["file_n", "audience"], set_=fresh), wanted
        )


# The text of each listing in FTS5's own form. What leaves has to be named as it was, so it goes before it changes.
_CHANGED = "FROM listings WHERE file_n IN :file_ns AND n NOT IN :same"
_TEXT_OUT, _TEXT_IN = (
    sa.text(f"INSERT INTO listing_text({into}) SELECT {what} {_CHANGED}").bindparams(
        sa.bindparam("file_ns", expanding=True), sa.bindparam("same", expanding=True)
    )
    for into, what in (("listing_text, rowid, text", "'delete', n, text"), ("rowid, text", "n, text"))
)
