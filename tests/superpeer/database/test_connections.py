"""One writer, many readers, and files that are not ours: refused in one line and left as they are."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from common import errors
from common.database.sqlite import DatabaseUnusable
from superpeer.database import connections
from superpeer.database.connections import Database, to_the_end
from superpeer.database.tables import facts
from tests.support.waiting import PATIENCE

NAME = "x.sqlite"


async def opened(folder: Path) -> Database:
    database = Database(folder / NAME)
    await database.open()
    return database


async def write(database: Database, name: str, value: str = "") -> None:
    await database.write(insert, name, value)


def insert(connection: sa.Connection, name: str, value: str = "") -> None:
    connection.execute(facts.insert().values(name=name, value=value))


async def names(database: Database) -> list[str]:
    return list(await database.read(read_names))


def read_names(connection: sa.Connection) -> Sequence[str]:
    return connection.scalars(sa.select(facts.c.name).order_by(facts.c.name)).all()


async def test_what_is_written_can_be_read_and_outlives_the_process(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    await write(database, "a")
    assert await names(database) == ["a"]
    await database.close()
    database = await opened(tmp_path)
    assert await names(database) == ["a"]
    await database.close()


async def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    database = await opened(tmp_path)

    def failing(connection: sa.Connection) -> None:
        insert(connection, "a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(failing)
    assert await names(database) == []
    await write(database, "b")
    assert await names(database) == ["b"]
    await database.close()


def insert_in_two_steps(connection: sa.Connection, name: str, begun: threading.Event, go_on: threading.Event) -> None:
    insert(connection, name)
    begun.set()
    assert go_on.wait(PATIENCE)


async def test_a_reader_sees_one_state_to_its_end(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def twice(connection: sa.Connection) -> list[Sequence[str]]:
        before = read_names(connection)
        begun.set()
        assert go_on.wait(PATIENCE)
        return [before, read_names(connection)]

    reading = asyncio.create_task(database.read(twice))
    await asyncio.to_thread(begun.wait, PATIENCE)
    await write(database, "a")
    go_on.set()
    assert await reading == [[], []]
    assert await names(database) == ["a"]
    await database.close()


async def test_writers_wait_for_each_other_and_readers_for_nobody(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    begun, go_on = threading.Event(), threading.Event()
    first = asyncio.create_task(database.write(insert_in_two_steps, "a", begun, go_on))
    await asyncio.to_thread(begun.wait, PATIENCE)
    others = [asyncio.create_task(write(database, f"b{n}")) for n in range(5)]
    assert await asyncio.gather(*(names(database) for _ in range(12))) == [[]] * 12
    assert not any(task.done() for task in others)
    go_on.set()
    await asyncio.gather(first, *others)
    assert await names(database) == ["a", *(f"b{n}" for n in range(5))]
    await database.close()


async def test_a_writer_that_is_given_up_leaves_nothing_behind(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    for steps in range(40):
        task = asyncio.create_task(write(database, f"{steps:02}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await write(database, f"then {steps:02}")
    assert len([name for name in await names(database) if name.startswith("then")]) == 40
    await database.close()


async def test_work_is_done_to_the_end_though_nobody_waits_for_it() -> None:
    steps: list[str] = []
    first, second = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        await first.wait()
        steps.append("done")
        second.set()
        return "answer"

    task = asyncio.create_task(to_the_end(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    first.set()
    await second.wait()
    assert steps == ["done"]
    assert await to_the_end(work()) == "answer"


async def test_an_error_of_such_work_reaches_whoever_waits() -> None:
    async def work() -> None:
        raise errors.Conflict("replay", "no")

    with pytest.raises(errors.Conflict):
        await to_the_end(work())


async def test_after_the_end_nothing_is_written_or_read(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    begun, go_on = threading.Event(), threading.Event()
    task = asyncio.create_task(database.write(insert_in_two_steps, "in time", begun, go_on))
    await asyncio.to_thread(begun.wait, PATIENCE)
    waiting = asyncio.create_task(write(database, "too late"))
    closing_ = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing_
    await task
    for refused in (waiting, write(database, "too late"), names(database)):
        with pytest.raises(errors.Unavailable) as refusal:
            await refused
        assert refusal.value.code == "shutting_down"
    with closing(sqlite3.connect(database.path)) as connection:
        found = [name for (name,) in connection.execute("SELECT name FROM facts")]
    assert "in time" in found


async def test_a_database_that_another_process_holds_is_unavailable_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT", 0.01)
    database = await opened(tmp_path)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.Unavailable) as refused:
            await write(database, "a")
        assert refused.value.code == "database_unavailable"
        assert await names(database) == []
        other.execute("COMMIT")
    await write(database, "a")
    await database.close()


def pragma(connection: sa.Connection, text: str) -> Any:
    return connection.exec_driver_sql(f"PRAGMA {text}").scalar_one()


async def test_a_full_disk_is_told_as_such_and_is_no_end(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    pages = await database.write(pragma, "page_count")
    await database.write(pragma, f"max_page_count={pages + 2}")
    with pytest.raises(errors.NoSpace) as refused:
        await write(database, "big", "x" * 100_000)
    assert refused.value.code == "disk_full"
    assert await names(database) == []
    await database.write(pragma, "max_page_count=1000000")
    await write(database, "big", "x" * 100_000)
    await database.close()


async def test_the_settings_are_those_that_were_chosen(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    for way in (database.read, database.write):
        asked = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        values = [await way(pragma, name) for name in asked]
        assert values == ["wal", 1, 1, 0]
    await database.close()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 3 + 2000] = os.urandom(2000)
    path.write_bytes(data)


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def text(path: Path) -> None:
    path.write_text("this is a letter to my aunt\n" * 100)


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE aunts (name TEXT)")
        connection.commit()


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (truncated, "damaged|malformed|disk image"),
        (scribbled, "damaged|malformed"),
        (noise, "not a database"),
        (text, "not a database"),
        (foreign, "belongs to another program"),
        (newer, "newer version"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_and_left_as_it_is(
    tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    await (await opened(tmp_path)).close()
    path = tmp_path / NAME
    harm(path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(DatabaseUnusable, match=words) as refused:
        await opened(tmp_path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    after = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert after[NAME] == before[NAME]
    assert set(after) - set(before) <= {f"{NAME}-wal", f"{NAME}-shm"}
    assert after.get(f"{NAME}-wal", b"") == b""


async def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(DatabaseUnusable, match="it is not a file"):
        await opened(tmp_path)


async def test_an_empty_file_is_a_beginning(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    database = await opened(tmp_path)
    assert await names(database) == []
    await database.close()


async def test_what_a_killed_process_left_is_taken_up(tmp_path: Path) -> None:
    """The last transactions lie in the log beside the file."""
    database = await opened(tmp_path)
    for n in range(20):
        await write(database, f"{n:02}")
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        (copy / f"{NAME}{suffix}").write_bytes(Path(f"{database.path}{suffix}").read_bytes())
    await database.close()
    assert len((copy / f"{NAME}-wal").read_bytes()) > 0
    found = await opened(copy)
    assert len(await names(found)) == 20
    await found.close()


async def test_a_log_with_a_torn_end_loses_its_end_only(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    for n in range(20):
        await write(database, f"{n:02}")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / NAME).write_bytes(database.path.read_bytes())
    log = Path(f"{database.path}-wal").read_bytes()
    await database.close()
    (copy / f"{NAME}-wal").write_bytes(log[:-100])
    found = await opened(copy)
    left: list[Any] = await names(found)
    assert left == [f"{n:02}" for n in range(len(left))]
    assert 0 < len(left) < 20
    await found.close()
