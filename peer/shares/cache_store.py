"""Cached downloads in the library's tables: entries of a share of their own, whose folders are called by their ids.

Writing functions are called within a transaction; those that return News end with `offers.review`.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from peer.shares import store
from peer.shares.offers import News, review
from peer.shares.schema import State
from peer.shares.store import Proof

Stamp = tuple[int, int, int]


class Cached(NamedTuple):
    """One file of the cache. `stamp` is (size, mtime_ns, inode)."""

    file_id: str
    name: bytes
    stamp: Stamp
    since: float
    used_at: float
    is_wanted: bool
    """False for one that is damaged, unshared, or offered by a share as well."""

    @property
    def size(self) -> int:
        return self.stamp[0]


_TWIN = "SELECT 1 FROM entry AS own WHERE own.hash = {hash} AND own.share <> {share} AND own.offered"
_LOAD = f"""SELECT folder, name, size, mtime_ns, inode, shared_at, coalesce(used_at, shared_at),
    state = {State.HERE} AND hash IS NOT NULL AND damage IS NULL AND NOT withheld
        AND NOT EXISTS ({_TWIN.format(hash="entry.hash", share="entry.share")})
    FROM entry WHERE share = ? AND state < {State.GONE} ORDER BY 7 DESC, id DESC"""


def share_of(connection: sqlite3.Connection, root: bytes) -> int:
    """The number of the cache, which lies in the folder `root` now, as a share."""
    found = connection.execute("SELECT id FROM share WHERE is_cache").fetchone()
    if found is None:
        found = connection.execute(
            "INSERT OR REPLACE INTO share (path, label, kind, configured, requested, active, is_cache)"
            " VALUES (?, '', 'folder', 0, 1, 1, 1) RETURNING id",
            (root,),
        ).fetchone()
    share: int = found[0]
    connection.execute("UPDATE OR REPLACE share SET path = ? WHERE id = ? AND path <> ?", (root, share, root))
    return share


def load(connection: sqlite3.Connection, share: int) -> list[Cached]:
    """All of it, what was used last first."""
    return [_cached(*row) for row in connection.execute(_LOAD, (share,))]


def is_welcome(connection: sqlite3.Connection, share: int, file_id: str) -> bool:
    """False for a content that the owner unshared, or offers by a share."""
    query = "SELECT NOT EXISTS (SELECT 1 FROM content WHERE hash = :id AND withheld) AND NOT EXISTS"
    query += f" ({_TWIN.format(hash=':id', share=':share')})"
    return bool(connection.execute(query, {"id": file_id, "share": share}).fetchone()[0])


def take_in(connection: sqlite3.Connection, proof: Proof, now: float) -> News | None:
    """Offers a file of the cache; None if that is not welcome any more."""
    share, folder = proof.place
    if not is_welcome(connection, share, proof.file_id):
        return None
    where, values = "share = ? AND folder = ?", (share, folder)
    connection.execute(f"UPDATE entry SET withheld = 0, shared_at = ? WHERE {where}", (now, *values))
    store.record(connection, [proof], now)
    connection.execute(f"UPDATE entry SET used_at = ? WHERE {where}", (now, *values))
    return review(connection, now)


def drop(connection: sqlite3.Connection, share: int, file_ids: Iterable[str], now: float) -> News:
    """Offers these no longer."""
    for file_id in file_ids:
        rows = connection.execute(
            f"SELECT id FROM entry WHERE share = ? AND folder = ? AND state < {State.GONE}", (share, file_id.encode())
        ).fetchall()
        store.set_absent(connection, State.GONE, [row for (row,) in rows], now)
    return review(connection, now)


def note_used(connection: sqlite3.Connection, share: int, used: Mapping[str, float]) -> None:
    """When some were served last."""
    connection.executemany(
        "UPDATE entry SET used_at = ? WHERE share = ? AND folder = ?",
        [(at, share, file_id.encode()) for file_id, at in used.items()],
    )


def surplus(files: Sequence[Cached], room: int, most: int) -> list[Cached]:
    """What has to go, so that no more than `most` files of `room` bytes in all are left: what was used least recently,
    and nothing that would have fitted. `files` begin with what was used last."""
    total, count = sum(file.size for file in files), len(files)
    gone = []
    for file in reversed(files):
        if total <= room and count <= most:
            break
        gone.append(file)
        total, count = total - file.size, count - 1
    return gone


def _cached(
    folder: bytes, name: bytes, size: int, mtime_ns: int, inode: int, since: float, used_at: float, is_wanted: int
) -> Cached:
    return Cached(folder.decode(), name, (size, mtime_ns, inode), since, used_at, bool(is_wanted))
