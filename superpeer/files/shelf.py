"""Reads of the index: files as they are shown, and who has them. Every query passes `visible(asker)`."""

from typing import Any, NamedTuple

import sqlalchemy as sa

from common import errors
from common.http.addresses import url_host
from common.http.paging import decode_cursor, encode_cursor
from common.runtime.clock import Clock, utc
from common.wire.files import FileInfo, SearchAnswer
from superpeer.database.connections import Database
from superpeer.database.tables import entries, facts, files, listings, peers
from superpeer.files.index import DOWNLOADS, bounded, sum_of
from superpeer.files.listing import words_of
from superpeer.files.search import FixedResults, SearchQuery
from superpeer.files.search_memory import COUNTED, Found, Position, Search, forget_changes
from superpeer.files.visible import ANYONE, Asker, visible

GONE = "No peer offers this file (any more). Search for it by its name: one that has changed has another id."


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


class Shown(NamedTuple):
    """Listings in order, and what is shown of them."""

    found: Found
    infos: dict[int, FileInfo]


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
        self._search = Search()

    async def follow(self) -> None:
        """Takes up what changed in the index before somebody searches."""
        await self._database.read(self._search.follow)

    async def forget_changes(self) -> None:
        """Throws away what nobody has to follow any more."""
        await self._database.write(forget_changes)

    async def search(self, query: SearchQuery, asker: Asker = ANYONE) -> SearchAnswer:
        """One page of results with what stands around it."""
        page = await self.page(query, asker)
        count = len(page.files)
        return SearchAnswer(page.files, count, page.total, page.total_exact, query.q, page.next_cursor)

    async def page(self, query: SearchQuery, asker: Asker = ANYONE) -> Page:
        """One page in the order asked for. Raises Invalid or Gone for a cursor that leads nowhere."""
        turn = self._relevant if query.sort == "relevance" else self._walked
        (found, infos), cursor = await turn(query, asker)
        shown = [infos[n] for n in found.ns if n in infos]  # one that went meanwhile is left out
        return Page(shown, min(found.total, COUNTED), found.total <= COUNTED, cursor)

    async def _relevant(self, query: SearchQuery, asker: Asker) -> tuple[Shown, str | None]:
        now = self._clock.monotonic()
        if query.cursor:
            name, start = decode_cursor(query.cursor, "relevance", (str, int))
            start, stop = max(start, 0), max(start, 0) + query.limit
            ns, total = self._fixed.find(name, now)
            infos = await self._database.read(_infos, ns[start:stop], asker)
        else:
            name, start, stop = "", 0, query.limit
            (ns, total), infos = await self._database.read(self._best, query, asker)
        found = Found(ns[start:stop], total)
        if stop >= len(ns):
            return Shown(found, infos), None
        return Shown(found, infos), encode_cursor("relevance", name or self._fixed.keep(ns, total, now), stop)

    async def _walked(self, query: SearchQuery, asker: Asker) -> tuple[Shown, str | None]:
        after = _position(query) if query.cursor else None
        shown, last = await self._database.read(self._walk, query, asker, after)
        return shown, encode_cursor(query.sort, *last) if last else None

    def _best(self, connection: sa.Connection, query: SearchQuery, asker: Asker) -> Shown:
        found = self._search.best(connection, query, asker)
        return Shown(found, _infos(connection, found.ns[: query.limit], asker))

    def _walk(
        self, connection: sa.Connection, query: SearchQuery, asker: Asker, after: Position | None
    ) -> tuple[Shown, Position | None]:
        found, last = self._search.walk(connection, query, asker, after)
        return Shown(found, _infos(connection, found.ns, asker)), last

    async def file(self, file_id: str, asker: Asker = ANYONE) -> FileInfo:
        """One file. Raises NotFound."""
        query = _LISTED.where(files.c.id == file_id, visible(asker, listings)).limit(1)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise errors.NotFound("file_not_found", GONE)
        return _info(row)

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
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        if not rows:
            raise errors.NotFound("file_not_found", GONE)
        return rows[0].n, [Holder(row.peer_n, row.manifest) for row in rows]

    async def is_announced(self, file_id: str) -> bool:
        """Whether anybody announces this file, for whatever eyes: for deciding what not to tell."""
        return await self._database.read(_number, sa.select(files.c.n).where(files.c.id == file_id)) is not None

    async def number(self, file_id: str, asker: Asker = ANYONE) -> int | None:
        """The number of a file, if the asker may see it."""
        query = sa.select(files.c.n).join(listings).where(files.c.id == file_id, visible(asker, listings))
        return await self._database.read(_number, query)

    async def totals(self, asker: Asker = ANYONE) -> Totals:
        """How much there is to see, and how often something was downloaded since the first start."""
        downloads = sa.select(facts.c.value).where(facts.c.name == DOWNLOADS).scalar_subquery()
        query = sa.select(sa.func.count(), sum_of(listings.c.size), downloads).where(visible(asker, listings))
        count, size, downloaded = await self._database.read(lambda connection: connection.execute(query).one())
        return Totals(count, bounded(size), int(downloaded or 0))

    async def categories(self, asker: Asker = ANYONE) -> dict[str, int]:
        """How many files there are of each category, most first."""
        count = sa.func.count().label("count")
        query = sa.select(listings.c.category, count).where(visible(asker, listings), listings.c.online_sources > 0)
        query = query.group_by(listings.c.category).order_by(sa.desc("count"))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.category: row[1] for row in rows}


def _number(connection: sa.Connection, query: sa.Select[Any]) -> int | None:
    found: int | None = connection.scalar(query.limit(1))
    return found


def _position(query: SearchQuery) -> Position:
    kind: tuple[type, ...] = {"name": (str, int), "size": (int, int), "downloads": (int, int)}.get(
        query.sort, (float, int)
    )
    key, n = decode_cursor(query.cursor, query.sort, kind)
    return key, n


_source = peers.alias("source")
_LISTED = sa.select(
    listings.c.n,
    files.c.id,
    *(
        listings.c[name]
        for name in (
            "name",
            "size",
            "category",
            "tags",
            "mime",
            "upload_time",
            "modified",
            "downloads",
            "sources",
            "names",
            "manifest",
        )
    ),
    peers.c.id.label("owner"),
    _source.c.address,
    _source.c.port,
).select_from(
    listings.join(files)
    .outerjoin(peers, peers.c.n == listings.c.owner_n)
    .outerjoin(_source, _source.c.n == listings.c.source_n)
)


def _infos(connection: sa.Connection, ns: list[int], asker: Asker) -> dict[int, FileInfo]:
    """These listings by number."""
    if not ns:
        return {}
    rows = connection.execute(_LISTED.where(listings.c.n.in_(ns), visible(asker, listings)))
    return {row.n: _info(row) for row in rows}


def _info(row: Any) -> FileInfo:
    _, file_id, name, size, category, tags, mime, announced, modified, downloads, sources, names, manifest, *more = row
    owner, address, port = more
    return FileInfo(
        id=file_id,
        filename=name,
        size=size,
        hash=file_id,
        category=category,
        tags=words_of(tags),
        mime=mime,
        owner=owner or "",
        peer_address="" if address is None else f"{url_host(address)}:{port}",
        upload_time=utc(announced),
        modified=None if modified is None else utc(modified),
        downloads=downloads,
        rating=0.0,
        sources=sources,
        names=words_of(names),
        manifest=manifest,
    )
