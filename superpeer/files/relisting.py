"""Keeps listings true to the entries that they are made of, in the transaction that changes those.

Where entries went or changed, a listing is made anew from all that are left. Where some only came, what is listed is
extended by them, so that a content that thousands have costs no more to announce than one that few have.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from superpeer.database.tables import entries, files, listings, peers
from superpeer.files.listing import extended, groups, listing

T = TypeVar("T")
SAID = 256  # entries of one content that one peer is heard about: a listing shows fewer names than that
BATCH = 500  # keys a statement
Key = tuple[int, str]  # file and audience
Row = dict[str, Any]


class Offer(NamedTuple):
    """What makes a peer a source: that it has the file, for this audience, and agrees about the size."""

    file_n: int
    audience: str
    size: int


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def offers(connection: sa.Connection, peer_n: int, file_ns: Iterable[int]) -> set[Offer]:
    """What a peer offers of these files."""
    found: set[Offer] = set()
    query = sa.select(entries.c.file_n, entries.c.audience, entries.c.size).where(entries.c.peer_n == peer_n)
    for batch in batches(file_ns):
        rows = connection.execute(query.where(entries.c.file_n.in_(batch)))
        found |= {Offer(*row) for row in rows.all()}
    return found


def relist(connection: sa.Connection, file_ns: Iterable[int]) -> None:
    """Makes the listings of these files anew, and drops files without entries."""
    for batch in batches(file_ns):
        announced = connection.execute(_said(batch)).all()
        wanted = {key: listing(group) for key, group in groups(announced).items()}
        old = _listed(connection, batch)
        _drop(connection, [row["n"] for key, row in old.items() if key not in wanted])
        _write(connection, list(wanted.values()))
        orphans = set(batch).difference(file_n for file_n, _ in wanted)
        connection.execute(files.delete().where(files.c.n.in_(orphans)))


def extend(connection: sa.Connection, peer_n: int, came: Sequence[Row], had: set[Offer]) -> None:
    """Lists entries of one peer that came and took nobody's place; `had` is what it offered before them."""
    online = bool(connection.scalar(sa.select(peers.c.online).where(peers.c.n == peer_n)))
    by_key: dict[Key, list[Row]] = {}
    for row in came:
        by_key.setdefault((row["file_n"], row["audience"]), []).append(row)
    anew: set[int] = set()
    for batch in batches({file_n for file_n, _ in by_key}):
        old = _listed(connection, batch)
        alike = {key for key in old.keys() & by_key if all(row["size"] == old[key]["size"] for row in by_key[key])}
        anew |= {key[0] for key in by_key.keys() - alike} & set(batch)
        wanted = {
            key: extended(old[key], by_key[key], newcomer=Offer(*key, old[key]["size"]) not in had, online=online)
            for key in alike
            if key[0] not in anew
        }
        _write(connection, list(wanted.values()))
    relist(connection, anew)


def recount(connection: sa.Connection, peer_ns: Sequence[int]) -> None:
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
    count, least = sa.func.count(sa.distinct(entries.c.peer_n)), sa.func.min(entries.c.peer_n)
    connection.execute(
        listings.update()
        .where(listings.c.file_n.in_(theirs))
        .values(
            online_sources=online.with_only_columns(count).scalar_subquery(),
            source_n=online.with_only_columns(least).scalar_subquery(),
        )
    )


_ENTRY = (
    sa.select(
        *(column for column in entries.c if column.name not in ("n", "path", "round")),
        files.c.downloads,
        peers.c.online,
        peers.c.registered_from,
        peers.c.public_key.is_not(None).label("keyed"),
    )
    .select_from(entries.join(files).join(peers))
    .order_by(entries.c.n)
)


def _said(file_ns: list[int]) -> sa.Select[Any]:
    """The entries of these files; of each, one peer is heard about no more than SAID names and tags, each once."""
    alike = [entries.c[name] for name in ("file_n", "audience", "size", "peer_n")]
    first = sa.func.min(entries.c.n).label("n")
    named = (
        sa.select(first, *alike).where(entries.c.file_n.in_(file_ns)).group_by(*alike, entries.c.name, entries.c.tags)
    )
    said = named.subquery()
    turn = sa.func.row_number().over(partition_by=[said.c[c.name] for c in alike], order_by=said.c.n).label("turn")
    turns = sa.select(said.c.n, turn).subquery()
    return _ENTRY.where(entries.c.n.in_(sa.select(turns.c.n).where(turns.c.turn <= SAID)))


def _listed(connection: sa.Connection, file_ns: list[int]) -> dict[Key, Row]:
    """The listings of these files as they stand."""
    rows = connection.execute(sa.select(listings).where(listings.c.file_n.in_(file_ns)))
    return {(row["file_n"], row["audience"]): dict(row) for row in rows.mappings().all()}


def _drop(connection: sa.Connection, ns: list[int]) -> None:
    if ns:
        connection.execute(listings.delete().where(listings.c.n.in_(ns)))


def _write(connection: sa.Connection, rows: list[Row]) -> None:
    if rows:
        statement = insert(listings)
        fresh = {name: statement.excluded[name] for name in rows[0]}
        connection.execute(statement.on_conflict_do_update(index_elements=["file_n", "audience"], set_=fresh), rows)
