"""What one audience is shown of one file: names, tags, size, sources. Pure."""

import json
import unicodedata
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpeer.files.listing import (
    MAX_NAMES,
    MAX_TAGS,
    extended,
    extension_of,
    fold,
    groups,
    listing,
    searchable,
    stored,
    tag_line,
    tidy,
    words_of,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


class Row(NamedTuple):
    """An entry as the database gives it."""

    peer_n: int = 1
    name: str = "a.txt"
    size: int = 1
    tags: str = "[]"
    online: bool = True
    file_n: int = 7
    category: str = "document"
    mime: str = "text/plain"
    modified: float | None = None
    manifest: str | None = None
    audience: str = "public"
    announced_at: float = 0.0
    downloads: int = 0
    registered_from: str = "10.0.0.1"
    keyed: bool = True


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("README.TXT", "readme.txt"),
        ("Über", "uber"),
        ("Ångström", "angstrom"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ΑΘΗΝΆΣ", "αθηνασ"),
        ("αθηνάς", "αθηνασ"),
        ("ﬁne", "fine"),
        ("Brand™", "brandtm"),
        ("㎏", "kg"),
        ("Ǆ", "dz"),
        ("İstanbul", "istanbul"),
        ("ΐ", "ι"),
        ("日本語", "日本語"),
        ("カ\u3099", "カ"),
        ("", ""),
    ],
)
def test_text_is_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(TEXT)
def test_folded_text_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(TEXT)
def test_composition_makes_no_difference(text: str) -> None:
    assert len({fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}) == 1


@given(TEXT)
def test_case_makes_no_difference(text: str) -> None:
    assert fold(text.casefold()) == fold(text)


@given(TEXT, TEXT)
def test_a_part_folds_as_it_does_in_the_whole(one: str, other: str) -> None:
    """So a word of a name, folded by itself, is found in the folded name."""
    assert fold(one + other) == fold(one) + fold(other)


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.txt", "txt"),
        ("a.TXT", "txt"),
        ("a.tar.gz", "gz"),
        ("a", ""),
        (".profile", ""),
        ("a.", ""),
        ("", ""),
        (".", ""),
        ("a." + "x" * 16, "x" * 16),
        ("a." + "x" * 17, ""),
        ("a.b c", "b c"),
    ],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension


def test_entries_fall_into_one_group_a_file_and_audience() -> None:
    rows = [Row(file_n=1), Row(file_n=2), Row(file_n=1, audience="x"), Row(file_n=1, peer_n=2)]
    assert groups(rows) == {(1, "public"): [rows[0], rows[3]], (2, "public"): [rows[1]], (1, "x"): [rows[2]]}
    assert groups([]) == {}


def test_the_first_name_is_shown_and_the_others_stand_beside_it() -> None:
    made = listing([Row(name="b.txt"), Row(name="a.txt"), Row(peer_n=2, name="b.txt"), Row(peer_n=2, name="c.txt")])
    assert made["name"] == "b.txt"
    assert made["sort_name"] == "b.txt"
    assert json.loads(made["names"]) == ["a.txt", "c.txt"]
    assert made["owner_n"] == 1


def test_all_tags_are_shown_once() -> None:
    made = listing([Row(tags='["b", "a"]'), Row(tags="[]"), Row(tags='["a", "ç"]')])
    assert json.loads(made["tags"]) == ["b", "a", "ç"]


def test_names_and_tags_are_bounded() -> None:
    rows = [Row(name=f"{n}.txt", tags=json.dumps([f"t{n}"])) for n in range(200)]
    made = listing(rows)
    assert json.loads(made["names"]) == [f"{n}.txt" for n in range(1, MAX_NAMES + 1)]
    assert json.loads(made["tags"]) == [f"t{n}" for n in range(MAX_TAGS)]
    assert made["text"].count("\n") == MAX_NAMES + MAX_TAGS + 1


def test_a_peer_counts_once_however_often_it_has_the_file() -> None:
    made = listing([Row(1, "a"), Row(1, "b"), Row(2, "a", online=False), Row(3, "a")])
    assert (made["sources"], made["online_sources"], made["source_n"]) == (3, 2, 1)


def test_nobody_online_is_no_source() -> None:
    made = listing([Row(online=False)])
    assert (made["sources"], made["online_sources"], made["source_n"]) == (1, 0, None)


def test_most_peers_decide_about_the_size_and_the_others_do_not_count() -> None:
    made = listing([Row(1, "liar", size=9), Row(2, "a", size=5), Row(3, "b", size=5)])
    assert (made["size"], made["name"], made["owner_n"], made["sources"]) == (5, "a", 2, 2)
    assert json.loads(made["names"]) == ["b"]
    assert "liar" not in made["text"]


