"""Search over columns in memory, which follow the database: what was committed before a search began is in its answer.

The database numbers every change of a listing (`listing_changes`). Each search first takes up what came after the last
one it knows; a process that starts, or that slept until changes were thrown away, takes up everything.
"""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from common import errors
from superpeer.database.tables import entries, listing_changes, listings, peers
from superpeer.files.catalogue import timestamp
from superpeer.files.columns import Columns, Document, Mask, Numbers
from superpeer.files.listing import tag_line, tidy
from superpeer.files.search import RELEVANT, SearchQuery
from superpeer.files.visible import Asker, visible, visible_documents

COUNTED = 10_000  # totals are exact up to here
KEPT_CHANGES = 100_000
CLOSE = 61  # the bits of a document's rank

Position = tuple[Any, int]  # key and number of the last listing of a page


class Found(NamedTuple):
    """Numbers of listings in order, and how many there are in all, to COUNTED + 1."""

    ns: list[int]
    total: int


class Walked(NamedTuple):
    """The same, and where the last of them stands in the order; None when nothing comes after it."""

    found: Found
    last: Position | None


class Search:
    """Searches, from any thread."""

    def __init__(self) -> None:
        self._columns = Columns()
        self._known = -1  # the last change that the columns have
        self._one_at_a_time = threading.Lock()

    def best(self, connection: sa.Connection, query: SearchQuery, asker: Asker) -> Found:
        """The most relevant listings, as many as a cursor may walk."""
        with self._one_at_a_time:
            self._follow(connection)
            hits = self._hits(connection, query, asker)
            words = query.words()
            key = self._closeness(words, hits) if words else self._columns.column("rank")[hits] >> 8
            ns = self._columns.column("n")[hits]
            order = np.lexsort((ns if words else -ns, key))[:RELEVANT]
            return Found(ns[order].tolist(), min(len(hits), COUNTED + 1))

    def walk(self, connection: sa.Connection, query: SearchQuery, asker: Asker, after: Position | None) -> Walked:
        """One page in any order but relevance, after (key, number)."""
        with self._one_at_a_time:
            self._follow(connection)
            hits = self._hits(connection, query, asker)
            order = self._by_name if query.sort == "name" else self._by_number
            # One more than a page tells whether there is another.
            keyed = order(query, hits, after)[: query.limit + 1]
        page = keyed[: query.limit]
        last = page[-1] if len(keyed) > len(page) else None
        return Walked(Found([n for _, n in page], min(len(hits), COUNTED + 1)), last)

    def follow(self, connection: sa.Connection) -> None:
        """Takes up what changed, so that the next search need not."""
        with self._one_at_a_time:
            self._follow(connection)

    def _follow(self, connection: sa.Connection) -> None:
        change = listing_changes.c.n
        first, last = connection.execute(sa.select(sa.func.min(change), sa.func.max(change))).one()
        first, last = first or 0, last or 0
        if self._known < 0 or first > self._known + 1:
            self._columns = Columns()
            self._columns.put(Document(*row) for row in connection.execute(_DOCUMENTS))
        elif last > self._known:
            changed = sa.select(listing_changes.c.listing_n).where(change > self._known)
            rows = connection.execute(_DOCUMENTS.where(listings.c.n.in_(changed))).all()
            gone = set(connection.scalars(changed)).difference(row[0] for row in rows)
            self._columns.drop(gone)
            self._columns.put(Document(*row) for row in rows)
        self._known = max(self._known, last)

    def _hits(self, connection: sa.Connection, query: SearchQuery, asker: Asker) -> Numbers:
        """The documents that fulfil everything. Raises Invalid."""
        columns = self._columns
        fits: Mask = columns.column("alive") & visible_documents(asker, columns)
        for part in _parts(query):
            holds = np.zeros(len(fits), np.bool_)
            holds[columns.holding(part)[0]] = True
            fits &= holds
        for condition in _conditions(query, columns):
            fits &= condition
        if query.peer or query.region:
            fits &= np.isin(columns.column("n"), _offered_by(connection, query, asker))
        return np.flatnonzero(fits)

    def _closeness(self, words: list[str], hits: Numbers) -> Numbers:
        """The name itself, then names that begin so, then names that hold it, then other names, tags and category.

        Among equals comes first what can be had and was wanted most, then what has a short name.
        """
        whole, columns = " ".join(words), self._columns
        places, positions = columns.holding(whole)
        starts, ends = columns.column("start")[places], columns.column("name_end")[places]
        length = len(whole.encode())
        close = np.where(positions + length <= ends, 2, 3)
        close[positions == starts] = 1
        close[(positions == starts) & (positions + length == ends)] = 0
        closeness = np.full(len(columns.column("n")), 3, np.int64)
        closeness[places] = close
        closer: Numbers = (closeness[hits] << CLOSE) | columns.column("rank")[hits]
        return closer

    def _by_number(self, query: SearchQuery, hits: Numbers, after: Position | None) -> list[Position]:
        """By size, downloads or time, the greatest first."""
        column = {"size": "size", "downloads": "downloads"}.get(query.sort, "upload_time")
        keys, ns = self._columns.column(column)[hits], self._columns.column("n")[hits]
        if after is not None:
            behind = (keys < after[0]) | ((keys == after[0]) & (ns < after[1]))
            keys, ns = keys[behind], ns[behind]
        order = np.lexsort((-ns, -keys))[: query.limit + 1]
        return list(zip(keys[order].tolist(), ns[order].tolist(), strict=True))

    def _by_name(self, query: SearchQuery, hits: Numbers, after: Position | None) -> list[Position]:
        order, ns = self._columns.name_order(), self._columns.column("n")[hits]
        ranks = order.ranks[hits]
        if after is not None:
            here = order.rank(after[0])
            behind = (ranks > here) | ((ranks == here) & (ns > after[1]))
            hits, ranks, ns = hits[behind], ranks[behind], ns[behind]
        first = np.lexsort((ns, ranks))[: query.limit + 1]
        names = (self._columns.names[place] for place in hits[first].tolist())
        return list(zip(names, ns[first].tolist(), strict=True))


