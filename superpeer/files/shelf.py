"""Reads of the index: files as they are shown, and who has them. Every query passes `visible(asker)`."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from common import errors
from common.http.paging import decode_cursor, encode_cursor
from common.runtime.clock import Clock, utc
from common.wire.files import FileInfo, SearchAnswer
from superpeer.database.connections import Database
from superpeer.database.tables import entries, files, listings, peers
from superpeer.files.search import FixedResults, SearchQuery
from superpeer.files.search_sqlite import COUNTED, KEYS, Found, first_page, next_page
from superpeer.files.visible import ANYONE, Asker, visible


class Page(NamedTuple):
    """One page of files."""

    files: list[FileInfo]
    total: int
    total_exact: bool
    next_cursor: str | None


class Totals(NamedTuple):
    """All that everybody may see, in numbers."""

    files: int
    bytes: int
    downloads: int


class Holder(NamedTuple):
    """A peer that announced a file. `n` is the peer's number."""

    n: int
    manifest: str | None


class Shelf:
    """What can be read of the index."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._fixed = FixedResults()

    async def search(self, query: SearchQuery, asker: Asker = ANYONE) -> SearchAnswer:
        """One page of results with what stands around it."""
        page = await self.page(query, asker)
        count = len(page.files)
        return SearchAnswer(page.files, count, page.total, page.total_exact, query.q, page.next_cursor)

    async def page(self, query: SearchQuery, asker: Asker = ANYONE) -> Page:
        """One page in the order asked for. Raises Invalid or Gone for a cursor that leads nowhere."""
        async with self._database.read() as connection:
            if query.sort == "relevance":
                found, cursor = await self._relevant(connection, query, asker)
            else:
                found, cursor = await self._walked(connection, query, asker)
            infos = await _infos(connection, found.ns[: query.limit], asker)
        total = min(found.total, COUNTED)
        return Page(infos, total, found.total <= COUNTED, cursor)

    async def _relevant(
        self, connection: AsyncConnection, query: SearchQuery, asker: Asker
    ) -> tuple[Found, str | None]:
        now = self._clock.monotonic()
        if query.cursor:
            name, start = decode_cursor(query.cursor, "r", (str, int))
            ns, total = self._fixed.find(name, now)
        else:
            name, start = "", 0
            ns, total = await first_page(connection, query, asker)
        stop = start + query.limit
        if stop >= len(ns):
            return Found(ns[max(start, 0) :], total), None
        name = name or self._fixed.keep(ns, total, now)
        return Found(ns[max(start, 0) : stop], total), encode_cursor("r", name, stop)

    async def _walked(self, connection: AsyncConnection, query: SearchQuery, asker: Asker) -> tuple[Found, str | None]:
        if query.cursor:
            key, n = _position(query)
            found = await next_page(connection, query, asker, (key, n))
        else:
            found = await first_page(connection, query, asker)
        if len(found.ns) <= query.limit:
            return found, None
        last = found.ns[query.limit - 1]
        column = KEYS.get(query.sort, KEYS["date"])[0]
        key = await connection.scalar(sa.select(column).where(listings.c.n == last))
        return found, encode_cursor(query.sort, key, last)

    async def file(self, file_id: str, asker: Asker = ANYONE) -> FileInfo:
        """One file. Raises NotFound."""
        async with self._database.read() as connection:
            query = sa.select(listings.c.n).select_from(listings.join(files))
            n = await connection.scalar(query.where(files.c.id == file_id, visible(asker, listings)))
            infos = [] if n is None else await _infos(connection, [n], asker)
        if not infos:
            raise errors.NotFound("file_not_found", "No peer offers this file (any more).")
        return infos[0]

    async def holders(self, file_id: str, asker: Asker = ANYONE) -> tuple[int, list[Holder]]:
        """The file's number and the peers that offer it. Raises NotFound."""
        query = (
            sa.select(files.c.n, entries.c.peer_n, sa.func.max(entries.c.manifest).label("manifest"))
            .select_from(files.join(entries).join(listings, listings.c.file_n == files.c.n))
            .where(
                files.c.id == file_id,
                visible(asker, entries),
                visible(asker, listings),
                entries.c.size == listings.c.size,
            )
            .group_by(files.c.n, entries.c.peer_n)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            raise errors.NotFound("file_not_found", "No peer offers this file (any more).")
        return rows[0].n, [Holder(row.peer_n, row.manifest) for row in rows]

    async def totals(self, asker: Asker = ANYONE) -> Totals:
        """How much there is to see."""
        sums = (sa.func.coalesce(sa.func.sum(column), 0) for column in (listings.c.size, listings.c.downloads))
        query = sa.select(sa.func.count(), *sums)
        async with self._database.read() as connection:
            return Totals(*(await connection.execute(query.where(visible(asker, listings)))).one())

    async def categories(self, asker: Asker = ANYONE) -> dict[str, int]:
        """How many files there are of each category, most first."""
        count = sa.func.count().label("count")
        query = sa.select(listings.c.category, count).where(visible(asker, listings), listings.c.online_sources > 0)
        async with self._database.read() as connection:
            rows = await connection.execute(query.group_by(listings.c.category).order_by(sa.desc("count")))
            return {row.category: row[1] for row in rows}


def _position(query: SearchQuery) -> tuple[Any, int]:
    kind: tuple[type, ...] = {"name": (str, int), "size": (int, int), "downloads": (int, int)}.get(
        query.sort, (float, int)
    )
    key, n = decode_cursor(query.cursor, query.sort, kind)
    return key, n


_COLUMNS = sa.select(listings, files.c.id.label("file_id"), peers.c.id.label("owner_id")).select_from(
    listings.join(files).outerjoin(peers, peers.c.n == listings.c.owner_n)
)


async def _infos(connection: AsyncConnection, ns: Sequence[int], asker: Asker) -> list[FileInfo]:
    """These listings as FileInfo, in the order of `ns`; one that went meanwhile is left out."""
    rows: dict[int, Any] = {}
    for start in range(0, len(ns), 500):
        query = _COLUMNS.where(listings.c.n.in_(ns[start : start + 500]), visible(asker, listings))
        rows |= {row["n"]: row for row in (await connection.execute(query)).mappings()}
    addresses = await _addresses(connection, [row["file_n"] for row in rows.values()], asker)
    return [_info(rows[n], addresses.get(rows[n]["file_n"], "")) for n in ns if n in rows]


async def _addresses(connection: AsyncConnection, file_ns: list[int], asker: Asker) -> dict[int, str]:
    """Where one online source of each of these files answers."""
    found: dict[int, str] = {}
    for start in range(0, len(file_ns), 500):
        chosen = (
            sa.select(entries.c.file_n, sa.func.min(peers.c.n).label("peer_n"))
            .select_from(entries.join(peers))
            .where(entries.c.file_n.in_(file_ns[start : start + 500]), peers.c.online, visible(asker, entries))
            .group_by(entries.c.file_n)
            .subquery()
        )
        query = sa.select(chosen.c.file_n, peers.c.address, peers.c.port).join_from(
            chosen, peers, chosen.c.peer_n == peers.c.n
        )
        for row in await connection.execute(query):
            found[row.file_n] = f"[{row.address}]:{row.port}" if ":" in row.address else f"{row.address}:{row.port}"
    return found


def _info(row: Any, address: str) -> FileInfo:
    return FileInfo(
        id=row["file_id"],
        filename=row["name"],
        size=row["size"],
        hash=row["file_id"],
        category=row["category"],
        tags=json.loads(row["tags"]),
        mime=row["mime"],
        owner=row["owner_id"] or "",
        peer_address=address,
        upload_time=utc(row["upload_time"]),
        modified=utc(row["modified"]) if row["modified"] is not None else None,
        downloads=row["downloads"],
        rating=0.0,
        sources=row["sources"],
        names=json.loads(row["names"]),
        manifest=row["manifest"],
    )
