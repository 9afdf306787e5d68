"""Pages of the index: complete, each file once, whatever happens meanwhile; and what nobody may see is nowhere."""

import base64
import json
import sqlite3
from typing import Any

import pytest

from common import errors
from superpeer.files.search import CURSOR_LIFE, RELEVANT
from superpeer.files.search_memory import COUNTED
from superpeer.files.shelf import Page
from superpeer.files.visible import ANYONE, Asker, audiences
from tests.support.libraries import Library, entry, query_of
from tests.support.peers import content_id

SORTS = ("relevance", "name", "size", "downloads", "rating", "date")


async def walked(books: Library, meanwhile: Any = None, **query: Any) -> list[Page]:
    """All pages along their cursors; `meanwhile` is called between two."""
    pages = [await books.page(**query)]
    while (cursor := pages[-1].next_cursor) is not None:
        if meanwhile is not None:
            await meanwhile(len(pages))
        pages.append(await books.page(cursor=cursor, **query))
    return pages


def names(pages: list[Page]) -> list[str]:
    return [info.filename for page in pages for info in page.files]


async def fill(books: Library, count: int, prefix: str = "f") -> list[str]:
    made = [f"{prefix}{n:05}.txt" for n in range(count)]
    for start in range(0, count, 1000):
        await books.announce("p", *(entry(name, size=n % 7) for n, name in enumerate(made[start : start + 1000])))
    return made


async def fill_directly(books: Library, count: int) -> None:
    """As many listings as no test announces one by one."""
    await books.announce("p", entry("f00000.txt"))
    columns = ", ".join(column for (column,) in books.rows("SELECT name FROM pragma_table_info('listings')")[1:])
    values = columns.replace("file_n", "file_n + k").replace("sort_name", "'f' || k").replace("text", "'f' || k")
    connection = sqlite3.connect(books.database.path)
    numbers = f"WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c WHERE k < {count - 1})"
    connection.execute(f"{numbers} INSERT INTO files(n, id, downloads) SELECT 1 + k, printf('%064x', k), 0 FROM c")
    connection.execute(f"{numbers} INSERT INTO listings({columns}) SELECT {values} FROM listings, c")
    connection.commit()
    connection.close()


async def test_pages_show_every_file_once(books: Library) -> None:
    made = await fill(books, 50)
    for sort in SORTS:
        whole = await books.names(sort=sort, limit=1000)
        assert sorted(whole) == made
        for limit in (1, 7, 25, 49, 50, 51):
            pages = await walked(books, sort=sort, limit=limit)
            assert names(pages) == whole, (sort, limit)
            assert [len(page.files) for page in pages[:-1]] == [limit] * (len(pages) - 1)
            assert len(pages[-1].files) > 0, "a page that is just full leads nowhere"
            assert {(page.total, page.total_exact) for page in pages} == {(50, True)}


async def test_nothing_is_one_empty_page(books: Library) -> None:
    for sort in SORTS:
        assert await books.page(sort=sort, q="nothing") == Page([], 0, True, None)


@pytest.mark.parametrize("sort", ["name", "size", "date"])
@pytest.mark.parametrize("q", ["", "f0", "txt"])
async def test_what_comes_and_goes_meanwhile_makes_no_page_skip_or_repeat(books: Library, sort: str, q: str) -> None:
    made = await fill(books, 60)

    async def meanwhile(number: int) -> None:
        books.clock.advance(1)
        await books.announce("q", entry(f"a-new-{number}.txt", size=0), entry(f"z-new-{number}.txt", size=9), remove=[])
        await books.announce("p", remove=[made[-number]])

    shown = names(await walked(books, meanwhile, sort=sort, q=q, limit=8))
    old = [name for name in shown if name in made]
    assert len(set(shown)) == len(shown)
    assert len(set(old)) == len(old)
    assert set(made[:50]) <= set(old)


async def test_a_relevance_cursor_walks_what_was_there_at_first(books: Library) -> None:
    made = await fill(books, 30)
    first = await books.page(q="txt", limit=10)
    assert first.next_cursor is not None
    gone, stays = first.files[0].filename, [name for name in made if name not in {f.filename for f in first.files}]
    await books.announce("p", remove=[gone, stays[0]])
    await books.announce("p", *(entry(f"new{n}.txt") for n in range(30)))
    shown: list[str] = []
    cursor: str | None = first.next_cursor
    while cursor is not None:
        page = await books.page(q="txt", limit=10, cursor=cursor)
        shown += [info.filename for info in page.files]
        assert page.total == 30
        cursor = page.next_cursor
    assert sorted(shown) == stays[1:]


async def test_a_relevance_cursor_has_its_time(books: Library) -> None:
    await fill(books, 30)
    cursor = (await books.page(q="f", limit=10)).next_cursor
    books.clock.advance(CURSOR_LIFE)
    assert len((await books.page(q="f", limit=10, cursor=cursor)).files) == 10
    books.clock.advance(1)
    with pytest.raises(errors.Gone) as refused:
        await books.page(q="f", limit=10, cursor=cursor)
    assert refused.value.code == "cursor_expired"


