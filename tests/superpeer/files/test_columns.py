"""Columns in memory: whatever comes, changes and goes, what they hold is what a dictionary would."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from superpeer.files.columns import SLACK, Columns, Document, NameOrder

WORDS = st.sampled_from(["alpha", "beta", "über", "日本", "a", "ab", "alpha beta", "aaa", "ÿ", "\U0010ffff"])
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map("\n".join)
EVENTS = st.lists(st.tuples(st.integers(1, 8), st.none() | TEXTS), max_size=30)


def document(n: int, text: str = "a", **more: Any) -> Document:
    made = Document(n, "public", "document", "txt", 1, None, 0.0, 0, 1, text.partition("\n")[0], text)
    return made._replace(**more)


def holding(columns: Columns, part: str) -> set[int]:
    """The living listings that hold this."""
    places = columns.holding(part)[0]
    return set(columns.column("n")[places[columns.column("alive")[places]]].tolist())


@given(EVENTS, WORDS)
def test_what_is_held_is_what_came_last(events: list[tuple[int, str | None]], part: str) -> None:
    columns, kept = Columns(), dict[int, str]()
    for n, text in events:
        assert holding(columns, part) == {each for each, held in kept.items() if part in held}
        if text is None:
            columns.drop([n])
            kept.pop(n, None)
        else:
            columns.put([document(n, text)])
            kept[n] = text
    assert holding(columns, part) == {n for n, text in kept.items() if part in text}
    assert len(columns) == len(kept)


@given(EVENTS)
def test_where_a_word_stands_first_is_told_in_bytes(events: list[tuple[int, str | None]]) -> None:
    columns = Columns()
    columns.put(document(n, text) for n, text in events if text is not None)
    texts = {n: text for n, text in events if text is not None}
    places, positions = columns.holding("a")
    for place, position in zip(places.tolist(), positions.tolist(), strict=True):
        if columns.column("alive")[place]:
            text = texts[int(columns.column("n")[place])].encode()
            assert position - columns.column("start")[place] == text.index(b"a")


def test_the_end_of_one_text_and_the_beginning_of_the_next_are_no_word() -> None:
    columns = Columns()
    columns.put([document(1, "ab"), document(2, "cd")])
    assert holding(columns, "bc") == set()
    assert holding(columns, "cd") == {2}


def test_numbers_change_without_a_new_place() -> None:
    columns = Columns()
    columns.put([document(1)])
    columns.put([document(1, downloads=7, online_sources=0, size=9)])
    assert len(columns.column("n")) == 1
    assert [columns.column(name)[0] for name in ("downloads", "online_sources", "size")] == [7, 0, 9]


def test_what_is_dead_is_not_kept_for_ever() -> None:
    columns = Columns()
    for turn in range(4 * SLACK):
        columns.put([document(1, f"text {turn}", extension=f"x{turn}"), document(2, "still here")])
    assert len(columns) == 2
    assert len(columns._words) <= SLACK + 5
    assert columns.column("extension")[columns.column("alive")].tolist() == [
        columns.word("txt"),
        columns.word(f"x{4 * SLACK - 1}"),
    ]
    assert len(columns.column("n")) <= SLACK + 5
    assert holding(columns, "still") == {2}
    assert holding(columns, f"text {4 * SLACK - 1}") == {1}


def test_more_online_then_more_downloads_then_a_shorter_name_is_better() -> None:
    better = [
        {"online_sources": 2**40},
        {"online_sources": 2, "downloads": 2**50},
        {"online_sources": 2, "downloads": 2**31},
        {"online_sources": 2},
        {"downloads": 1},
        {"text": "a", "sort_name": "a"},
        {"text": "aa", "sort_name": "aa"},
        {"text": "a" * 1000, "sort_name": "a" * 1000},
        {"online_sources": 0, "downloads": 2**50},
    ]
    columns = Columns()
    columns.put(document(n, **more) for n, more in enumerate(better, 1))
    ranks = columns.column("rank").tolist()
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


@given(st.lists(WORDS), WORDS)
def test_names_are_ranked_as_they_sort(names: list[str], other: str) -> None:
    order = NameOrder(names)
    ranks = order.ranks.tolist()
    for name, rank in zip(names, ranks, strict=True):
        assert order.rank(name) == rank
        assert (other < name, other == name) == (order.rank(other) < rank, order.rank(other) == rank)
