"""The columns follow the database: nothing that was committed is missed, whoever wrote it and whenever one looks."""

import asyncio

import pytest

from superpeer.files import search_memory
from superpeer.files.shelf import Shelf
from tests.support.libraries import Library, entry, query_of


async def found(shelf: Shelf, q: str = "") -> list[str]:
    page = await shelf.page(query_of(q=q, limit=1000))
    assert page.total == len(page.files)  # nothing is counted that is not there to be shown
    return sorted(info.filename for info in page.files)


async def test_another_process_sees_what_this_one_commits(books: Library) -> None:
    other = Shelf(books.database, books.clock)
    assert await found(other) == []
    await books.announce("p", entry("a.txt"), entry("b.txt"))
    assert await found(other) == ["a.txt", "b.txt"]
    await books.announce("p", entry("c.txt"), remove=["a.txt"])
    assert await found(other) == await found(books.shelf) == ["b.txt", "c.txt"]
    await books.forget("p")
    assert await found(other) == await found(books.shelf) == []


async def test_who_slept_too_long_takes_up_everything(books: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_memory, "KEPT_CHANGES", 3)
    sleeper = Shelf(books.database, books.clock)
    await books.announce("p", *(entry(f"{n}.txt") for n in range(10)))
    assert len(await found(sleeper)) == 10
    await books.announce("p", entry("new.txt"), remove=[f"{n}.txt" for n in range(9)])
    await books.shelf.forget_changes()
    assert books.rows("SELECT count(*) FROM listing_changes") == [(3,)]
    assert await found(sleeper) == ["9.txt", "new.txt"]


async def test_the_changes_that_are_kept_are_enough_for_who_was_awake(
    books: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_memory, "KEPT_CHANGES", 3)
    await books.announce("p", *(entry(f"{n}.txt") for n in range(10)))
    await books.shelf.follow()
    columns = books.shelf._search._columns
    await books.announce("p", entry("new.txt"))
    await books.shelf.forget_changes()
    assert len(await found(books.shelf)) == 11
    assert books.shelf._search._columns is columns


async def test_searches_beside_announcements_see_all_of_one_or_nothing_of_it(books: Library) -> None:
    """Each announcement replaces ten files by ten others."""
    await books.announce("p", *(entry(f"0-{n}.txt") for n in range(10)))

    async def change() -> None:
        for turn in range(1, 30):
            gone = [f"{turn - 1}-{n}.txt" for n in range(10)]
            await books.announce("p", *(entry(f"{turn}-{n}.txt") for n in range(10)), remove=gone)

    changing = asyncio.create_task(change())
    while not changing.done():
        for page in await asyncio.gather(*(books.page(limit=1000) for _ in range(4))):
            assert page.total == 10
            assert len({info.filename.partition("-")[0] for info in page.files}) <= 1
    await changing
    assert await found(books.shelf) == sorted(f"29-{n}.txt" for n in range(10))