async def test_other_cursors_have_no_time(books: Library) -> None:
    await fill(books, 30)
    cursor = (await books.page(sort="name", limit=10)).next_cursor
    books.clock.advance(1e9)
    assert (await books.names(sort="name", limit=1, cursor=cursor)) == ["f00010.txt"]


async def test_a_relevance_cursor_walks_so_far_and_no_further(books: Library) -> None:
    await fill(books, RELEVANT + 200)
    for q in ("", "f", "txt"):
        pages = await walked(books, q=q, limit=300)
        assert len(set(names(pages))) == RELEVANT
        assert {page.total for page in pages} == {RELEVANT + 200}


async def test_a_page_may_have_another_size_than_the_one_before(books: Library) -> None:
    made = await fill(books, 30)
    for sort in SORTS:
        first = await books.page(sort=sort, limit=3)
        rest = await books.page(sort=sort, limit=1000, cursor=first.next_cursor)
        assert sorted(names([first, rest])) == made


async def test_totals_are_exact_to_ten_thousand_and_a_lower_bound_above(books: Library) -> None:
    async def totals(q: str) -> set[tuple[int, bool]]:
        pages = [await books.page(sort=sort, q=q) for sort in ("relevance", "name", "date")]
        assert all(len(page.files) == min(50, page.total) for page in pages)
        return {(page.total, page.total_exact) for page in pages}

    await fill_directly(books, COUNTED)
    assert [await totals(q) for q in ("", "f", "f0")] == [{(COUNTED, True)}, {(COUNTED, True)}, {(1, True)}]
    await books.announce("p", entry("f0 one more"))
    assert [await totals(q) for q in ("", "f", "f0")] == [{(COUNTED, False)}, {(COUNTED, False)}, {(2, True)}]


async def test_beyond_ten_thousand_a_walk_goes_on(books: Library) -> None:
    await fill_directly(books, COUNTED + 500)
    pages = await walked(books, sort="name", limit=1000)
    assert sum(len(page.files) for page in pages) == COUNTED + 500
    assert len({info.id for page in pages for info in page.files}) == COUNTED + 500
    assert {(page.total, page.total_exact) for page in pages} == {(COUNTED, False)}


