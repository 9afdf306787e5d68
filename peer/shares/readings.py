"""What reading a content through told of it besides its id, in the library's database: its manifest, its checksum.

Writing functions are called within a transaction. A row outlasts the files with its content by a while, so that what is
known of a file before the scan has found it is not forgotten.
"""

import sqlite3
from typing import NamedTuple

from peer.shares.face import PUBLIC
from peer.shares.offers import next_change

REMEMBERED = 3600.0
"""Seconds for which a content is remembered that no file has."""


class KnownManifest(NamedTuple):
    """A manifest as it is kept. `pieces`: the raw hashes; empty when only the digest was asked for."""

    size: int
    digest: str | None
    pieces: bytes


def manifest(
    connection: sqlite3.Connection, file_id: str, *, public_only: bool, whole: bool = True
) -> KnownManifest | None:
    """What is kept of an offered content, without a digest when it has no manifest yet; None when it is not offered."""
    pieces = "coalesce(pieces, x'')" if whole else "x''"
    found = connection.execute(
        f"SELECT entry.size, digest, {pieces} FROM entry LEFT JOIN reading ON reading.hash = entry.hash"
        " WHERE entry.hash = ? AND offered AND (audience = ? OR NOT ?) LIMIT 1",
        (file_id, PUBLIC, public_only),
    ).fetchone()
    return KnownManifest(*found) if found else None


def keep_manifest(
    connection: sqlite3.Connection, file_id: str, digest: str, size: int, pieces: bytes, now: float
) -> bool:
    """Keeps a manifest; whether there is something to announce: entries whose manifest is this one from now on."""
    held = connection.execute("SELECT digest FROM reading WHERE hash = ?", (file_id,)).fetchone()
    if held is not None and held[0] == digest:
        return False
    connection.execute(
        "INSERT INTO reading (hash, digest, size, since, pieces) VALUES (?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE"
        " SET digest = excluded.digest, size = excluded.size, pieces = excluded.pieces",
        (file_id, digest, size, now, pieces),
    )
    touched = connection.execute(
        "UPDATE entry SET dirty = 1, change = ? WHERE hash = ? AND offered", (next_change(connection), file_id)
    )
    return touched.rowcount > 0


def keep_checksum(connection: sqlite3.Connection, file_id: str, xxh3: bytes, size: int, now: float) -> None:
    """Keeps the XXH3-128 of a content that has just been proven."""
    connection.execute(
        "INSERT INTO reading (hash, size, since, xxh3) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (hash) DO UPDATE SET xxh3 = excluded.xxh3",
        (file_id, size, now, xxh3),
    )


def forget(connection: sqlite3.Connection, now: float) -> None:
    """Drops what is kept of contents that no entry has any more."""
    connection.execute(
        "DELETE FROM reading WHERE since < ? AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.hash = reading.hash)",
        (now - REMEMBERED,),
    )
