"""Search over SQLite: FTS5 finds listings whose text holds every word, ordinary conditions narrow them.

No text of a query reaches FTS syntax: what is looked for is quoted, words too short for three-letter pieces are
compared as they are. Each page is one statement: ids and total are of one state of the index.
"""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from common import errors
from superpeer.database.tables import entries, listings, peers
from superpeer.files.catalogue import timestamp
from superpeer.files.listing import tag_line, tidy
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
    """Numbers of listings in order; `total` counts to COUNTED, more stands for more."""

    ns: list[int]
    total: int


class Walked(NamedTuple):
    """The same, and where the last of them stands in the order; None when nothing comes after it."""

    found: Found
    last: tuple[Any, int] | None


def conditions(query: SearchQuery, asker: Asker) -> list[sa.ColumnElement[bool]]:
    """Everything that a listing must fulfil. Raises Invalid."""
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
        found.append(_modified_after(query.modified_after))
    if query.peer or query.region:
        found.append(_offered_by(query, asker))
    return found + _holding(query)


def _modified_after(moment: datetime) -> sa.ColumnElement[bool]:
    seconds = timestamp(moment)
    if seconds is None:
        raise errors.Invalid("invalid_parameter", "The parameter modified_after does not fit: no such time in UTC.")
    return listings.c.modified > seconds


def _offered_by(query: SearchQuery, asker: Asker) -> sa.ColumnElement[bool]:
    """By a peer that is a source, so one that agrees about the size."""
    wanted = sa.select(peers.c.n)
    if query.peer:
        wanted = wanted.where(peers.c.id == query.peer)
    if query.region:
        wanted = wanted.where(peers.c.region == query.region)
    if query.online:
        wanted = wanted.where(peers.c.online)
    return sa.exists().where(
        entries.c.file_n == listings.c.file_n,
        visible(asker, entries),
        entries.c.size == listings.c.size,
        entries.c.peer_n.in_(wanted),
    )


def _holding(query: SearchQuery) -> list[sa.ColumnElement[bool]]:
    """The text holds all words and tags. Each part narrows what the next has to look at."""
    words, tags = query.words(), [tag_line(tag) for tag in query.tag if tidy(tag)]
    found: list[sa.ColumnElement[bool]] = []
    pieces = ['"' + part.replace('"', '""') + '"' for part in (*words, *tags) if len(part) >= PIECE]
    if pieces:
        matching = sa.select(_text.c.rowid).where(_text.c.text.op("MATCH")(" AND ".join(pieces)))
        found.append(listings.c.n.in_(matching))
    return found + [sa.func.instr(listings.c.text, word) > 0 for word in words if len(word) < PIECE]


async def best(connection: AsyncConnection, query: SearchQuery, asker: Asker) -> Found:
    """The most relevant listings, as many as a cursor may walk, and how many there are."""
    words, holds = query.words(), conditions(query, asker)
    ordered, total = _closest(words, holds) if words else _most_popular(holds)
    ns = sa.func.json_group_array(ordered.limit(RELEVANT).subquery().c.n)
    row = (await connection.execute(sa.select(ns, total.scalar_subquery()))).one()
    return Found(msgspec.json.decode(row[0], type=list[int]), row[1])


Ordered = tuple[sa.Select[Any], sa.Select[Any]]


def _closest(words: list[str], holds: list[sa.ColumnElement[bool]]) -> Ordered:
    """The name itself, then names that begin so, then names that hold it, then other names, tags and category.

    Among equals comes first what can be had and was wanted most, then what has a short name.
    """
    whole = " ".join(words)
    beginning = sa.case((listings.c.sort_name == whole, 0), else_=1)
    closeness = sa.case({0: 3, 1: beginning}, value=sa.func.instr(listings.c.sort_name, whole), else_=2)
    keys = (closeness, -listings.c.online_sources, -listings.c.downloads, sa.func.length(listings.c.name))
    # Found once, for the order and for the total.
    hits = sa.select(*(key.label(f"key_{n}") for n, key in enumerate(keys)), listings.c.n).where(*holds).cte("hits")
    return sa.select(hits.c.n).order_by(*hits.c), sa.select(sa.func.count()).select_from(hits)


def _most_popular(holds: list[sa.ColumnElement[bool]]) -> Ordered:
    """What can be had and was wanted most, the newest first: the order of an index, read no further than needed."""
    keys = (listings.c.online_sources, listings.c.downloads, listings.c.n)
    return sa.select(listings.c.n).where(*holds).order_by(*map(sa.desc, keys)), _counted(holds)


def _counted(holds: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(sa.select(listings.c.n).where(*holds).limit(COUNTED + 1).subquery())


async def walk(connection: AsyncConnection, query: SearchQuery, asker: Asker, after: tuple[Any, int] | None) -> Walked:
    """One page in any order but relevance, after (key, number)."""
    column, descending = KEYS.get(query.sort, KEYS["date"])
    holds = conditions(query, asker)
    total = _counted(holds).scalar_subquery()
    statement = sa.select(listings.c.n, column, total).where(*holds)
    if after is not None:
        here, there = sa.tuple_(column, listings.c.n), sa.tuple_(sa.literal(after[0]), sa.literal(after[1]))
        statement = statement.where(here < there if descending else here > there)
    order = (sa.desc(column), sa.desc(listings.c.n)) if descending else (column, listings.c.n)
    # One row more than a page tells whether there is another.
    rows = (await connection.execute(statement.order_by(*order).limit(query.limit + 1))).all()
    page = rows[: query.limit]
    counted_total = rows[0][2] if rows else await connection.scalar(sa.select(total))
    last = (page[-1][1], page[-1][0]) if len(rows) > len(page) else None
    return Walked(Found([row[0] for row in page], counted_total or 0), last)
