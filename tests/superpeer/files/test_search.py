"""What is found: words, conditions, orders. Over a real index, compared with plain reckoning where that can be done."""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import errors
from superpeer.files.listing import fold
from superpeer.files.search import CURSOR_LIFE, MAX_CURSORS, FixedResults, SearchQuery
from tests.support.libraries import Library, entry, library

NAMES = [
    "Beethoven - Symphony No. 9.flac",
    "beethoven_notes.txt",
    "Über den Wolken.mp3",
    "uberfahrt.jpg",
    "Straßenkarte.pdf",
    "report (final) v2.pdf",
    "report.pdf",
    "README",
    "py.typed",
    "a",
    "日本語のファイル.txt",
    "100%_sure.txt",
    "semi;colon'quote\"double.txt",
    "back\\slash.txt",
    "star*.txt",
    "under_score.txt",
    "NEAR(a b).txt",
    "emoji 🎉🎉🎉.png",
]


async def shelve(books: Library, *names: str, **more: Any) -> None:
    await books.announce("p", *(entry(name, **more) for name in names))


# Words


FOUND = [
    ("beethoven", [0, 1]),
    ("BEETHOVEN", [0, 1]),
    ("eethov", [0, 1]),
    ("beethoven symphony", [0]),
    ("symphony beethoven", [0]),
    ("beethoven symphony karajan", []),
    ("uber", [2, 3]),
    ("ÜBER", [2, 3]),
    ("u\u0308ber", [2, 3]),
    ("strassen", [4]),
    ("STRAßEN", [4]),
    ("report", [5, 6]),
    ("report final", [5]),
    ("(final)", [5]),
    ("report.pdf", [6]),
    ("readme", [7]),
    ("py", [8]),
    ("typed py", [8]),
    ("日本語", [10]),
    ("日", [10]),
    ("のフ", [10]),
    ("🎉", [17]),
    ("🎉🎉🎉", [17]),
    ("100%", [11]),
    ("%", [11]),
    ("_", [1, 11, 15]),
    ("0%_s", [11]),
    ("'", [12]),
    ('"', [12]),
    ('"double', [12]),
    ("';", []),
    (";", [12]),
    ("\\", [13]),
    ("\\slash", [13]),
    ("*", [14]),
    ("star*", [14]),
    ("st*r", []),
    ("NEAR(a", [16]),
    ("near( b)", [16]),
    ("AND", []),
    ("report OR readme", []),
    ("report NOT final", []),
    ("^report", []),
    ("report -final", []),
    ("text:report", []),
    ("{text}", []),
    ("image", [3, 17]),
    ("pdf document", [4, 5, 6]),
    ("   report \t final\n", [5]),
    ("report report report", [5, 6]),
    ("nothing of the kind", []),
]


async def test_words(books: Library) -> None:
    await shelve(books, *NAMES)
    for q, names in FOUND:
        assert sorted(await books.names(q=q, limit=1000)) == sorted(NAMES[n] for n in names), q


async def test_no_words_find_everything(books: Library) -> None:
    await shelve(books, *NAMES)
    for q in ("", " ", "\t\n"):
        assert len(await books.names(q=q)) == len(NAMES)


async def test_other_names_and_tags_are_found_as_well(books: Library) -> None:
    await books.announce("p", entry("one.txt", "same", tags=["Grünkohl"]))
    await books.announce("q", entry("second name.txt", "same"))
    for q in ("one", "second", "grunkohl", "grünkohl second one", "kohl"):
        assert await books.names(q=q) == ["one.txt"], q


async def test_a_word_does_not_run_from_one_name_into_the_next(books: Library) -> None:
    await books.announce("p", entry("ab", "same"), entry("cd", "same"))
    assert await books.names(q="abcd") == []
    assert await books.names(q="bc") == []


async def test_every_word_counts_however_many(books: Library) -> None:
    words = [f"w{n}" for n in range(60)]
    await shelve(books, " ".join(words), " ".join(words[:-1]))
    assert await books.names(q=" ".join(words)) == [" ".join(words)]
    assert len(await books.names(q=" ".join(words[:-1]))) == 2


