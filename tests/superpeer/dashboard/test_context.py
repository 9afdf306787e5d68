"""From the index's answers to what a page shows: pure steps."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.files import SearchAnswer
from superpeer.dashboard.context import (
    FORM_FIELDS,
    Search,
    elsewhere,
    home_of,
    join_command,
    namesakes,
    reachable_at,
    save_as,
    search_context,
    search_url,
    segments,
)
from tests.web import samples


def page_for(given_: list[tuple[str, str]], cursor: str | None = None) -> Search:
    return search_context(given_, SearchAnswer([], 0, 0, True, "", cursor))


def pairs(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query)


@given(st.dictionaries(st.text(max_size=5), st.integers(-1, 10**9), max_size=12))
def test_segments_fill_the_bar_without_gaps(counts: dict[str, int]) -> None:
    found = segments(counts)
    assert {segment.name for segment in found} == {name for name, count in counts.items() if count > 0}
    end = 0.0
    for segment in found:
        assert segment.start == pytest.approx(end, abs=0.1)
        assert segment.width > 0.5
        end = segment.start + segment.width
    assert not found or end == pytest.approx(100, abs=0.1)


def test_the_largest_segment_comes_first() -> None:
    assert [(s.name, s.files) for s in segments({"image": 2, "video": 0, "code": 9})] == [("code", 9), ("image", 2)]


def test_the_form_has_a_value_for_each_control() -> None:
    page = page_for([("q", "a b"), ("online", "false"), ("tag", "x")])
    assert set(page.form) == set(FORM_FIELDS)
    assert (page.form["q"], page.form["online"], page.form["ext"]) == ("a b", "false", "")


def test_conditions_without_a_control_are_kept_and_can_be_removed() -> None:
    page = page_for([("q", "a"), ("tag", "x"), ("tag", "y"), ("peer", "p"), ("limit", "10")])
    assert page.kept == [("tag", "x"), ("tag", "y"), ("peer", "p"), ("limit", "10")]
    assert [(chip.name, chip.value) for chip in page.chips] == [("tag", "x"), ("tag", "y"), ("peer", "p")]
    assert pairs(page.chips[0].without) == [("q", "a"), ("tag", "y"), ("peer", "p"), ("limit", "10")]


def test_the_next_page_keeps_every_condition() -> None:
    page = page_for([("q", "é&="), ("tag", "x"), ("cursor", "old")], "new")
    assert pairs(page.next_url) == [("q", "é&="), ("tag", "x"), ("cursor", "new")]
    assert pairs(page.first_url) == [("q", "é&="), ("tag", "x")]


def test_the_first_page_leads_nowhere_back_and_the_last_nowhere_on() -> None:
    page = page_for([("q", "a")])
    assert (page.first_url, page.next_url) == ("", "")


def test_a_search_without_conditions_has_a_short_address() -> None:
    assert search_url([]) == "/search"


@pytest.mark.parametrize(
    ("host", "secure", "address"),
    [
        ("192.168.1.5:8080", False, "192.168.1.5:8080"),
        ("files.example", False, "files.example:80"),
        ("files.example", True, "files.example:443"),
        ("[fd00::1]", False, "[fd00::1]:80"),
        ("[fd00::1]:8080", False, "[fd00::1]:8080"),
    ],
)
def test_a_command_names_host_and_port(host: str, secure: bool, address: str) -> None:
    assert reachable_at(host, secure) == address
    assert join_command(address) == f"peer run --lan --super-peer {address} --share DIR"


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "127.8.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_a_peer_that_joins_on_this_machine_stays_on_it_unless_told_otherwise(address: str) -> None:
    assert join_command(address) == f"peer run --super-peer {address} --share DIR"
    assert "`--lan`" in elsewhere(address)


def test_peers_of_one_name_are_told_apart() -> None:
    assert namesakes({"a": "Study", "b": "attic", "c": "study "}) == {"a", "c"}
    assert namesakes({}) == frozenset()


@pytest.mark.parametrize(
    ("peer_address", "reached_at", "home"),
    [
        ("192.168.1.20", "192.168.1.5:8080", "http://192.168.1.20:9001/"),
        ("fd00::2", "192.168.1.5:8080", "http://[fd00::2]:9001/"),
        ("127.0.0.1", "127.0.0.1:8080", "http://127.0.0.1:9001/"),
        ("127.0.0.1", "192.168.1.5:8080", "http://192.168.1.5:9001/"),
        ("::1", "[fd00::1]:8080", "http://[fd00::1]:9001/"),
        ("javascript:alert(1)", "127.0.0.1:8080", ""),
    ],
)
def test_a_peers_own_page_is_where_the_visitor_can_reach_it(peer_address: str, reached_at: str, home: str) -> None:
    assert home_of(samples.peer("Study", address=peer_address), reached_at) == home


def test_a_program_without_a_key_has_no_page_to_go_to() -> None:
    assert home_of(samples.peer("script", verified=False), "127.0.0.1:8080") == ""


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("music/Gold & Silver's (1).mp3", "Gold & Silver's (1).mp3"),
        ("-rf", "./-rf"),
        (".bashrc", "bashrc"),
        ("a\nb", "ab"),
        ("..", "file"),
        ("é.txt", "é.txt"),
    ],
)
def test_a_file_is_saved_under_its_name(name: str, saved: str) -> None:
    assert save_as(name) == saved


@given(st.text())
def test_a_name_to_save_under_is_no_option_and_stays_in_its_folder(name: str) -> None:
    saved = save_as(name)
    assert not saved.startswith(("-", ".", "/")) or saved.startswith("./-")
    assert "/" not in saved.removeprefix("./")


def test_an_address_of_this_machine_only_is_explained() -> None:
    assert "127.0.0.1" in elsewhere("127.0.0.1:8080")
    assert elsewhere("localhost:8080")
    assert elsewhere("[::1]:8080")
    assert elsewhere("192.168.1.5:8080") == ""
