"""Connections to the super-peer's database: many readers, one writer at a time, and the schema brought up to date.

Guarantees: a reader never waits for the writer (WAL); what `write()` leaves without an error is committed; a file
that is damaged or of a newer version is refused untouched.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from common import errors
from common.database.sqlite import DatabaseUnusable

log = logging.getLogger("shoal.database")

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[sa.Connection, P], T]
_unfinished: set[asyncio.Task[Any]] = set()

BUSY_TIMEOUT = 5.0  # seconds that a writer waits for another process
READERS = 4
HEAD = "0003"
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # The index can be announced again, so a power cut may lose its last moment; a killed process loses nothing.
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cache_size=-32768",
    "PRAGMA mmap_size=268435456",
    "PRAGMA journal_size_limit=67108864",
)


class Database:
    """One writer and several readers of one SQLite file, each in a thread of its own.

    Work is a plain function of a connection: its statements follow each other without a way through the loop.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers = _engine(path, READERS, begin="BEGIN")
        self._writer = _engine(path, 1, begin="BEGIN IMMEDIATE")
        self._reading = ThreadPoolExecutor(READERS, "database-reader")
        self._writing = ThreadPoolExecutor(1, "database-writer")
        self._closed = False

    async def open(self) -> None:
        """Creates or upgrades the schema. Raises DatabaseUnusable."""
        await asyncio.to_thread(_inspect, self.path)
        try:
            await _in(self._writing, self._written, _upgrade)
        except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
            await self.close()
            raise DatabaseUnusable(self.path, _reason(error)) from error

    async def close(self) -> None:
        """Ends the transactions that are running, refuses those that wait, then closes every connection."""
        self._closed = True
        for threads, engine in ((self._writing, self._writer), (self._reading, self._readers)):
            await asyncio.to_thread(threads.shutdown)
            engine.dispose()

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work(connection, …)`, which sees one state of the database, the newest. Raises Unavailable."""
        self._check_open()
        with _refusing():
            return await _in(self._reading, self._read, work, *args, **kwargs)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work(connection, …)` as one transaction after those begun before. Raises Unavailable, NoSpace.

        Once begun it is done to its end, whether or not its caller still waits.
        """
        self._check_open()
        with _refusing():
            return await _in(self._writing, self._written, work, *args, **kwargs)

    def _read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._readers.connect() as connection:
            return work(connection, *args, **kwargs)

    def _written(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()  # again: it may have waited for its turn
        with self._writer.begin() as connection:
            return work(connection, *args, **kwargs)

    def _check_open(self) -> None:
        if self._closed:
            raise errors.Unavailable("shutting_down", "The super-peer is stopping.")


async def _in(threads: ThreadPoolExecutor, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, partial(work, *args, **kwargs))


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Awaits `work`, which goes on when whoever waits for it is cancelled (a caller hung up).

    For what changes the database and then memory: the one without the other would make them differ.
    """
    task = asyncio.create_task(work)
    _unfinished.add(task)
    task.add_done_callback(_finished)
    return await asyncio.shield(task)


def _finished(task: asyncio.Task[Any]) -> None:
    _unfinished.discard(task)
    if not task.cancelled():
        task.exception()  # told to whoever waited, if anybody still did


class _refusing:
    """Turns a locked, full or broken database into a refusal that says when to come back."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, (sa.exc.DBAPIError, sa.exc.TimeoutError)):
            return
        reason = _reason(error)
        if "disk is full" in reason:
            raise errors.NoSpace("disk_full", "The super-peer's disk is full; its owner has to make room.") from error
        if isinstance(error, (sa.exc.OperationalError, sa.exc.TimeoutError)):
            log.error("database does not answer", extra={"error": reason})
            raise errors.Unavailable("database_unavailable", "The database does not answer; try again.") from error


def _reason(error: Exception) -> str:
    return str(error.orig) if isinstance(error, sa.exc.DBAPIError) else str(error)


def _engine(path: Path, size: int, begin: str) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=sa.QueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        for pragma in PRAGMAS:
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _inspect(path: Path) -> None:
    """Looks at an existing file without writing to it."""
    if not path.exists():
        return
    if not path.is_file():
        raise DatabaseUnusable(path, "it is not a file")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
        try:
            problems = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            versions = (
                [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
                if "alembic_version" in tables
                else []
            )
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DatabaseUnusable(path, str(error)) from error
    if problems != ["ok"]:
        last = str(problems[0]).splitlines()[-1]
        raise DatabaseUnusable(path, f"it is damaged ({last}); move it away to begin a new one, or restore a copy")
    if tables and not versions:
        raise DatabaseUnusable(path, "it belongs to another program")
    if any(version > HEAD for version in versions):
        raise DatabaseUnusable(path, f"a newer version wrote it (schema {versions[0]}, known here: {HEAD})")


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
