"""The queue's rows. Functions that write are called within a transaction."""

import sqlite3
from collections.abc import Iterable

import msgspec

from peer.downloads.record import Record

COLUMNS = Record.__struct_fields__
_ALL = ", ".join(COLUMNS)


def insert(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Adds downloads behind those that are there."""
    marks = ", ".join("?" * len(COLUMNS))
    rows = [msgspec.structs.astuple(record) for record in records]
    connection.executemany(f"INSERT INTO download ({_ALL}) VALUES ({marks})", rows)


def load(connection: sqlite3.Connection, most: int) -> list[Record]:
    """Every download, in the order in which they were added, the latest `most` of them."""
    found = connection.execute(f"SELECT {_ALL} FROM download ORDER BY n DESC LIMIT ?", (most,)).fetchall()
    return [_record(row) for row in reversed(found)]


def change(connection: sqlite3.Connection, download_id: str, values: dict[str, object]) -> None:
    """Sets these columns of one download."""
    sets = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE download SET {sets} WHERE id = ?", (*values.values(), download_id))


def delete(connection: sqlite3.Connection, download_id: str) -> None:
    """Forgets a download."""
    connection.execute("DELETE FROM download WHERE id = ?", (download_id,))


def _record(row: tuple[object, ...]) -> Record:
    return msgspec.convert(dict(zip(COLUMNS, row, strict=True)), Record, strict=False)
