"""What a delta must be like, and what an entry becomes. Pure."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import errors
from common.runtime.clock import utc
from common.wire.files import CatalogueDelta, Entry, FileRegistration
from superpeer.files.catalogue import Held, check_paths, columns, single, timestamp
from tests.support.peers import content_id

ID = content_id("a")
HELD = Held("c", 5, 2)


def delta(base: int, catalogue: str = "c", **more: Any) -> CatalogueDelta:
    return CatalogueDelta(catalogue, base, **more)


def refusal(base: int, catalogue: str = "c", held: Held = HELD) -> errors.Conflict:
    with pytest.raises(errors.Conflict) as refused:
        held.advance(delta(base, catalogue))
    return refused.value


def test_a_delta_that_continues_what_is_held_raises_the_version_by_one() -> None:
    assert HELD.advance(delta(5)) == Held("c", 6, 2)


@pytest.mark.parametrize("base", [1, 4, 6, 2**53])
def test_a_delta_that_does_not_is_told_what_is_held(base: int) -> None:
    refused = refusal(base)
    assert refused.code == "catalogue_out_of_step"
    assert refused.extra == {"catalogue_id": "c", "catalogue_version": 5}


def test_another_catalogue_does_not_continue_this_one() -> None:
    assert refusal(5, "another").extra == {"catalogue_id": "c", "catalogue_version": 5}


def test_where_nothing_is_held_only_a_beginning_fits() -> None:
    nothing = Held(None, 0, 0)
    assert refusal(1, held=nothing).extra == {"catalogue_id": None, "catalogue_version": 0}
    assert nothing.advance(delta(0)) == Held("c", 1, 1)


def test_a_beginning_is_always_taken_and_counts_as_a_new_round() -> None:
    assert HELD.advance(delta(0)) == Held("c", 1, 3)
    assert HELD.advance(delta(0, "another")) == Held("another", 1, 3)


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "./a",
        "a/./b",
        "/a",
        "/",
        "a/",
        "a//b",
        "a\0b",
        "x" * 4097,
        "x" * 1021,
        "\ud800",
    ],
)
def test_a_path_that_is_no_place_in_a_catalogue_is_refused(path: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        check_paths(delta(0, add=[Entry("good.txt", ID, 1), Entry(path, ID, 1)]))
    assert refused.value.code == "invalid_path"
    assert len(refused.value.detail) < 1000


def test_a_path_named_twice_is_refused() -> None:
    with pytest.raises(errors.Invalid) as refused:
        check_paths(delta(0, add=[Entry("a", ID, 1), Entry("a", ID, 2)]))
    assert refused.value.code == "invalid_path"


def test_odd_paths_are_paths() -> None:
    odd = ["a", "...", "..a", "a b", "-", "ü/日本.txt", "a\\b", "C:\\x", ".hidden", "a\nb", "x" * 1020, "%2e%2e/a"]
    check_paths(delta(0, add=[Entry(path, ID, 1) for path in odd], remove=["/whatever", ".."]))


def test_an_entry_has_the_name_at_the_end_of_its_path() -> None:
    row = columns(Entry("some/where/Song.mp3", ID, 3))
    assert (row["path"], row["name"], row["size"]) == ("some/where/Song.mp3", "Song.mp3", 3)
    assert (row["category"], row["mime"], row["audience"], row["manifest"]) == ("audio", "audio/mpeg", "public", None)


def test_what_a_peer_says_of_a_file_stands() -> None:
    row = columns(Entry("a.mp3", ID, 3, mime="x/y", category="code", manifest=content_id("m"), audience="friends"))
    assert (row["mime"], row["category"], row["audience"]) == ("x/y", "code", "friends")
    assert row["manifest"] == content_id("m")


def test_a_category_that_is_none_of_ours_is_judged_by_the_name() -> None:
    assert columns(Entry("a.mp3", ID, 3, category="tune"))["category"] == "audio"
    assert columns(Entry("a.mp3", ID, 3, category=""))["category"] == "audio"


def test_tags_are_kept_once_without_needless_space() -> None:
    row = columns(Entry("a", ID, 1, tags=["b", " b ", "", "  ", "two  words", "ü"]))
    assert json.loads(row["tags"]) == ["b", "two words", "ü"]


def test_a_file_announced_by_itself_is_an_entry_like_any_other() -> None:
    entry = single(FileRegistration("dir/a.txt", ID, 9, tags=None, category="archive"))
    assert entry == Entry("dir/a.txt", ID, 9, category="archive", tags=[])


ANY_TIME = st.datetimes(
    timezones=st.sampled_from([UTC, None, *(timezone(timedelta(minutes=m)) for m in (-1439, -600, 90, 1439))])
)


@given(ANY_TIME)
def test_any_moment_that_is_kept_can_be_shown_again(moment: datetime) -> None:
    seconds = timestamp(moment)
    if seconds is not None:
        shown = utc(seconds)
        assert abs(shown - moment.replace(tzinfo=moment.tzinfo or UTC)) < timedelta(milliseconds=1)


def test_a_moment_without_a_zone_is_in_utc() -> None:
    assert timestamp(datetime(1970, 1, 2)) == 86_400.0


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=10))),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-10))),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_a_moment_that_utc_cannot_show_is_not_known(moment: datetime) -> None:
    assert timestamp(moment) is None


def test_the_first_moment_of_all_is_a_moment() -> None:
    """Programs in Go send it when they know no time."""
    seconds = timestamp(datetime(1, 1, 1, tzinfo=UTC))
    assert seconds is not None
    assert utc(seconds) == datetime(1, 1, 1, tzinfo=UTC)
