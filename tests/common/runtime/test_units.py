import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.runtime.units import (
    MAX_SIZE,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("24h", 86400),
        ("7d", 604800),
        ("2w", 1209600),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        (" 10 S ", 10),
        ("90", 90),
        ("0", 0),
        ("0.25", 0.25),
        (30, 30),
        (0.5, 0.5),
        (0.00001, 0.00001),
    ],
)
def test_durations(written: str | float, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("100MB", 100_000_000),
        ("100mb", 100_000_000),
        ("4GiB", 4 * 2**30),
        ("1 KiB", 1024),
        ("10k", 10_000),
        ("10kB", 10_000),
        ("2Mi", 2 * 2**20),
        ("1.5G", 1_500_000_000),
        ("0.1GB", 100_000_000),
        ("512B", 512),
        ("512", 512),
        ("0", 0),
        ("3TB", 3 * 10**12),
        ("8PiB", 2**53),
        (4096, 4096),
        (1e6, 1_000_000),
    ],
)
def test_sizes(written: str | float, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    ("written", "rate"), [("1MB/s", 1_000_000), ("512 KiB/S", 524_288), ("10k/s", 10_000), ("1000", 1000), (0, 0)]
)
def test_rates(written: str | float, rate: int) -> None:
    assert parse_rate(written) == rate


NO_NUMBERS = ["", " ", "x", "-1", "1,5", "1e9", "nan", "inf", math.nan, math.inf, -1, -0.5, True, None, [5], "5 x", "٣"]


@pytest.mark.parametrize("written", [*NO_NUMBERS, "s", "5 minutes", "30s later", "1h30", "5MB", "9" * 10_000])
def test_what_is_no_duration_is_refused_with_an_example(written: str | float) -> None:
    with pytest.raises(ValueError, match="a duration such as 500ms, 30s"):
        parse_duration(written)


@pytest.mark.parametrize("written", [*NO_NUMBERS, "MB", "5s", "5 MBit", "5MB/s", "1h", "9" * 10_000])
def test_what_is_no_size_is_refused_with_an_example(written: str | float) -> None:
    with pytest.raises(ValueError, match="a size such as 4096"):
        parse_size(written)


@pytest.mark.parametrize("written", [*NO_NUMBERS, "/s", "1MB/m", "8Mbit/s", "5MB/s/s", "9PiB/s"])
def test_what_is_no_rate_is_refused_with_an_example(written: str | float) -> None:
    with pytest.raises(ValueError, match="a rate such as 500kB/s"):
        parse_rate(written)


def test_a_size_beyond_what_the_wire_can_say_is_refused() -> None:
    assert parse_size(MAX_SIZE) == MAX_SIZE
    with pytest.raises(ValueError, match="at most 8 PiB"):
        parse_size(MAX_SIZE + 1)


@pytest.mark.parametrize("written", ["1.5", "0.5B", 2.25])
def test_half_a_byte_is_refused(written: str | float) -> None:
    with pytest.raises(ValueError, match="a whole number of bytes"):
        parse_size(written)


def test_a_complaint_quotes_what_was_written_but_not_all_of_it() -> None:
    with pytest.raises(ValueError, match=r"^'5 x' cannot be read: write a duration"):
        parse_duration("5 x")
    with pytest.raises(ValueError) as complaint:
        parse_duration("x" * 1000)
    assert len(str(complaint.value)) < 150


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1550, "1.6 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (12_345, "12 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (100_000_000, "100 MB"),
        (4 * 2**30, "4.3 GB"),
        (2**53, "9.0 PB"),
        (10**19, "10000 PB"),
    ],
)
def test_sizes_for_people(size: int, shown: str) -> None:
    assert format_size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.25, "250ms"),
        (0.999, "999ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (1.54, "1.5s"),
        (9.54, "9.5s"),
        (9.96, "10s"),
        (10.4, "10s"),
        (42.4, "42s"),
        (59.7, "1m"),
        (200, "3m 20s"),
        (3599, "59m 59s"),
        (3600, "1h"),
        (86_399, "23h 59m"),
        (7505, "2h 5m"),
        (100_800, "1d 4h"),
        (86_400 + 59, "1d"),
        (9 * 86_400 + 7200, "9d 2h"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_durations_for_people(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


def test_rates_for_people() -> None:
    assert format_rate(1_540_000.7) == "1.5 MB/s"
    assert format_rate(0) == "0 B/s"


@given(st.integers(0, 2**52))
def test_a_shown_size_reads_back_to_nearly_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06)
    assert parse_rate(format_rate(size)) == pytest.approx(size, rel=0.06)


@given(st.floats(0, 1e9))
def test_a_shown_duration_reads_back_to_nearly_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.06, abs=0.0005)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_rate):
        try:
            assert 0 <= parse(text) < math.inf
        except ValueError as complaint:
            assert "write" in str(complaint)
