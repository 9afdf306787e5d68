"""The rows of the queue: what goes in comes out, in the order in which it was added."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.database.sqlite import Database
from peer.downloads import store
from peer.downloads.record import Record
from peer.downloads.schema import MIGRATIONS


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "downloads.db", MIGRATIONS)
    try:
        yield opened
    finally:
        await opened.close()


def record(name: str, **values: object) -> Record:
    return Record(name, "ab" * 32, "/tmp", "Ä 'x'", "/tmp/Ä 'x'", 1 << 52, "queued", 12.5, **values)  # type: ignore[arg-type]


async def test_what_goes_in_comes_out(database: Database) -> None:
    records = [
        record("b", why="It “stalls”.", code="disk_full", priority=-7, sequential=True, verified=1 << 51, failures=3),
        record("a", sources='[{"x": 1}]', finished=99.25),
    ]
    await database.write(store.insert, records)
    assert await database.read(store.load, 100) == records


async def test_the_latest_are_remembered(database: Database) -> None:
    await database.write(store.insert, [record(str(number)) for number in range(5)])
    assert [each.id for each in await database.read(store.load, 2)] == ["3", "4"]


async def test_one_is_changed_and_another_forgotten(database: Database) -> None:
    await database.write(store.insert, [record("a"), record("b"), record("c")])
    await database.write(store.change, "a", {"state": "paused", "why": "; DROP TABLE download", "sequential": True})
    await database.write(store.delete, "b")
    await database.write(store.delete, "unknown")
    a, c = await database.read(store.load, 100)
    assert (a.state, a.why, a.sequential) == ("paused", "; DROP TABLE download", True)
    assert c == record("c")


async def test_all_are_added_or_none(database: Database) -> None:
    await database.write(store.insert, [record("a")])
    with pytest.raises(Exception, match="UNIQUE"):
        await database.write(store.insert, [record("b"), record("a")])
    assert [each.id for each in await database.read(store.load, 100)] == ["a"]
