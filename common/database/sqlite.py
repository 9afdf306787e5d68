"""A SQLite file: one writer, readers that never wait for it (WAL), the schema brought up to date at the start.

Guarantees: work given to `write` is one transaction, all of it or nothing; a file that is damaged, foreign or of a
newer version is refused and left as it is. Threads that need a connection of their own take a `reader()`.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar
from urllib.parse import quote

import aiosqlite

from common.errors import NoSpace, Unavailable

log = logging.getLogger("shoal.database")

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[sqlite3.Connection, P], T]
Synchronous = Literal["NORMAL", "FULL"]

BUSY_TIMEOUT = 5.0  # seconds to wait for another process
ALWAYS_CHECKED = 64 * 1024 * 1024  # bytes; a larger file is read through only after an unclean stop
_PRAGMAS = ("foreign_keys = ON", "trusted_schema = OFF", "journal_size_limit = 16777216", "cache_size = -1024")


class DatabaseUnusable(Exception):
    """The file at `path` cannot be this program's database; `why` says so for a person."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be used as the database: {why}")
        self.path = path
        self.why = why


class Database:
    """Open from `open` to `close`."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(cls, path: Path, migrations: Sequence[str], *, synchronous: Synchronous = "FULL") -> "Database":
        """Creates the file or brings it up to date: migration N leads from version N-1 to N. Raises DatabaseUnusable.

        FULL keeps through a power cut what NORMAL keeps through a kill.
        """
        async with AsyncExitStack() as opened:
            try:
                await asyncio.to_thread(_prepare, path, migrations)
                writer = await aiosqlite.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
                opened.push_async_callback(writer.close)
                reader = await aiosqlite.connect(_read_only(path), uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
                opened.push_async_callback(reader.close)
                await _on(writer, _set_pragmas, f"synchronous = {synchronous}")
                await _on(writer, _try_to_write)
                await _on(reader, _set_pragmas, "query_only = ON")
            except (sqlite3.Error, OSError) as error:
                raise DatabaseUnusable(path, str(error)) from error
            opened.pop_all()
        return cls(path, writer, reader)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work(connection, …)` as one transaction, after those begun before. Raises NoSpace, Unavailable."""
        return await _answered(self._writer, _in_transaction, work, args, kwargs)

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work(connection, …)`, which sees only what is committed. Raises Unavailable."""
        return await _answered(self._reader, work, *args, **kwargs)

    def reader(self) -> sqlite3.Connection:
        """A connection for reading, for one other thread, which closes it."""
        connection = sqlite3.connect(_read_only(self.path), uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
        _set_pragmas(connection, "query_only = ON")
        return connection

    async def close(self) -> None:
        """Ends what was begun, then closes every connection but those of `reader()`."""
        await self._reader.close()
        await self._writer.close()


async def _answered(connection: aiosqlite.Connection, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    try:
        return await _on(connection, work, *args, **kwargs)
    except sqlite3.OperationalError as error:
        raise _refusal(error) from error


async def _on(connection: aiosqlite.Connection, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Runs `work` on the connection's thread: several statements in one round trip, which aiosqlite has no name for."""
    execute: Callable[..., Awaitable[T]] = connection._execute
    return await execute(work, connection._conn, *args, **kwargs)


def _in_transaction(
    connection: sqlite3.Connection, work: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection, *args, **kwargs)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return result


def _refusal(error: sqlite3.OperationalError) -> Exception:
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
        return NoSpace("disk_full", "There is no room left on the disk that holds the database.")
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY):
        return error
    log.error("database does not answer", extra={"error": str(error)})
    return Unavailable("database_unavailable", "The database does not answer; try again.", retry_after=5)


def _read_only(path: Path) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}?mode=ro"


def _set_pragmas(connection: sqlite3.Connection, *more: str) -> None:
    for pragma in (*_PRAGMAS, *more):
        connection.execute(f"PRAGMA {pragma}")


def _try_to_write(connection: sqlite3.Connection) -> None:
    """A file that is there for reading only should be known of now, not at the first change."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _prepare(path: Path, migrations: Sequence[str]) -> None:
    version = _inspect(path, len(migrations)) if path.exists() and path.stat().st_size else 0
    if version < len(migrations):
        _migrate(path, version, migrations)


def _inspect(path: Path, newest: int) -> int:
    """The version of an existing file. Opens it for reading only, so that what is refused stays as it is."""
    unclean = _size(Path(f"{path}-wal")) > 0
    with closing(sqlite3.connect(_read_only(path), uri=True, timeout=BUSY_TIMEOUT)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version > newest:
            raise DatabaseUnusable(path, f"it is of version {version}, and this program knows only {newest}")
        if version < 0 or (version == 0 and tables):
            raise DatabaseUnusable(path, "it belongs to another program")
        if unclean or path.stat().st_size <= ALWAYS_CHECKED:
            _check(path, connection)
    return version


def _check(path: Path, connection: sqlite3.Connection) -> None:
    problem: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise DatabaseUnusable(path, f"it is damaged ({problem.splitlines()[-1]})")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _migrate(path: Path, version: int, migrations: Sequence[str]) -> None:
    """All that is missing in one transaction, so a file is of the old version or of the new one."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        script = "\n".join(migrations[version:])
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {len(migrations)};\nCOMMIT;")
