"""Writes of the index: entries as announced, and the listings that follow from them, in one transaction.

Guarantees: after every commit each listing is what `listing.py` makes of the entries of its audience, and the text
searched is the listing's; a file that nobody offers any more is gone.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common import errors
from common.wire.files import CatalogueDelta, Entry
from superpeer.database.connections import Database
from superpeer.database.tables import entries, files, listings, peers
from superpeer.files.catalogue import Held, columns
from superpeer.files.listing import groups, listing, searchable

T = TypeVar("T")
BATCH = 500  # keys a statement


class Index:
    """The index of one super-peer."""

    def __init__(self, database: Database, max_entries: int, max_entries_unverified: int) -> None:
        self._database = database
        self._max_entries = max_entries
        self._max_entries_unverified = max_entries_unverified

    async def apply(self, peer_n: int, delta: CatalogueDelta, now: float) -> tuple[Held, "Change"]:
        """Takes a delta. Raises Conflict when it is out of step, TooLarge beyond the peer's quota."""
        async with self._database.write() as connection:
            held = (await self._held(connection, peer_n)).advance(delta)
            change = await self._change(connection, peer_n, delta, held.round, now)
            await self._store_held(connection, peer_n, held)
        return held, change

    async def announce(self, peer_n: int, entry: Entry, now: float) -> "Change":
        """Takes one file from a program that keeps no catalogue."""
        async with self._database.write() as connection:
            held = await self._held(connection, peer_n)
            delta = CatalogueDelta(held.catalogue_id or "-", held.version, add=[entry])
            change = await self._change(connection, peer_n, delta, held.round, now)
            await self._store_held(connection, peer_n, Held(held.catalogue_id, held.version + 1, held.round))
        return change

    async def _held(self, connection: AsyncConnection, peer_n: int) -> Held:
        query = sa.select(peers.c.catalogue_id, peers.c.catalogue_version, peers.c.catalogue_round)
        row = (await connection.execute(query.where(peers.c.n == peer_n))).one_or_none()
        if row is None:
            raise errors.NotFound("peer_not_found", "This peer has been forgotten: register again.")
        return Held(*row)

    async def _store_held(self, connection: AsyncConnection, peer_n: int, held: Held) -> None:
        counts = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(entries.c.size), 0))
        counts = counts.where(entries.c.peer_n == peer_n)
        count, total = (await connection.execute(counts)).one()
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
                shared_files=count,
                shared_bytes=total,
            )
        )

    async def _change(
        self, connection: AsyncConnection, peer_n: int, delta: CatalogueDelta, round_: int, now: float
    ) -> "Change":
        touched = await _remove(connection, peer_n, entries.c.path, delta.remove)
        before = set(touched)
        if delta.add:
            numbers = await _files(connection, delta.add)
            touched |= await _add(connection, peer_n, delta.add, numbers, round_, now)
            touched |= set(numbers.values())
        if delta.complete:
            stale = entries.c.round < round_
            left = await _delete(connection, entries.c.peer_n == peer_n, stale)
            before |= left
            touched |= left
        gone = await _no_longer_offered(connection, peer_n, before)
        await relist(connection, touched)
        return Change(added=len(delta.add), removed=gone)

    async def recount(self, connection: AsyncConnection, peer_ns: Sequence[int]) -> None:
        """Sets the number of sources online anew for all that these peers offer."""
        theirs = sa.select(entries.c.file_n).where(entries.c.peer_n.in_(peer_ns))
        online = (
            sa.select(sa.func.count(sa.distinct(entries.c.peer_n)))
            .select_from(entries.join(peers))
            .where(
                entries.c.file_n == listings.c.file_n,
                entries.c.audience == listings.c.audience,
                entries.c.size == listings.c.size,
                peers.c.online,
            )
            .scalar_subquery()
        )
        await connection.execute(listings.update().where(listings.c.file_n.in_(theirs)).values(online_sources=online))

    async def withdraw(self, connection: AsyncConnection, peer_n: int) -> None:
        """Takes all entries of a peer away."""
        await relist(connection, await _delete(connection, entries.c.peer_n == peer_n))

    async def count_downloads(self, counts: dict[int, int]) -> None:
        """Adds finished downloads, by file number."""
        rows = [{"row": n, "more": count} for n, count in counts.items()]
        if not rows:
            return
        more: sa.BindParameter[int] = sa.bindparam("more")
        async with self._database.write() as connection:
            for table, key in ((files, files.c.n), (listings, listings.c.file_n)):
                change = table.update().where(key == sa.bindparam("row")).values(downloads=table.c.downloads + more)
                await connection.execute(change, rows)


