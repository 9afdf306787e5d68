from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import OutOfRange
from common.serving.ranges import ByteRange, etag_listed, http_date, if_match_holds, if_range_matches, parse_range

sizes = st.integers(0, 2**53)
ETAG = '"0123abcd"'
MODIFIED = 784111777.0
MODIFIED_DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=99-", (99, 100)),
        ("bytes=99-99", (99, 100)),
        ("bytes=50-1000", (50, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-100", (0, 100)),
        ("bytes=-1000", (0, 100)),
        ("Bytes=0-9", (0, 10)),
        (" bytes= 0-9 ", (0, 10)),
        ("bytes=,0-9,,", (0, 10)),
        ("bytes=000-009", (0, 10)),
        ("bytes=0-9,200-300", (0, 10)),
        ("bytes=10-" + "9" * 10_000, (10, 100)),
        ("bytes=-" + "9" * 10_000, (0, 100)),
        ("bytes=" + "0" * 10_000 + "5-6", (5, 7)),
    ],
)
def test_one_range_of_a_hundred_bytes(header: str, part: tuple[int, int]) -> None:
    assert parse_range(header, 100) == part


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=0",
        "bytes=5-2",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes=--5",
        "bytes=1-2-3",
        "bytes=1.0-2",
        "bytes=\u0661-\u0662",
        "bytes=0-1,x",
        "bytes:0-1",
        "items=0-1",
        "seconds=-0",
        "=0-1",
        "bytes=0-0,-1",
        "bytes=0-9,20-29",
        "bytes=0-9,10-19",
        "bytes=0-1,2-3,4-5,6-7,8-9,10-11,12-13,14-15",
    ],
)
def test_what_is_not_understood_or_not_served_gets_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(
    "header",
    [
        "bytes=-0",
        "bytes=-000",
        "bytes=100-",
        "bytes=100-100",
        "bytes=100-200,300-400",
        "bytes=-0,200-",
        "bytes=" + "9" * 10_000 + "-",
        "bytes=0-9,9-19",
        "bytes=20-29,0-9",
        "bytes=0-99,-1",
        "bytes=0-,0-,0-",
        "bytes=0-1,2-3,4-5,6-7,8-9,10-11,12-13,14-15,16-17",
        "bytes=" + "0-," * 1300,
    ],
)
def test_ranges_outside_the_file_and_abusive_ones_are_refused(header: str) -> None:
    with pytest.raises(OutOfRange) as refusal:
        parse_range(header, 100)
    assert refusal.value.code == "range_not_satisfiable"
    assert refusal.value.extra == {"size": 100}


@pytest.mark.parametrize("header", [None, "bytes=-5", "items=0-", "bytes=x"])
def test_an_empty_file_is_served_whole(header: str | None) -> None:
    assert parse_range(header, 0) is None


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-0", "bytes=1-2"])
def test_an_empty_file_has_no_first_byte(header: str) -> None:
    with pytest.raises(OutOfRange):
        parse_range(header, 0)


@given(sizes.filter(bool).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1), sizes)))
def test_a_range_that_begins_in_the_file_is_met(case: tuple[int, int, int]) -> None:
    size, first, extra = case
    part = parse_range(f"bytes={first}-{first + extra}", size)
    assert part == (first, min(first + extra + 1, size))
    assert parse_range(f"bytes={first}-", size) == (first, size)


@given(sizes.filter(bool), sizes.filter(bool))
def test_a_suffix_is_the_end_of_the_file(size: int, length: int) -> None:
    part = parse_range(f"bytes=-{length}", size)
    assert part == (max(0, size - length), size)


@given(st.text() | st.text("bytes=0123456789-, ").map("bytes=".__add__), sizes | st.integers(0, 20))
def test_every_header_gets_the_whole_file_or_a_part_of_it_or_a_refusal(header: str, size: int) -> None:
    try:
        part = parse_range(header, size)
    except OutOfRange as refusal:
        assert refusal.extra["size"] == size
    else:
        assert part is None or 0 <= part.start < part.stop <= size


def test_a_part_says_its_length_and_its_content_range() -> None:
    part = ByteRange(10, 20)
    assert part.length == 10
    assert part.content_range(100) == "bytes 10-19/100"


@pytest.mark.parametrize("header", [None, ETAG, f" {ETAG} ", MODIFIED_DATE])
def test_a_range_goes_with_its_version(header: str | None) -> None:
    assert if_range_matches(header, ETAG, MODIFIED)


@pytest.mark.parametrize(
    "header",
    [
        "",
        '"other"',
        f"W/{ETAG}",
        ETAG.strip('"'),
        f'{ETAG}, "other"',
        "*",
        "Sun, 06 Nov 1994 08:49:36 GMT",
        "Sun, 06 Nov 1994 08:49:38 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "yesterday",
    ],
)
def test_a_range_of_another_version_does_not_hold(header: str) -> None:
    assert not if_range_matches(header, ETAG, MODIFIED)


def test_a_weak_tag_matches_nothing_strongly() -> None:
    assert not if_range_matches(f"W/{ETAG}", f"W/{ETAG}", None)


def test_a_date_needs_a_time_of_modification() -> None:
    assert not if_range_matches(MODIFIED_DATE, ETAG, None)


@pytest.mark.parametrize("header", [ETAG, f"W/{ETAG}", f'"a,b", {ETAG}', f'"a"  ,W/{ETAG},', "*", " * "])
def test_a_listed_tag_is_found(header: str) -> None:
    assert etag_listed(header, ETAG)
    assert etag_listed(header, f"W/{ETAG}")


@pytest.mark.parametrize("header", [None, "", '"other"', ETAG.strip('"'), f"x{ETAG[1:]}", '"*"', '"a" "b"', '"'])
def test_a_tag_that_is_not_listed_is_not_found(header: str | None) -> None:
    assert not etag_listed(header, ETAG)


def test_the_text_between_two_tags_is_no_tag() -> None:
    assert not etag_listed('"a", "b"', '", "')


@given(st.floats(0, 4e9))
def test_a_date_is_the_second_in_which_the_file_changed(timestamp: float) -> None:
    written = datetime.strptime(http_date(timestamp), "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert 0 <= timestamp - written.timestamp() < 1
    assert if_range_matches(http_date(timestamp), ETAG, timestamp)


def test_times_that_http_cannot_say_are_brought_into_its_years() -> None:
    assert http_date(MODIFIED + 0.9) == MODIFIED_DATE
    assert http_date(-1e18) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert http_date(1e18) == "Fri, 31 Dec 9999 23:59:59 GMT"


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        (None, True),
        ("*", True),
        ('"abc"', True),
        ('"x", "abc"', True),
        ('W/"abc"', False),
        ('"ABC"', False),
        ("abc", False),
        ("", False),
    ],
)
def test_if_match_compares_strongly(header: str | None, holds: bool) -> None:
    assert if_match_holds(header, '"abc"') is holds