async def test_a_query_of_any_characters_is_answered(books: Library) -> None:
    await shelve(books, *NAMES)
    chance = random.Random(5)
    alphabet = "ab\"'*()^-+:;{}[]%_\\/.,~!?&|<>= \t\nüß日🎉\u0301\u200b\ufeff"
    for _ in range(300):
        await books.page(q="".join(chance.choice(alphabet) for _ in range(chance.randint(1, 12))))


@pytest.mark.parametrize("part", ["a", "ab ", '"', '""', "* ", "AND ", "NEAR(", "% ", "( ", "ü", "🎉"])
async def test_a_query_as_long_as_it_may_be_is_answered(books: Library, part: str) -> None:
    await shelve(books, *NAMES)
    await books.page(q=(part * 1024)[:1024])


async def test_a_query_that_is_longer_is_refused(books: Library) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await books.page(q="a" * 1025)
    assert refused.value.code == "invalid_parameter"


LETTERS = st.text("abAB.üß ", min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(LETTERS.filter(str.strip), st.lists(LETTERS, max_size=2)), min_size=1, max_size=6),
    st.lists(st.text("ab.üß ", max_size=5), min_size=1, max_size=8),
)
def test_found_is_what_plain_reckoning_finds(files: list[tuple[str, list[str]]], queries: list[str]) -> None:
    async def all_of_it() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with library(Path(folder)) as books:
                for n, (name, tags) in enumerate(files):
                    await books.announce("p", entry(f"{n}/{name}", tags=tags))
                for q in queries:
                    expected = [name for name, tags in files if _holds(name, tags, q)]
                    assert sorted(await books.names(q=q)) == sorted(expected), q

    asyncio.run(all_of_it())


def _holds(name: str, tags: list[str], q: str) -> bool:
    lines = [name, *(f"#{' '.join(tag.split())}" for tag in tags if tag.strip()), "other"]
    return all(any(word in fold(line) for line in lines) for word in fold(q).split())


# Conditions


@pytest.fixture
async def shelves(books: Library) -> Library:
    """Different files at two peers in two regions."""
    await books.announce(
        "paris",
        entry("song.mp3", size=100, tags=["Jazz", "live"], modified="2024-01-01T00:00:00Z"),
        entry("song.flac", size=1000, tags=["jazz"], modified="2024-06-01T00:00:00Z"),
        entry("cover.jpg", size=10, tags=["jazzy"]),
    )
    await books.announce("rome", entry("song.mp3", size=100), entry("novel.pdf", size=500, tags=["Été", "two words"]))
    return books


CONDITIONS = [
    ({"category": "audio"}, ["song.mp3", "song.flac"]),
    ({"category": "Audio"}, []),
    ({"category": "tune"}, []),
    ({"category": ""}, ["song.mp3", "song.flac", "cover.jpg", "novel.pdf"]),
    ({"tag": "jazz"}, ["song.mp3", "song.flac"]),
    ({"tag": "JAZZ"}, ["song.mp3", "song.flac"]),
    ({"tag": "jaz"}, []),
    ({"tag": ["jazz", "live"]}, ["song.mp3"]),
    ({"tag": ["jazz", "jazzy"]}, []),
    ({"tag": "été"}, ["novel.pdf"]),
    ({"tag": "ETE"}, ["novel.pdf"]),
    ({"tag": " two  words "}, ["novel.pdf"]),
    ({"tag": "two"}, []),
    ({"tag": ""}, ["song.mp3", "song.flac", "cover.jpg", "novel.pdf"]),
    ({"tag": '"'}, []),
    ({"tag": "%"}, []),
    ({"ext": "mp3"}, ["song.mp3"]),
    ({"ext": ".MP3"}, ["song.mp3"]),
    ({"ext": "mp"}, []),
    ({"min_size": 100}, ["song.mp3", "song.flac", "novel.pdf"]),
    ({"max_size": 100}, ["song.mp3", "cover.jpg"]),
    ({"min_size": 100, "max_size": 500}, ["song.mp3", "novel.pdf"]),
    ({"min_size": 501, "max_size": 500}, []),
    ({"min_size": 0, "max_size": 2**53}, ["song.mp3", "song.flac", "cover.jpg", "novel.pdf"]),
    ({"modified_after": "2023-12-31T23:59:59Z"}, ["song.mp3", "song.flac"]),
    ({"modified_after": "2024-01-01T00:00:00Z"}, ["song.flac"]),
    ({"modified_after": "2024-01-01T01:00:00+02:00"}, ["song.mp3", "song.flac"]),
    ({"modified_after": "2024-03-01T00:00:00"}, ["song.flac"]),
    ({"modified_after": "0001-01-01T00:00:00Z"}, ["song.mp3", "song.flac"]),
    ({"peer": "rome"}, ["song.mp3", "novel.pdf"]),
    ({"peer": "nobody"}, []),
    ({"region": "p"}, ["song.mp3", "song.flac", "cover.jpg"]),
    ({"region": "r", "peer": "paris"}, []),
    ({"region": "r", "peer": "rome", "q": "song", "category": "audio"}, ["song.mp3"]),
    ({"q": "song", "ext": "flac", "tag": "jazz", "min_size": 1}, ["song.flac"]),
]


