"""Which entries are offered: proven, not damaged, not withheld, of an active share, and here or only just away.

Every transaction that touched entries ends with `review`, so that `offered`, `change` and `dirty` are always right;
what it returns is what the rest of the daemon has to know.
"""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from common.wire.files import SharedFile
from peer.shares.listing import shared_files
from peer.shares.schema import State

REMEMBERED = 24 * 3600.0
"""Seconds for which a file that is gone is known again when it turns up elsewhere."""
RETIRED = 30 * 24 * 3600.0
"""Seconds after which a share that is not wanted any more, or a disk that does not come back, is forgotten."""
TOLD = 20
"""Changes of one kind that are told one by one; more at a time are counted only."""

_OFFERED = """(hash IS NOT NULL AND damage IS NULL AND NOT withheld AND path IS NOT NULL
    AND (withdraw_at IS NULL OR withdraw_at > :now) AND share IN (SELECT id FROM share WHERE active))"""


class News(NamedTuple):
    """What a transaction came to: some of the files offered now and no longer, and the state after it."""

    added: list[SharedFile]
    removed: list[SharedFile]
    files: int
    bytes: int
    is_dirty: bool
    """Something is to be announced."""
    leaving_at: float | None
    """When `withdraw` is to be called next."""


def next_change(connection: sqlite3.Connection) -> int:
    """A number above those of all changes before."""
    number: int = connection.execute("UPDATE catalogue SET change = change + 1 RETURNING change").fetchone()[0]
    return number


def review(connection: sqlite3.Connection, now: float) -> News:
    """Decides anew about the entries that were touched."""
    added: list[int] = []
    removed: list[int] = []
    values = {"now": now, "change": 0}
    if connection.execute(f"SELECT 1 FROM entry WHERE review AND offered <> {_OFFERED} LIMIT 1", values).fetchone():
        values["change"] = next_change(connection)
        for row, is_offered in connection.execute(
            "UPDATE entry SET offered = NOT offered, change = :change,"
            " dirty = CASE WHEN offered THEN announced ELSE 1 END"
            f" WHERE review AND offered <> {_OFFERED} RETURNING id, offered",
            values,
        ):
            told = added if is_offered else removed
            if len(told) < TOLD:
                told.append(row)
    connection.execute("UPDATE entry SET review = 0 WHERE review")
    return _news(connection, added, removed)


def withdraw(connection: sqlite3.Connection, now: float) -> News:
    """Withdraws what has been away for too long."""
    connection.execute("UPDATE entry SET review = 1 WHERE withdraw_at <= ? AND offered", (now,))
    return review(connection, now)


def touch_shares(connection: sqlite3.Connection, shares: Iterable[int]) -> None:
    """Whether these shares are active has changed."""
    connection.executemany("UPDATE entry SET review = 1 WHERE share = ?", ((share,) for share in shares))


def forget(connection: sqlite3.Connection, now: float) -> None:
    """Drops the memory of what has been gone for long. What the owner unshared is remembered for good."""
    connection.execute(
        "DELETE FROM entry WHERE withdraw_at IS NOT NULL AND NOT offered AND NOT announced AND NOT withheld"
        f" AND (state = {State.GONE} AND withdraw_at < ? OR state = {State.MISSING} AND withdraw_at < ?)",
        (now - REMEMBERED, now - RETIRED),
    )
    connection.execute(
        "DELETE FROM share WHERE retired_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.share = share.id AND (offered OR announced))",
        (now - RETIRED,),
    )


def _news(connection: sqlite3.Connection, added: list[int], removed: list[int]) -> News:
    files, size = connection.execute("SELECT files, bytes FROM catalogue").fetchone()
    dirty = connection.execute("SELECT 1 FROM entry WHERE dirty LIMIT 1").fetchone() is not None
    leaving_at = connection.execute(
        "SELECT min(withdraw_at) FROM entry WHERE offered AND withdraw_at IS NOT NULL"
    ).fetchone()[0]
    return News(shared_files(connection, added), shared_files(connection, removed), files, size, dirty, leaving_at)