def test_many_peers_at_one_address_do_not_outvote_two_addresses() -> None:
    crowd = [Row(n, size=9, registered_from="10.6.6.6") for n in range(1, 9)]
    assert listing([*crowd, Row(10, size=5), Row(11, size=5, registered_from="10.0.0.2")])["size"] == 5


def test_at_one_address_peers_with_a_key_outvote_those_without() -> None:
    crowd = [Row(n, size=9, keyed=False) for n in range(1, 9)]
    assert listing([*crowd, Row(10, size=5)])["size"] == 5
    elsewhere = [row._replace(registered_from="10.6.6.6") for row in crowd]
    assert listing([*elsewhere, Row(10, size=5)])["size"] == 5


def test_one_peer_has_one_voice_for_a_size() -> None:
    rows = [Row(1, "a", size=9), Row(1, "b", size=9), Row(1, "c", size=9), Row(2, size=5), Row(3, size=5)]
    assert listing(rows)["size"] == 5


def test_between_equals_the_first_decides() -> None:
    assert listing([Row(1, size=9), Row(2, size=5)])["size"] == 9


def test_the_first_manifest_is_shown() -> None:
    assert listing([Row(), Row(manifest="m1"), Row(manifest="m2")])["manifest"] == "m1"
    assert listing([Row()])["manifest"] is None


def test_the_time_is_that_of_the_first_announcement() -> None:
    made = listing([Row(announced_at=5.0, modified=1.0), Row(announced_at=9.0, modified=2.0)])
    assert (made["upload_time"], made["modified"]) == (5.0, 1.0)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "peer_n": st.integers(1, 3),
            "name": st.sampled_from(["a.txt", "b.txt", "ü"]),
            "tags": st.sampled_from(["[]", '["x"]', '["y","x"]']),
            "manifest": st.sampled_from([None, "m1", "m2"]),
        }
    ).map(lambda values: Row(**values)),
    min_size=1,
    max_size=5,
)


@given(ROWS, ROWS, st.booleans())
def test_extended_is_what_all_entries_together_make(before: list[Row], after: list[Row], online: bool) -> None:
    before = [row._replace(online=row.peer_n == 1) for row in before]
    after = [row._replace(peer_n=2, online=online) for row in after]
    before = [row._replace(online=online if row.peer_n == 2 else row.online) for row in before]
    newcomer = all(row.peer_n != 2 for row in before)
    made = extended({"n": 9, **listing(before)}, [row._asdict() for row in after], newcomer=newcomer, online=online)
    assert made == listing([*before, *after])


def test_extended_is_bounded_as_well() -> None:
    old = listing([Row(name=f"{n}", tags=stored([f"t{n}"])) for n in range(60)])
    came = [Row(2, f"new{n}", tags=stored([f"new{n}"]))._asdict() for n in range(60)]
    made = extended(old, came, newcomer=True, online=False)
    assert len(json.loads(made["names"])) == MAX_NAMES
    assert len(json.loads(made["tags"])) == MAX_TAGS


def test_the_text_has_a_line_for_each_name_tag_and_category() -> None:
    assert searchable(["A.txt", "Ü b"], ["Jazz"], "audio") == "a.txt\nu b\n#jazz\naudio"


def test_a_name_makes_no_line_of_its_own() -> None:
    assert tag_line("jazz") not in searchable(["a\n#jazz\nb"], [], "audio")


@given(st.lists(TEXT.map(tidy).filter(bool), max_size=4), TEXT, TEXT)
def test_a_tag_line_is_in_the_text_exactly_when_the_tag_is(tags: list[str], name: str, wanted: str) -> None:
    text = searchable([name], tags, "other")
    assert all(tag_line(tag) in text for tag in tags)
    assert (tag_line(wanted) in text) == (fold(tidy(wanted)) in map(fold, tags))


def test_a_tag_has_no_needless_space() -> None:
    assert tidy("  two \t words\n") == "two words"


@given(st.lists(TEXT, max_size=5))
def test_words_come_back_from_their_column(words: list[str]) -> None:
    assert words_of(stored(words)) == words
    assert json.loads(stored(words)) == words


def test_no_words_take_two_characters() -> None:
    assert stored([]) == "[]"
    assert words_of("[]") == []


def test_a_listing_has_a_value_for_every_column() -> None:
    from superpeer.database.tables import listings

    made: dict[str, Any] = listing([Row()])
    assert set(made) == {column.name for column in listings.columns} - {"n"}
