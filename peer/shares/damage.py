"""When each file was last read through, and what is damaged, in the library's tables.

Writing functions are called within a transaction that ends with `offers.review`. What a check has found counts only for
a row that still tells of the version that was read.
"""

import os
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from common.content.names import display_path
from common.runtime.clock import utc
from common.wire.files import DamagedFile, SharedFile
from peer.shares import readings
from peer.shares.agenda import Place
from peer.shares.listing import Kept, root_of, shared_files
from peer.shares.offers import TOLD, News, review
from peer.shares.schema import Damage, State
from peer.shares.tree import join

MOST_LISTED = 1000
_WHY = {
    Damage.DIFFERS: "Its bytes are not those that were hashed, although its size and time are the same.",
    Damage.UNREADABLE: "The disk does not give its bytes.",
}


class Suspect(NamedTuple):
    """A file to read through. `xxh3`: of its content, None when that was never made."""

    row: int
    kept: Kept
    file_id: str
    xxh3: bytes | None
    damage: str | None
    damage_ctime: int | None
    checked_at: float | None


class Made(NamedTuple):
    """What reading a content made: its XXH3-128, and its manifest if it has more than one piece."""

    xxh3: bytes
    digest: str | None = None
    pieces: bytes = b""


class Finding(NamedTuple):
    """What came of reading a file: `damage` is None for a sound one, or for one of which nothing can be said."""

    suspect: Suspect
    damage: str | None = None
    ctime_ns: int = 0
    made: Made | None = None
    is_sound: bool = False


class Judged(NamedTuple):
    """What a transaction of findings came to; `damaged`: some of the files found to be so."""

    news: News
    damaged: list[SharedFile]
    total: int
    """How many files are damaged."""


_SUSPECT = """SELECT entry.id, share.path, kind, share, folder, name, coalesce(entry.path, ''), entry.size, mtime_ns,
    entry.inode, entry.hash, xxh3, damage, damage_ctime, checked_at
    FROM entry JOIN share ON share.id = entry.share LEFT JOIN reading ON reading.hash = entry.hash"""


def due(connection: sqlite3.Connection, before: float, limit: int) -> list[Suspect]:
    """Files that were not read through since `before`, those first that never were."""
    which = f"state = {State.HERE} AND entry.hash IS NOT NULL AND (offered OR damage IS NOT NULL) AND entry.size > 0"
    found = connection.execute(
        f"{_SUSPECT} WHERE checked_at IS NULL AND {which} ORDER BY entry.id LIMIT ?", (limit,)
    ).fetchall()
    if not found:
        found = connection.execute(
            f"{_SUSPECT} WHERE checked_at <= ? AND {which} ORDER BY checked_at, entry.id LIMIT ?", (before, limit)
        ).fetchall()
    return [_suspect(*row) for row in found]


def known(connection: sqlite3.Connection) -> list[Suspect]:
    """The damaged files that are there."""
    found = connection.execute(f"{_SUSPECT} WHERE damage IS NOT NULL AND state = {State.HERE} LIMIT ?", (MOST_LISTED,))
    return [_suspect(*row) for row in found]


def count(connection: sqlite3.Connection) -> int:
    """How many files are damaged."""
    query = f"SELECT count(*) FROM entry WHERE damage IS NOT NULL AND state = {State.HERE}"
    found: int = connection.execute(query).fetchone()[0]
    return found


def listed(connection: sqlite3.Connection) -> list[DamagedFile]:
    """The damaged files for the owner's eyes, those found last first."""
    found = connection.execute(
        "SELECT hash, share.path, kind, folder, name, size, damage, checked_at FROM entry JOIN share"
        f" ON share.id = entry.share WHERE damage IS NOT NULL AND state = {State.HERE}"
        " ORDER BY checked_at DESC, entry.id LIMIT ?",
        (MOST_LISTED,),
    )
    return [_listed(*row) for row in found]


def apply(connection: sqlite3.Connection, findings: Iterable[Finding], now: float) -> Judged:
    """Writes down what checks have found, and withdraws or offers accordingly."""
    told: list[int] = []
    for finding in findings:
        if not _still_is(connection, finding.suspect):
            continue
        if finding.damage is not None:
            told += _set_damaged(connection, finding, now)
        else:
            _set_checked(connection, finding, now)
    damaged = shared_files(connection, told[:TOLD])
    return Judged(review(connection, now), damaged, count(connection))


def _suspect(
    row: int, root: bytes, kind: str, share: int, folder: bytes, name: bytes, path: str, *rest: object
) -> Suspect:
    size, mtime_ns, inode, *known = rest
    kept = Kept(root_of(root, kind), Place(share, folder), name, path, (size, mtime_ns, inode))  # type: ignore[arg-type]
    return Suspect(row, kept, *known)  # type: ignore[arg-type]


def _listed(
    file_id: str, root: bytes, kind: str, folder: bytes, name: bytes, size: int, why: str, found_at: float
) -> DamagedFile:
    path = os.path.join(join(root_of(root, kind), folder), name)
    advice = f"Move it away and restore it: from a backup, or from another source with `peer get {file_id}`."
    return DamagedFile(file_id, display_path(path), size, _WHY[why], advice, utc(found_at))


def _still_is(connection: sqlite3.Connection, suspect: Suspect) -> bool:
    return (
        connection.execute(
            f"SELECT 1 FROM entry WHERE id = ? AND hash = ? AND state = {State.HERE}"
            " AND size = ? AND mtime_ns = ? AND inode = ?",
            (suspect.row, suspect.file_id, *suspect.kept.stamp),
        ).fetchone()
        is not None
    )


def _set_damaged(connection: sqlite3.Connection, finding: Finding, now: float) -> list[int]:
    """Marks the file under all of its names; the rows that are news."""
    suspect = finding.suspect
    device = connection.execute("SELECT device FROM entry WHERE id = ?", (suspect.row,)).fetchone()[0]
    same = "hash = ? AND device = ? AND size = ? AND mtime_ns = ? AND inode = ?"
    values = (suspect.file_id, device, *suspect.kept.stamp)
    fresh = connection.execute(f"SELECT id FROM entry WHERE {same} AND damage IS NULL", values).fetchall()
    connection.execute(
        f"UPDATE entry SET damage = ?, damage_ctime = ?, checked_at = ?, review = 1 WHERE {same}",
        (finding.damage, finding.ctime_ns, now, *values),
    )
    return [row for (row,) in fresh]


def _set_checked(connection: sqlite3.Connection, finding: Finding, now: float) -> None:
    suspect, made = finding.suspect, finding.made
    repaired = ", damage = NULL, damage_ctime = NULL, review = 1" if finding.is_sound and suspect.damage else ""
    connection.execute(f"UPDATE entry SET checked_at = ?{repaired} WHERE id = ?", (now, suspect.row))
    if made is None:
        return
    size = suspect.kept.stamp[0]
    if made.digest is not None:
        readings.keep_manifest(connection, suspect.file_id, made.digest, size, made.pieces, now)
    readings.keep_checksum(connection, suspect.file_id, made.xxh3, size, now)