_DOCUMENTS = sa.select(*(listings.c[name] for name in Document._fields))


def forget_changes(connection: sa.Connection) -> None:
    """Throws away changes so old that taking up everything costs less."""
    last = sa.select(sa.func.max(listing_changes.c.n)).scalar_subquery()
    connection.execute(listing_changes.delete().where(listing_changes.c.n <= last - KEPT_CHANGES))


def _parts(query: SearchQuery) -> list[str]:
    return [*query.words(), *(tag_line(tag) for tag in query.tag if tidy(tag))]


def _conditions(query: SearchQuery, columns: Columns) -> list[Mask]:
    found: list[Mask] = []
    if query.online:
        found.append(columns.column("online_sources") > 0)
    if query.category:
        found.append(columns.column("category") == columns.word(query.category))
    if query.ext:
        found.append(columns.column("extension") == columns.word(query.ext.lower().removeprefix(".")))
    if query.min_size is not None:
        found.append(columns.column("size") >= query.min_size)
    if query.max_size is not None:
        found.append(columns.column("size") <= query.max_size)
    if query.modified_after is not None:
        found.append(columns.column("modified") > _seconds(query.modified_after))
    return found


def _seconds(moment: datetime) -> float:
    seconds = timestamp(moment)
    if seconds is None:
        raise errors.Invalid("invalid_parameter", "The parameter modified_after does not fit: no such time in UTC.")
    return seconds


def _offered_by(connection: sa.Connection, query: SearchQuery, asker: Asker) -> Sequence[int]:
    """Listings of which a peer is a source, so agrees about the size."""
    wanted = sa.select(peers.c.n)
    if query.peer:
        wanted = wanted.where(peers.c.id == query.peer)
    if query.region:
        wanted = wanted.where(peers.c.region == query.region)
    if query.online:
        wanted = wanted.where(peers.c.online)
    offered = sa.and_(
        entries.c.file_n == listings.c.file_n,
        entries.c.audience == listings.c.audience,
        entries.c.size == listings.c.size,
    )
    query_ = sa.select(listings.c.n).select_from(entries.join(listings, offered))
    return connection.scalars(query_.where(visible(asker, entries), entries.c.peer_n.in_(wanted))).all()