async def test_conditions(shelves: Library) -> None:
    for query, names in CONDITIONS:
        assert sorted(await shelves.names(**query)) == sorted(names), query
        for sort in ("name", "size", "downloads", "rating", "date"):
            page = await shelves.page(sort=sort, **query)
            assert sorted(info.filename for info in page.files) == sorted(names), (query, sort)
            assert page.total == len(names)


async def test_online_is_asked_of_whoever_the_other_conditions_name(shelves: Library) -> None:
    await shelves.set_online("rome", False)
    assert await shelves.names(q="novel") == []
    assert await shelves.names(q="novel", online="false") == ["novel.pdf"]
    assert await shelves.names(peer="rome") == []
    assert sorted(await shelves.names(peer="rome", online="false")) == ["novel.pdf", "song.mp3"]
    assert await shelves.names(region="r") == []
    assert await shelves.names(q="song.mp3") == ["song.mp3"]


UNFIT = [
    ({"sort": "colour"}, "invalid_sort"),
    ({"sort": ""}, "invalid_sort"),
    ({"sort": "Name"}, "invalid_sort"),
    ({"limit": "0"}, "invalid_limit"),
    ({"limit": "1001"}, "invalid_limit"),
    ({"limit": "-1"}, "invalid_limit"),
    ({"limit": "1.5"}, "invalid_limit"),
    ({"limit": "ten"}, "invalid_limit"),
    ({"limit": ""}, "invalid_limit"),
    ({"limit": "9" * 400}, "invalid_limit"),
    ({"cursor": "x"}, "invalid_cursor"),
    ({"cursor": "x" * 1025}, "invalid_cursor"),
    ({"min_size": "-1"}, "invalid_parameter"),
    ({"min_size": "1.5"}, "invalid_parameter"),
    ({"min_size": "big"}, "invalid_parameter"),
    ({"max_size": str(2**53 + 1)}, "invalid_parameter"),
    ({"modified_after": "yesterday"}, "invalid_parameter"),
    ({"modified_after": "9999-12-31T23:59:59-10:00"}, "invalid_parameter"),
    ({"modified_after": "0001-01-01T00:00:00+10:00"}, "invalid_parameter"),
    ({"modified_after": "2024-13-01T00:00:00Z"}, "invalid_parameter"),
    ({"online": "maybe"}, "invalid_parameter"),
    ({"category": "x" * 65}, "invalid_parameter"),
    ({"q": "a\0b"}, "invalid_parameter"),
]


async def test_a_parameter_that_does_not_fit_is_refused(books: Library) -> None:
    for query, code in UNFIT:
        with pytest.raises(errors.Invalid) as refused:
            await books.page(**query)
        assert refused.value.code == code, query


# Orders


async def test_relevance_puts_what_comes_closest_first(books: Library) -> None:
    names = ["the lamp.txt", "lamp", "lampshade.txt", "lamp.txt", "unrelated.txt", "a lamp of the long name.txt"]
    await books.announce("p", *(entry(name, tags=["lamp"] if name.startswith("un") else []) for name in names))
    assert await books.names(q="lamp") == [
        "lamp",
        "lamp.txt",
        "lampshade.txt",
        "the lamp.txt",
        "a lamp of the long name.txt",
        "unrelated.txt",
    ]


