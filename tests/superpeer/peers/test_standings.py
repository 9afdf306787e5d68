"""What peers are thought of survives a restart, and goes with them."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.errors import Unavailable
from common.runtime.clock import ManualClock
from superpeer.peers.opinions import OpinionStore
from superpeer.peers.reputation import FORGOTTEN, NEW
from superpeer.peers.standings import KEPT, Standings
from tests.support.libraries import Library, library

MB = 1_000_000


@dataclass
class Seat:
    """A reporter or source."""

    n: int
    registered_from: str
    keyed: bool = True


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Library]:
    async with library(tmp_path) as made:
        yield made


async def made(books: Library, clock: ManualClock | None = None) -> Standings:
    standings = Standings(OpinionStore(books.database), clock or books.clock)
    await standings.open()
    return standings


async def seat(books: Library, name: str, address: str) -> Seat:
    return Seat(await books.number(name), address)


def rows(books: Library) -> int:
    (count,) = books.rows("SELECT count(*) FROM opinions")[0]
    return int(count)


async def test_a_report_is_remembered_after_a_restart(books: Library) -> None:
    one, two = await seat(books, "one", "192.0.2.1"), await seat(books, "two", "198.51.100.1")
    standings = await made(books)
    standings.report(one, two, "ok", 3 * MB, 1.0)
    said = standings.of(two.n)
    assert said.reputation > 50 and said.speed == 3 * MB
    assert rows(books) == 0
    await standings.write_behind()
    again = await made(books)
    assert again.of(two.n) == said
    assert again.of(one.n) == NEW
    again.report(one, two, "corrupt", 0, 1.0)
    await again.write_behind()
    assert rows(books) == 1
    assert (await made(books)).of(two.n).reputation < 50


async def test_nobody_rates_itself(books: Library) -> None:
    one, twin = await seat(books, "one", "192.0.2.1"), await seat(books, "twin", "192.0.2.1")
    standings = await made(books)
    standings.report(one, one, "ok", MB, 1.0)
    standings.report(twin, one, "ok", MB, 1.0)
    assert standings.of(one.n) == NEW
    here = Seat(one.n, "127.0.0.1")
    standings.report(here, here, "ok", MB, 1.0)
    assert standings.of(one.n) == NEW
    standings.report(Seat(twin.n, "127.0.0.1"), here, "ok", MB, 1.0)
    assert standings.of(one.n) != NEW


async def test_a_source_is_heard_about_from_so_many_and_no_more(books: Library) -> None:
    source = await seat(books, "source", "192.0.2.1")
    standings = await made(books)
    for n in range(KEPT + 10):
        standings.report(Seat(1000 + n, f"10.0.{n}.1"), source, "ok", MB, 1.0)
        if n == KEPT:
            await standings.write_behind()
    await standings.write_behind()
    assert rows(books) == KEPT


async def test_what_is_of_a_forgotten_source_goes_and_breaks_nothing(books: Library) -> None:
    one, two = await seat(books, "one", "192.0.2.1"), await seat(books, "two", "198.51.100.1")
    standings = await made(books)
    standings.report(one, two, "ok", MB, 1.0)
    standings.report(two, one, "ok", MB, 1.0)
    await standings.write_behind()
    standings.report(one, two, "ok", MB, 1.0)
    standings.report(two, one, "ok", MB, 1.0)
    await books.forget("two")
    standings.forget(two.n)
    await standings.write_behind()
    assert rows(books) == 1
    assert standings.of(two.n) == NEW


async def test_a_source_that_is_being_forgotten_stops_no_other_from_being_written(books: Library) -> None:
    one, two = await seat(books, "one", "192.0.2.1"), await seat(books, "two", "198.51.100.1")
    standings = await made(books)
    standings.report(one, two, "ok", MB, 1.0)
    standings.report(two, one, "ok", MB, 1.0)
    await books.forget("two")  # its row is gone; that it was forgotten is not told yet
    await standings.write_behind()
    assert rows(books) == 1


async def test_what_was_said_long_ago_is_dropped(books: Library) -> None:
    one, two = await seat(books, "one", "192.0.2.1"), await seat(books, "two", "198.51.100.1")
    clock = ManualClock()
    standings = await made(books, clock)
    standings.report(one, two, "corrupt", 0, 1.0)
    await standings.write_behind()
    before = standings.of(two.n).reputation
    clock.advance(FORGOTTEN / 4)
    standings.fade()
    assert before < standings.of(two.n).reputation <= 50
    clock.advance(FORGOTTEN)
    standings.fade()
    assert standings.of(two.n) == NEW
    await standings.write_behind()
    assert rows(books) == 0


async def test_what_could_not_be_written_is_written_later(books: Library) -> None:
    one, two = await seat(books, "one", "192.0.2.1"), await seat(books, "two", "198.51.100.1")
    standings = await made(books)
    standings.report(one, two, "ok", MB, 1.0)
    in_the_way = sqlite3.connect(books.database.path)
    in_the_way.execute("ALTER TABLE opinions RENAME TO away")
    in_the_way.commit()
    with pytest.raises(Unavailable):
        await standings.write_behind()
    in_the_way.execute("ALTER TABLE away RENAME TO opinions")
    in_the_way.commit()
    in_the_way.close()
    await standings.write_behind()
    assert rows(books) == 1
