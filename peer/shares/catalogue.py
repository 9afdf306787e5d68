"""What the super-peer is to be told: entries that it does not have, or has otherwise than they are.

Nothing is announced twice without need, after a restart neither: an entry is `dirty` until what was announced is what
it is. One that changed while its announcement was on the way stays dirty.
"""

import asyncio
import json
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime

from common.content.categories import mime_of
from common.database.sqlite import Database
from common.runtime.clock import utc
from common.wire.files import MAX_ENTRIES, Entry

_LATEST = 253402300799  # the end of the year 9999


@dataclass(slots=True)
class Pending:
    """Some changes, oldest first; `more` when there are others. `changes` belongs to `add`, one number each."""

    add: list[Entry] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    more: bool = False
    changes: list[int] = field(default_factory=list)


class Catalogue:
    """The announced side of the library. `changed` is set when something is pending; whoever waits clears it."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.catalogue_id = ""
        self.announced_version = 0
        self.restarting = True
        self._database: Database

    async def open(self, database: Database) -> None:
        """Reads how far the last run got."""
        self._database = database
        self._hold(*await database.read(_read))
        self.changed.set()

    async def pending(self, limit: int = MAX_ENTRIES) -> Pending:
        """At most `limit` changes that were not announced yet."""
        return await self._database.read(pending, limit)

    async def mark_announced(self, sent: Pending, version: int, *, complete: bool = False) -> None:
        """What was sent is now held as `version`; `complete` if that ended the beginning anew."""
        self._hold(*await self._database.write(mark_announced, sent, version, complete))

    async def restart_catalogue(self) -> None:
        """Everything is to be announced again, from version 0."""
        self._hold(*await self._database.write(restart))
        self.changed.set()

    def _hold(self, catalogue_id: str, version: int, restarting: int) -> None:
        self.catalogue_id, self.announced_version, self.restarting = catalogue_id, version, bool(restarting)


def pending(connection: sqlite3.Connection, limit: int) -> Pending:
    """The oldest dirty entries: those offered are to be added, the others to be removed."""
    found = connection.execute(
        "SELECT offered, change, path, entry.hash, entry.size, mtime_ns, category, tags, audience, digest"
        " FROM entry LEFT JOIN reading ON reading.hash = entry.hash WHERE dirty ORDER BY change, id LIMIT ?",
        (limit + 1,),
    ).fetchall()
    some = Pending(more=len(found) > limit)
    for offered, change, path, *rest in found[:limit]:
        if offered:
            some.add.append(_entry(path, *rest))
            some.changes.append(change)
        else:
            some.remove.append(path)
    return some


def mark_announced(connection: sqlite3.Connection, sent: Pending, version: int, complete: bool) -> tuple[str, int, int]:
    """By path, which may have passed from one entry to another meanwhile: the super-peer knows nothing else."""
    connection.executemany(
        "UPDATE entry SET announced = 1, dirty = change <> ? OR NOT offered WHERE path = ?",
        [(change, entry.path) for entry, change in zip(sent.add, sent.changes, strict=True)],
    )
    connection.executemany(
        "UPDATE entry SET announced = 0, dirty = offered WHERE path = ?", [(path,) for path in sent.remove]
    )
    connection.execute("UPDATE catalogue SET version = ?, restarting = restarting AND NOT ?", (version, complete))
    return _read(connection)


def restart(connection: sqlite3.Connection) -> tuple[str, int, int]:
    """The super-peer is taken to have nothing of ours, or nothing that counts."""
    connection.execute("UPDATE entry SET announced = 0, dirty = offered WHERE announced OR dirty <> offered")
    connection.execute("UPDATE catalogue SET version = 0, restarting = 1")
    return _read(connection)


def modified_at(mtime_ns: int) -> datetime | None:
    """A file's time as the wire can tell it; None for one outside of the years 1 to 9999."""
    seconds = mtime_ns / 1e9
    return utc(seconds) if -62135596800 <= seconds < _LATEST else None


def _entry(
    path: str, file_id: str, size: int, mtime_ns: int, category: str, tags: str, audience: str, manifest: str | None
) -> Entry:
    return Entry(
        path=path,
        id=file_id,
        size=size,
        modified=modified_at(mtime_ns),
        mime=mime_of(path),
        category=category,
        tags=json.loads(tags),
        manifest=manifest,
        audience=audience,
    )


def _read(connection: sqlite3.Connection) -> tuple[str, int, int]:
    found: tuple[str, int, int] = connection.execute("SELECT id, version, restarting FROM catalogue").fetchone()
    return found