async def test_relevance_prefers_words_that_stand_together(books: Library) -> None:
    await shelve(books, "some lamp of a desk.txt", "the desk lamp.txt", "desk and lamp.txt", "desk lamp.txt")
    assert await books.names(q="desk lamp") == [
        "desk lamp.txt",
        "the desk lamp.txt",
        "desk and lamp.txt",
        "some lamp of a desk.txt",
    ]


async def test_relevance_prefers_what_can_be_had_and_was_wanted(books: Library) -> None:
    await shelve(books, "lamp one.txt", "lamp two.txt", "lamp six.txt")
    await books.announce("q", entry("lamp two.txt"))
    ((six,),) = books.rows("SELECT file_n FROM listings WHERE name = 'lamp six.txt'")
    await books.index.count_downloads({six: 3})
    assert await books.names(q="lamp") == ["lamp two.txt", "lamp six.txt", "lamp one.txt"]
    assert await books.names(q="la") == ["lamp two.txt", "lamp six.txt", "lamp one.txt"]
    assert await books.names() == ["lamp two.txt", "lamp six.txt", "lamp one.txt"]
    assert await books.names(tag="", category="document") == ["lamp two.txt", "lamp six.txt", "lamp one.txt"]


async def test_among_equals_without_words_the_newest_comes_first(books: Library) -> None:
    for name in ("one", "two", "three"):
        await shelve(books, name)
    assert await books.names() == ["three", "two", "one"]


async def test_other_orders(books: Library) -> None:
    sizes = {"Zebra.txt": 3, "äpfel.txt": 1, "banana.txt": 2, "Apfel.txt": 3}
    for name, size in sizes.items():
        books.clock.advance(1)
        await books.announce("p", entry(name, size=size))
    ((n,),) = books.rows("SELECT file_n FROM listings WHERE name = 'banana.txt'")
    await books.index.count_downloads({n: 1})
    assert await books.names(sort="name") == ["äpfel.txt", "Apfel.txt", "banana.txt", "Zebra.txt"]
    assert await books.names(sort="size") == ["Apfel.txt", "Zebra.txt", "banana.txt", "äpfel.txt"]
    assert await books.names(sort="date") == ["Apfel.txt", "banana.txt", "äpfel.txt", "Zebra.txt"]
    assert await books.names(sort="rating") == await books.names(sort="date")
    assert (await books.names(sort="downloads"))[0] == "banana.txt"


# Fixed results


def test_fixed_results_are_kept_for_their_time() -> None:
    fixed = FixedResults()
    name = fixed.keep([1, 2], 7, 0.0)
    assert fixed.find(name, CURSOR_LIFE) == ([1, 2], 7)
    with pytest.raises(errors.Gone) as refused:
        fixed.find(name, CURSOR_LIFE + 0.1)
    assert refused.value.code == "cursor_expired"


def test_fixed_results_that_never_were_are_gone() -> None:
    with pytest.raises(errors.Gone):
        FixedResults().find("x", 0.0)


def test_too_many_fixed_results_drop_the_oldest() -> None:
    fixed = FixedResults()
    names = [fixed.keep([n], 1, 0.0) for n in range(MAX_CURSORS + 1)]
    assert len(set(names)) == len(names)
    with pytest.raises(errors.Gone):
        fixed.find(names[0], 0.0)
    assert fixed.find(names[-1], 0.0) == ([MAX_CURSORS], 1)
    assert len(fixed._kept) == MAX_CURSORS


def test_old_fixed_results_take_no_room() -> None:
    fixed = FixedResults()
    for _ in range(9):
        fixed.keep([1], 1, 0.0)
    fixed.keep([1], 1, CURSOR_LIFE + 1)
    assert len(fixed._kept) == 1


def test_words_are_folded_and_told_once() -> None:
    assert SearchQuery(q=" Über  uber\tSTRASSE straße ").words() == ["uber", "strasse"]
    assert SearchQuery().words() == []
