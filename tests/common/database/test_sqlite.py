"""The database: transactions that are whole, migrations that go forward, files that are refused untouched."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.database.sqlite import Database, DatabaseUnusable
from common.errors import NoSpace, Unavailable

FIRST = "CREATE TABLE thing (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"
SECOND = "ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 7; CREATE TABLE other (n INTEGER) STRICT;"


def add(connection: sqlite3.Connection, text: str) -> None:
    connection.execute("INSERT INTO thing (text) VALUES (?)", (text,))


def add_and_fail(connection: sqlite3.Connection, text: str) -> None:
    add(connection, text)
    raise ValueError("changed my mind")


def texts(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM thing ORDER BY n")]


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "things.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path, [FIRST])
    yield database
    await database.close()


async def test_what_is_written_is_read_and_is_there_after_a_restart(path: Path) -> None:
    database = await Database.open(path, [FIRST])
    await database.write(add, "one")
    assert await database.read(texts) == ["one"]
    await database.close()
    again = await Database.open(path, [FIRST])
    assert await again.read(texts) == ["one"]
    await again.close()


async def test_work_that_fails_leaves_nothing_and_the_next_goes_on(database: Database) -> None:
    with pytest.raises(ValueError, match="changed my mind"):
        await database.write(add_and_fail, "half")
    await database.write(add, "whole")
    assert await database.read(texts) == ["whole"]


async def test_work_whose_caller_gave_up_is_done_nevertheless(database: Database) -> None:
    task = asyncio.ensure_future(database.write(add, "one"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.write(add, "two")
    assert await database.read(texts) == ["one", "two"]


async def test_writers_take_turns(database: Database) -> None:
    await asyncio.gather(*(database.write(add, str(number)) for number in range(50)))
    assert sorted(map(int, await database.read(texts))) == list(range(50))


async def test_readers_see_only_what_is_committed_and_cannot_write(database: Database) -> None:
    seen: list[list[str]] = []

    def peek(connection: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        add(connection, "not yet")
        seen.append(texts(reader))

    reader = sqlite3.connect(f"file:{database.path}?mode=ro", uri=True, check_same_thread=False)
    await database.write(peek, reader)
    seen.append(texts(reader))
    reader.close()
    assert seen == [[], ["not yet"]]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await database.read(add, "never")


async def test_a_reader_for_another_thread(database: Database) -> None:
    await database.write(add, "one")

    def elsewhere() -> list[str]:
        connection = database.reader()
        try:
            return texts(connection)
        finally:
            connection.close()

    assert await asyncio.to_thread(elsewhere) == ["one"]


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
async def test_the_connection_is_set_up(path: Path, synchronous: str, level: int) -> None:
    database = await Database.open(path, [FIRST], synchronous=synchronous)  # type: ignore[arg-type]
    names = ("journal_mode", "foreign_keys", "trusted_schema", "synchronous", "busy_timeout", "user_version")
    assert [await database.write(pragma, name) for name in names] == ["wal", 1, 0, level, 5000, 1]
    await database.close()


async def test_an_old_file_is_brought_up_to_date(path: Path) -> None:
    old = await Database.open(path, [FIRST])
    await old.write(add, "kept")
    await old.close()
    new = await Database.open(path, [FIRST, SECOND])
    assert await new.read(texts) == ["kept"]
    assert await new.read(pragma, "user_version") == 2
    assert await new.read(lambda connection: connection.execute("SELECT size FROM thing").fetchone()) == (7,)
    await new.close()


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    old = await Database.open(path, [FIRST])
    await old.write(add, "kept")
    await old.close()
    with pytest.raises(DatabaseUnusable, match="nonsense"):
        await Database.open(path, [FIRST, SECOND, "nonsense;"])
    again = await Database.open(path, [FIRST])
    assert await again.read(texts) == ["kept"]
    assert await again.read(pragma, "user_version") == 1
    await again.close()


async def refused(path: Path, migrations: list[str]) -> DatabaseUnusable:
    """The refusal to open; the file must be what it was."""
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusable) as refusal:
        await Database.open(path, migrations)
    assert path.read_bytes() == before
    assert refusal.value.path == path
    assert str(path) in str(refusal.value)
    return refusal.value


async def test_a_newer_file_is_refused(path: Path) -> None:
    newer = await Database.open(path, [FIRST, SECOND])
    await newer.close()
    assert "version 2" in (await refused(path, [FIRST])).why


async def test_a_newer_file_left_by_a_kill_is_refused(path: Path) -> None:
    crashing = f"""
import asyncio, os
from pathlib import Path
from common.database.sqlite import Database
async def main():
    await Database.open(Path({str(path)!r}), [{FIRST!r}, {SECOND!r}])
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", crashing], check=False)
    assert "version 2" in (await refused(path, [FIRST])).why


async def test_garbage_is_refused(path: Path) -> None:
    path.write_bytes(b"This is not a database, and never was one. " * 100)
    assert "not a database" in (await refused(path, [FIRST])).why


async def test_a_damaged_file_is_refused(path: Path) -> None:
    database = await Database.open(path, [FIRST])
    for number in range(300):
        await database.write(add, f"{number} " * 100)
    await database.close()
    content = bytearray(path.read_bytes())
    content[8192:20480] = b"\xa5" * 12288
    path.write_bytes(content)
    await refused(path, [FIRST])


async def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE moz_places (id INTEGER)")
    other.close()
    assert "another program" in (await refused(path, [FIRST])).why


async def test_what_cannot_be_opened_at_all_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "things.db"):
        with pytest.raises(DatabaseUnusable):
            await Database.open(path, [FIRST])


async def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    database = await Database.open(path, [FIRST])
    assert await database.read(texts) == []
    await database.close()


async def test_a_full_disk_is_a_refusal_and_heals(database: Database) -> None:
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 4"))
    with pytest.raises(NoSpace) as refusal:
        await database.write(add, "x" * 100_000)
    assert refusal.value.code == "disk_full"
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 4000"))
    await database.write(add, "fits")
    assert await database.read(texts) == ["fits"]


async def test_a_database_held_by_another_process_is_a_refusal(database: Database) -> None:
    await database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 0"))
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as refusal:
        await database.write(add, "waits")
    assert refusal.value.code == "database_unavailable"
    other.execute("ROLLBACK")
    other.close()
    await database.write(add, "goes on")
    assert await database.read(texts) == ["goes on"]


WRITE_AND_TELL = """
import asyncio, sys
from pathlib import Path
from common.database.sqlite import Database
def add(connection, number):
    connection.execute("INSERT INTO thing (text) VALUES (?)", (str(number),))
    connection.execute("INSERT INTO thing (text) VALUES (?)", (str(-number),))
async def main():
    database = await Database.open(Path(sys.argv[1]), [sys.argv[2]])
    number = 0
    while True:
        number += 1
        await database.write(add, number)
        print(number, flush=True)
asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_a_kill_and_is_whole(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_TELL, str(path), FIRST], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = 0
    while last < 25:
        last = int(await asyncio.to_thread(process.stdout.readline))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    database = await Database.open(path, [FIRST])
    numbers = list(map(int, await database.read(texts)))
    await database.close()
    assert set(range(1, last + 1)) <= set(numbers)
    assert sum(numbers) == 0
