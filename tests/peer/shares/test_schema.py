"""The library's migrations: what an earlier version left is kept."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from common.database.sqlite import Database
from peer.shares.schema import MIGRATIONS
from tests.peer.shares.conftest import Shelf
from tests.peer.shares.trees import write


def left_by(version: int, path: Path) -> None:
    """A library as it was at a version, with one file in it."""
    with closing(sqlite3.connect(path)) as connection:
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute(
            "INSERT INTO share (id, path, label, kind, configured, requested) VALUES (1, ?, 'share', 'folder', 1, 0)",
            (b"/nowhere",),
        )
        connection.execute(
            "INSERT INTO entry (share, folder, name, size, mtime_ns, inode, device, hash, head, path, category, tags,"
            " audience, words, shared_at, offered) VALUES (1, ?, ?, 1, 2, 3, 4, ?, 5, 'share/a', 'other', '[]',"
            " 'public', 'a', 6.0, 1)",
            (b"", b"a", "0" * 64),
        )
        connection.execute("INSERT INTO content (hash, downloads) VALUES (?, 7)", ("0" * 64,))
        connection.commit()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_a_library_of_each_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    left_by(version, tmp_path / "library.db")
    database = await Database.open(tmp_path / "library.db", MIGRATIONS)
    try:
        read = database.read
        (entry,) = await read(
            lambda c: c.execute("SELECT hash, path, offered, checked_at, damage FROM entry").fetchall()
        )
        assert entry == ("0" * 64, "share/a", 1, None, None)
        assert await read(lambda c: c.execute("SELECT downloads FROM content").fetchall()) == [(7,)]
        assert await read(lambda c: c.execute("SELECT algorithm FROM catalogue").fetchall()) == [("sha256",)]
        assert await read(lambda c: c.execute("SELECT count(*) FROM reading").fetchone()) == (0,)
    finally:
        await database.close()


async def test_an_old_library_with_a_file_goes_on_from_there(shelf: Shelf) -> None:
    (shelf.folder / "data").mkdir(mode=0o700)
    left_by(1, shelf.folder / "data" / "library.db")
    write(shelf.share / "new")
    assert set(await (await shelf.open()).names()) == {"share/a", "share (2)/new"}
