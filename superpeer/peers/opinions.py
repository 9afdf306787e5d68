"""The rows of what reporters think of sources."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from superpeer.database.connections import Database
from superpeer.database.tables import opinions, peers
from superpeer.peers.reputation import Opinion

Pair = tuple[int, int]  # source and reporter, by number
BATCH = 500
_FIELDS = ("address", "verified", "good", "bad", "speed", "at")


class OpinionStore:
    """Reads and writes of the table `opinions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[tuple[int, int, Opinion]]:
        """All of them: source, reporter, opinion."""
        return await self._database.read(_load)

    async def write(self, changed: Mapping[Pair, Opinion | None]) -> None:
        """Writes these; None is one that is dropped. What is of a source that was forgotten meanwhile is left out."""
        if changed:
            await self._database.write(_write, changed)


def _load(connection: sa.Connection) -> list[tuple[int, int, Opinion]]:
    rows = connection.execute(sa.select(opinions)).mappings()
    return [(row["source_n"], row["reporter_n"], Opinion(*(row[name] for name in _FIELDS))) for row in rows]


def _write(connection: sa.Connection, changed: Mapping[Pair, Opinion | None]) -> None:
    gone = [{"source": source, "reporter": reporter} for (source, reporter), opinion in changed.items() if not opinion]
    if gone:
        this = opinions.c.source_n == sa.bindparam("source"), opinions.c.reporter_n == sa.bindparam("reporter")
        connection.execute(opinions.delete().where(*this), gone)
    here = _known(connection, sorted({source for source, _ in changed}))
    rows = [
        {"source_n": source, "reporter_n": reporter} | {name: getattr(opinion, name) for name in _FIELDS}
        for (source, reporter), opinion in changed.items()
        if opinion and source in here
    ]
    if rows:
        statement = insert(opinions)
        fresh = {name: statement.excluded[name] for name in _FIELDS}
        connection.execute(statement.on_conflict_do_update(index_elements=["source_n", "reporter_n"], set_=fresh), rows)


def _known(connection: sa.Connection, ns: list[int]) -> set[int]:
    """Those of these peers that are not forgotten."""
    batches = (ns[start : start + BATCH] for start in range(0, len(ns), BATCH))
    return {n for batch in batches for n in connection.scalars(sa.select(peers.c.n).where(peers.c.n.in_(batch)))}