class Change:
    """What a delta did: entries announced, and the ids that the peer no longer offers."""

    __slots__ = ("added", "removed")

    def __init__(self, added: int, removed: list[str]) -> None:
        self.added = added
        self.removed = removed


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


async def _delete(connection: AsyncConnection, *conditions: sa.ColumnElement[bool]) -> set[int]:
    result = await connection.execute(entries.delete().where(*conditions).returning(entries.c.file_n))
    return {row.file_n for row in result}


async def _remove(connection: AsyncConnection, peer_n: int, column: sa.Column[str], values: Iterable[str]) -> set[int]:
    touched: set[int] = set()
    for batch in batches(values):
        touched |= await _delete(connection, entries.c.peer_n == peer_n, column.in_(batch))
    return touched


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
) -> set[int]:
    """Writes the entries; returns the files that stood at their paths before."""
    touched: set[int] = set()
    for batch in batches(entry.path for entry in added):
        query = sa.select(entries.c.file_n).where(entries.c.peer_n == peer_n, entries.c.path.in_(batch))
        touched |= {row.file_n for row in await connection.execute(query)}
    own = {"peer_n": peer_n, "round": round_, "announced_at": now}
    rows = [{**columns(entry), **own, "file_n": numbers[entry.id]} for entry in added]
    statement = insert(entries)
    kept = ("peer_n", "path", "announced_at")
    fresh: dict[str, sa.ColumnElement[Any]] = {
        column: statement.excluded[column] for column in rows[0] if column not in kept
    }
    same = statement.excluded.file_n == entries.c.file_n
    fresh["announced_at"] = sa.case((same, entries.c.announced_at), else_=statement.excluded.announced_at)
    await connection.execute(statement.on_conflict_do_update(index_elements=["peer_n", "path"], set_=fresh), rows)
    return touched


async def _no_longer_offered(connection: AsyncConnection, peer_n: int, candidates: Iterable[int]) -> list[str]:
    """The ids among `candidates` (file numbers as they were) of which the peer has no entry left."""
    gone: list[str] = []
    for batch in batches(candidates):
        still = sa.select(entries.c.file_n).where(entries.c.peer_n == peer_n, entries.c.file_n.in_(batch))
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
    .order_by(entries.c.n)
)


async def relist(connection: AsyncConnection, file_ns: Iterable[int]) -> None:
    """Makes the listings of these files anew, and drops files without entries."""
    for batch in batches(file_ns):
        wanted = {}
        for key, group in groups(await connection.execute(_ENTRY.where(entries.c.file_n.in_(batch)))).items():
            wanted[key] = listing(group)
        old = {
            (row.file_n, row.audience): row
            for row in await connection.execute(sa.select(listings).where(listings.c.file_n.in_(batch)))
        }
        await _drop(connection, [row.n for key, row in old.items() if key not in wanted])
        if wanted:
            await _list(connection, wanted, old)
        offered = {file_n for file_n, _ in wanted}
        orphans = [n for n in batch if n not in offered]
        await connection.execute(files.delete().where(files.c.n.in_(orphans)))


async def _drop(connection: AsyncConnection, ns: list[int]) -> None:
    if ns:
        await connection.execute(listings.delete().where(listings.c.n.in_(ns)))
        await _forget_text(connection, ns)


async def _list(
    connection: AsyncConnection, wanted: dict[tuple[int, str], dict[str, Any]], old: dict[tuple[int, str], Any]
) -> None:
    statement = insert(listings)
    columns_ = next(iter(wanted.values()))
    fresh = {name: statement.excluded[name] for name in columns_ if name not in ("file_n", "audience")}
    upsert = statement.on_conflict_do_update(index_elements=["file_n", "audience"], set_=fresh)
    await connection.execute(upsert, list(wanted.values()))
    numbers = sa.select(listings.c.n, listings.c.file_n, listings.c.audience)
    numbers = numbers.where(listings.c.file_n.in_({file_n for file_n, _ in wanted}))
    texts: dict[int, str] = {}
    stale: list[int] = []
    for row in await connection.execute(numbers):
        key = (row.file_n, row.audience)
        text, before = _text(wanted[key]), old.get(key)
        if before is None or _text(before._mapping) != text:
            texts[row.n] = text
            if before is not None:
                stale.append(row.n)
    await _forget_text(connection, stale)
    if texts:
        rows = [{"n": n, "text": text} for n, text in texts.items()]
        await connection.execute(sa.text("INSERT INTO listing_text(rowid, text) VALUES (:n, :text)"), rows)


def _text(row: Any) -> str:
    return searchable(row["name"], row["names"], row["tags"], row["category"])


async def _forget_text(connection: AsyncConnection, ns: list[int]) -> None:
    if ns:
        await connection.execute(sa.text("DELETE FROM listing_text WHERE rowid = :n"), [{"n": n} for n in ns])
