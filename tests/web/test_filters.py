"""How values look: pure functions at their edges."""

import shlex
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from common.wire.files import CATEGORIES
from web import filters

NOW = datetime(2025, 11, 21, 6, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1500, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1 MB"),
        (999_950_000, "1 GB"),
        (2**53, "9 PB"),
        (10**18, "1 EB"),
        (10**22, "10,000 EB"),
    ],
)
def test_size_rounds_into_the_unit_that_reads_best(number: int, text: str) -> None:
    assert filters.size(number).replace("\u00a0", " ") == text


@given(st.integers(0, 10**21))
def test_size_never_shows_a_thousand_of_a_smaller_unit(number: int) -> None:
    amount = filters.size(number).split("\u00a0")[0].replace(",", "")
    assert float(amount) < 1000 or number > 999 * 10**18


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=-90), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "1 h ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=29, hours=23), "29 days ago"),
        (timedelta(days=31), "21 Oct 2025"),
    ],
)
def test_ago_says_roughly_how_long(before: timedelta, text: str) -> None:
    assert filters.ago(NOW - before, NOW).replace("\u00a0", " ") == text


def test_time_is_an_element_in_utc() -> None:
    moment = datetime(2025, 11, 21, 8, 0, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert filters.time(moment, NOW).replace("\u00a0", " ") == (
        '<time datetime="2025-11-21T06:00:30Z" title="21 Nov 2025, 06:00 UTC">2 min ago</time>'
    )


def test_time_of_nothing_is_never() -> None:
    assert filters.time(None, NOW) == "never"


def test_plural_counts() -> None:
    assert [filters.plural(n, "file").replace("\u00a0", " ") for n in (0, 1, 2000)] == [
        "0 files",
        "1 file",
        "2,000 files",
    ]


@pytest.mark.parametrize(
    "bad", ["\x00", "\x1b", "\x7f", "\x85", "\u200f", "\u202e", "\u2028", "\u2067", "\ud800", "\ufeff"]
)
def test_plain_shows_what_deceives(bad: str) -> None:
    assert filters.plain(f"a{bad}b") == "a\ufffdb"


@pytest.mark.parametrize("good", ["a\tb\n", "é日本語", "مرحبا", "👨\u200d👩", "a&<b>"])
def test_plain_leaves_text_alone(good: str) -> None:
    assert filters.plain(good) == good


def test_plain_leaves_markup_and_numbers_alone() -> None:
    assert filters.plain(7) == 7
    assert isinstance(filters.plain(Markup("<b>")), Markup)


@given(st.text())
def test_what_plain_lets_through_can_be_sent(text: str) -> None:
    filters.plain(text).encode()


@given(st.text())
def test_a_word_of_a_command_stays_one_word(text: str) -> None:
    assert shlex.split(filters.shell(text)) == [filters.plain(text)]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_an_address_carries_comes_back(name: str, value: str) -> None:
    assert parse_qsl(filters.url_text({"a" + name: value}), keep_blank_values=True) == [("a" + name, value)]
    assert unquote(filters.url_text(value)) == value
    assert "/" not in filters.url_text(value)


def test_an_address_survives_what_is_no_text() -> None:
    assert filters.url_text("\ud800/") == "%3F%2F"
    assert filters.url_text({"q": "\ud800"}) == "q=%3F"


def test_ticks_make_code_and_escape_the_rest() -> None:
    assert filters.ticks("a `b<` <c") == Markup("a <code>b&lt;</code> &lt;c")


def test_categories_are_those_of_the_wire() -> None:
    assert filters.CATEGORIES == CATEGORIES
    assert [filters.known_category(name) for name in ("video", "x onload=1", "")] == ["video", "other", "other"]


@given(st.text())
def test_every_peer_has_a_colour(peer_id: str) -> None:
    assert 0 <= filters.hue(peer_id) < filters.HUES


def test_endpoint_brackets_ipv6() -> None:
    assert filters.endpoint("10.0.0.1", 9001) == "10.0.0.1:9001"
    assert filters.endpoint("fd00::1", 9001) == "[fd00::1]:9001"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//x", " http://x", "HTTP:x", ""])
def test_only_web_addresses_are_linked(url: str) -> None:
    assert not filters.web_address(url)
    assert filters.web_address("http://x")
