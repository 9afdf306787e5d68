"""Search over SQLite: FTS5 finds listings whose text holds every word, ordinary conditions narrow them.

No text of a query reaches FTS syntax: words are quoted, words too short for three-letter pieces are compared as they
are.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from superpeer.database.tables import entries, listings, peers
from superpeer.files.listing import fold
from superpeer.files.search import RELEVANT, SearchQuery
from superpeer.files.visible import Asker, visible

COUNTED = 10_000  # totals are exact up to here
PIECE = 3  # letters; FTS5's trigram tokenizer finds nothing shorter

KEYS: dict[str, tuple[sa.ColumnElement[Any], bool]] = {  # order → (column, descending)
    "name": (listings.c.sort_name, False),
    "size": (listings.c.size, True),
    "downloads": (listings.c.downloads, True),
    "date": (listings.c.upload_time, True),
}
_text = sa.table("listing_text", sa.column("rowid"), sa.column("text"))


class Found(NamedTuple):
    """Numbers of listings in order; `total` counts to COUNTED, one more stands for more."""

    ns: list[int]
    total: int


def conditions(query: SearchQuery, asker: Asker) -> list[sa.ColumnElement[bool]]:
    """Everything that a listing must fulfil."""
    found = [visible(asker, listings)]
    if query.online:
        found.append(listings.c.online_sources > 0)
    if query.category:
        found.append(listings.c.category == query.category)
    if query.ext:
        found.append(listings.c.extension == query.ext.lower().removeprefix("."))
    if query.min_size is not None:
        found.append(listings.c.size >= query.min_size)
    if query.max_size is not None:
        found.append(listings.c.size <= query.max_size)
    if query.modified_after is not None:
        found.append(listings.c.modified > query.modified_after.timestamp())
    found += [_tagged(tag) for tag in query.tag]
    if query.peer or query.region:
        found.append(_offered_by(query, asker))
    return found + _holding(query.words())


def _tagged(tag: str) -> sa.ColumnElement[bool]:
    each = sa.func.json_each(listings.c.tags).table_valued("value")
    return sa.exists(sa.select(1).select_from(each).where(sa.func.lower(each.c.value) == fold(tag)))


def _offered_by(query: SearchQuery, asker: Asker) -> sa.ColumnElement[bool]:
    offers = (
        sa.select(1)
        .select_from(entries.join(peers))
        .where(entries.c.file_n == listings.c.file_n, visible(asker, entries))
    )
    if query.peer:
        offers = offers.where(peers.c.id == query.peer)
    if query.region:
        offers = offers.where(peers.c.region == query.region)
    return sa.exists(offers.where(peers.c.online) if query.online else offers)


def _holding(words: list[str]) -> list[sa.ColumnElement[bool]]:
    if not words:
        return []
    text = sa.select(_text.c.rowid)
    pieces = ['"' + word.replace('"', '""') + '"' for word in words if len(word) >= PIECE]
    if pieces:
        text = text.where(_text.c.text.op("MATCH")(" AND ".join(pieces)))
    for word in words:
        if len(word) < PIECE:
            text = text.where(sa.func.instr(_text.c.text, word) > 0)
    return [listings.c.n.in_(text)]


def relevance(query: SearchQuery) -> list[sa.ColumnElement[Any]]:
    """The name itself, then names that begin so, then what can be had and was wanted most, then short names."""
    whole = " ".join(query.words())
    closeness = [
        sa.desc(listings.c.sort_name == whole),
        sa.desc(sa.func.instr(listings.c.sort_name, whole) == 1),
        sa.desc(sa.func.instr(listings.c.sort_name, whole) > 1),
    ]
    popular = [sa.desc(listings.c.online_sources), sa.desc(listings.c.downloads)]
    return [*(closeness if whole else []), *popular, sa.func.length(listings.c.name), listings.c.n]


async def first_page(connection: AsyncConnection, query: SearchQuery, asker: Asker) -> Found:
    """The best listings in the order asked for, as many as a page or a relevance cursor may need, and the total."""
    holds = conditions(query, asker)
    if query.sort == "relevance":
        ordered = sa.select(listings.c.n).where(*holds).order_by(*relevance(query)).limit(RELEVANT)
    else:
        ordered = _walk(query, holds, None)
    ns = [row.n for row in await connection.execute(ordered)]
    return Found(
        ns, await _total(connection, holds, len(ns), RELEVANT if query.sort == "relevance" else query.limit + 1)
    )


async def next_page(connection: AsyncConnection, query: SearchQuery, asker: Asker, after: tuple[Any, int]) -> Found:
    """The page after (key, number) in any order but relevance."""
    holds = conditions(query, asker)
    ns = [row.n for row in await connection.execute(_walk(query, holds, after))]
    return Found(ns, await _total(connection, holds, COUNTED + 1, 0))


def _walk(
    query: SearchQuery, holds: list[sa.ColumnElement[bool]], after: tuple[Any, int] | None
) -> sa.Select[tuple[int]]:
    """One page and a row more, which tells whether there is another."""
    column, descending = KEYS.get(query.sort, KEYS["date"])
    statement = sa.select(listings.c.n).where(*holds)
    if after is not None:
        here, there = sa.tuple_(column, listings.c.n), sa.tuple_(sa.literal(after[0]), sa.literal(after[1]))
        statement = statement.where(here < there if descending else here > there)
    order = (sa.desc(column), sa.desc(listings.c.n)) if descending else (column, listings.c.n)
    return statement.order_by(*order).limit(query.limit + 1)


async def _total(connection: AsyncConnection, holds: list[sa.ColumnElement[bool]], fetched: int, bound: int) -> int:
    """Counted only when what was fetched does not already say it."""
    if fetched < bound:
        return fetched
    some = sa.select(listings.c.n).where(*holds).limit(COUNTED + 1).subquery()
    return int(await connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0)