def forged(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


NEVER_GIVEN = [
    ("name", forged("size", 1, 1)),
    ("name", forged("name", 1, 1)),
    ("name", forged("name", "a")),
    ("name", forged("name", "a", 1, 1)),
    ("name", forged("name", "a", "b")),
    ("name", forged("name", "a", True)),
    ("name", forged("name", None, None)),
    ("name", forged("name", "a", 2**63)),
    ("name", forged("name", "a", 10**40)),
    ("name", forged("name", "\0", 1)),
    ("name", forged("name", "\ud800", 1)),
    ("name", forged("name", ["a"], 1)),
    ("size", forged("size", 1.5, 1)),
    ("size", forged("size", -(2**63) - 1, 1)),
    ("date", forged("date", "x", 1)),
    ("relevance", forged("relevance", 1, 1)),
    ("relevance", forged("name", "a", 1)),
    ("relevance", forged()),
    ("relevance", "!!!"),
    ("relevance", "ä"),
    ("relevance", base64.urlsafe_b64encode(b"\xff\xfe").decode()),
    ("relevance", base64.urlsafe_b64encode(b"[" * 600).decode()[:1024]),
    ("relevance", base64.urlsafe_b64encode(b'["relevance","a",1e999]').decode()),
    ("relevance", base64.urlsafe_b64encode(b'["date",NaN,1]').decode()),
]


async def test_a_cursor_that_nobody_gave_is_refused(books: Library) -> None:
    await fill(books, 3)
    for sort, cursor in NEVER_GIVEN:
        with pytest.raises(errors.Invalid) as refused:
            await books.page(sort=sort, cursor=cursor)
        assert refused.value.code == "invalid_cursor", cursor


@pytest.mark.parametrize(
    ("sort", "cursor"),
    [
        ("name", forged("name", "zzz", 1)),
        ("name", forged("name", "", -5)),
        ("size", forged("size", -(2**52), 1)),
        ("date", forged("date", -1e300, 1)),
    ],
)
async def test_a_cursor_that_somebody_made_well_is_just_a_place(books: Library, sort: str, cursor: str) -> None:
    await fill(books, 3)
    page = await books.page(sort=sort, cursor=cursor)
    assert page.total == 3
    assert len(page.files) in (0, 3)


async def test_a_relevance_cursor_from_before_its_list_begins_there(books: Library) -> None:
    await fill(books, 5)
    cursor = (await books.page(limit=2)).next_cursor
    assert cursor is not None
    kind, name, _ = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    for start in (-5, -1, 0):
        page = await books.page(limit=2, cursor=forged(kind, name, start))
        assert len(page.files) == 2
    assert (await books.page(limit=2, cursor=forged(kind, name, 10**6))).files == []


# One file and all


async def test_a_file_by_its_id(books: Library) -> None:
    await books.announce("p", entry("dir/a.txt", tags=["x"], modified="2024-01-01T00:00:00Z"))
    found = await books.shelf.file(content_id("dir/a.txt"))
    assert found.id == found.hash == content_id("dir/a.txt")
    assert (found.filename, found.size, found.category, found.mime) == ("a.txt", 9, "document", "text/plain")
    assert (found.owner, found.peer_address, found.tags, found.names) == ("p", "127.0.0.1:9001", ["x"], [])
    assert (found.downloads, found.rating, found.sources, found.manifest) == (0, 0.0, 1, None)
    assert str(found.modified) == "2024-01-01 00:00:00+00:00"
    assert (await books.page()).files == [found]


async def test_what_nobody_has_is_not_found(books: Library) -> None:
    for wanted in (content_id("x"), "", "x", "\0"):
        with pytest.raises(errors.NotFound):
            await books.shelf.file(wanted)
        with pytest.raises(errors.NotFound):
            await books.shelf.holders(wanted)


async def test_holders_are_all_that_agree(books: Library) -> None:
    await books.announce("p", entry("a", "same", manifest=content_id("m")), entry("b", "same"))
    await books.announce("q", entry("c", "same"))
    await books.set_online("q", False)
    _, holders = await books.shelf.holders(content_id("same"))
    found = {holder.n: holder.manifest for holder in holders}
    assert found == {await books.number("p"): content_id("m"), await books.number("q"): None}


async def test_totals_count_contents(books: Library) -> None:
    assert tuple(await books.shelf.totals()) == (0, 0, 0)
    await books.announce("p", entry("a", "same"), entry("b", "same"), entry("c", "other"))
    assert tuple(await books.shelf.totals()) == (2, 9, 0)


async def test_categories_count_what_can_be_had(books: Library) -> None:
    await books.announce("p", entry("a.mp3"), entry("b.mp3"), entry("c.txt"))
    await books.announce("q", entry("d.jpg"))
    await books.set_online("q", False)
    assert await books.shelf.categories() == {"audio": 2, "document": 1}
    assert list(await books.shelf.categories()) == ["audio", "document"]


# Nobody's eyes


def test_everybody_sees_what_is_public_and_nothing_else() -> None:
    assert audiences(ANYONE) == ("public",)
    assert audiences(Asker("ann")) == ("public",)


async def test_an_audience_that_is_not_known_hides(books: Library) -> None:
    await books.announce("p", entry("open.txt", "open", size=1))
    for audience in ("friends", "", "Public", "public ", "PUBLIC", "*", "%"):
        await books.announce("p", entry("secret name.txt", tags=["hush"], audience=audience, size=999))
        await check_hidden(books)


async def check_hidden(books: Library) -> None:
    for sort in ("relevance", "name"):
        for online in ("true", "false"):
            assert await books.names(sort=sort, online=online) == ["open.txt"]
            for query in ({"q": "secret"}, {"q": "se"}, {"tag": "hush"}, {"peer": "p", "min_size": 2}):
                assert await books.names(sort=sort, online=online, **query) == []
    assert (await books.page()).total == 1
    with pytest.raises(errors.NotFound):
        await books.shelf.file(content_id("secret name.txt"))
    with pytest.raises(errors.NotFound):
        await books.shelf.holders(content_id("secret name.txt"))
    assert tuple(await books.shelf.totals()) == (1, 1, 0)
    assert await books.shelf.categories() == {"document": 1}


async def test_what_was_hidden_between_two_pages_is_not_on_the_second(books: Library) -> None:
    await fill(books, 6)
    first = await books.page(q="f", limit=3)
    shown = {info.filename for info in first.files}
    hidden = next(f"f{n:05}.txt" for n in range(6) if f"f{n:05}.txt" not in shown)
    await books.announce("p", entry(hidden, audience="friends"))
    second = await books.page(q="f", limit=3, cursor=first.next_cursor)
    assert hidden not in names([second])
    assert len(second.files) == 2


async def test_a_number_is_not_given_to_another_file_between_two_pages(books: Library) -> None:
    """What a cursor remembers is the file that was found, not what came in its place."""
    await fill(books, 4)
    first = await books.page(q="f", limit=2)
    last = books.rows("SELECT name FROM listings ORDER BY n DESC LIMIT 1")[0][0]
    await books.announce("p", entry("unrelated"), remove=[last])
    second = await books.page(q="f", limit=2, cursor=first.next_cursor)
    assert "unrelated" not in names([first, second])


async def test_a_search_says_what_stands_around_its_page(books: Library) -> None:
    await fill(books, 5)
    answer = await books.shelf.search(query_of(q="F0", limit=2))
    assert (answer.query, answer.count, answer.total, answer.total_exact) == ("F0", 2, 5, True)
    assert len(answer.results) == 2
    assert answer.next_cursor is not None
