"""A library's tables in memory, filled by hand."""

import sqlite3
from collections.abc import Iterable

from peer.shares import share_store, store
from peer.shares.agenda import Place
from peer.shares.offers import News, review
from peer.shares.schema import MIGRATIONS
from peer.shares.store import Proof
from peer.shares.tree import Rules, Seen

NOW = 1_700_000_000.0


def tables(*roots: bytes) -> sqlite3.Connection:
    """Shares of these folders, numbered from 1."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for script in MIGRATIONS:
        connection.executescript(script)
    share_store.configure(connection, [(root, True) for root in roots])
    share_store.settle(connection, Rules(), NOW)
    return connection


def file(name: bytes, *, size: int = 10, mtime_ns: int = 1000, inode: int = 0, device: int = 1) -> Seen:
    return Seen(name, size, mtime_ns, inode or int.from_bytes(name, "big") % 2**31, device, mtime_ns)


def proof(path: str | bytes, file_id: str = "aa", *, share: int = 1, source: int = 0, **changes: int) -> Proof:
    folder, _, name = (path.encode() if isinstance(path, str) else path).rpartition(b"/")
    return Proof(Place(share, folder), file(name, **changes), file_id.ljust(64, "0"), 0, source)


def record(connection: sqlite3.Connection, *proofs: Proof, now: float = NOW) -> News:
    replaced = store.record(connection, proofs, now)
    news = review(connection, now)
    return news._replace(removed=replaced + news.removed)


def rows(connection: sqlite3.Connection, columns: str, where: str = "1") -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT {columns} FROM entry WHERE {where} ORDER BY id").fetchall()


def ids(connection: sqlite3.Connection, *names: bytes) -> list[int]:
    marks = ",".join("?" * len(names))
    return [row for (row,) in connection.execute(f"SELECT id FROM entry WHERE name IN ({marks}) ORDER BY id", names)]


def offered(connection: sqlite3.Connection) -> list[str]:
    return [path for (path,) in connection.execute("SELECT path FROM entry WHERE offered ORDER BY path")]


def add(connection: sqlite3.Connection, paths: Iterable[str]) -> News:
    return record(connection, *(proof(path, f"{number:x}") for number, path in enumerate(paths, start=1)))
