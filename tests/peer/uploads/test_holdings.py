"""What a peer offers of a file that it is still fetching."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.content.grid import SMALLEST_PIECE as PIECE
from common.content.grid import Span
from peer.uploads.holdings import Holding, Holdings

SIZE = 3 * PIECE + 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "part"
    made.write_bytes(b"part")
    return made


@pytest.fixture
def holdings(path: Path) -> Iterator[Holdings]:
    before = len(os.listdir("/proc/self/fd"))
    made = Holdings()
    yield made
    made.close()
    assert len(made) == 0
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor is left"


def begun(holdings: Holdings, path: Path, file_id: str = "a") -> Holding:
    return holdings.begin(file_id, SIZE, "name", "ab" * 32, os.open(path, os.O_RDONLY), lambda address, port: None)


def test_what_is_proven_is_held_and_nothing_else(holdings: Holdings, path: Path) -> None:
    one = begun(holdings, path)
    assert not one.holds(Span(0, 1))
    one.add(1)
    assert one.holds(Span(PIECE, 2 * PIECE))
    assert one.holds(Span(PIECE + 5, PIECE + 6))
    for span in (Span(PIECE - 1, PIECE + 1), Span(PIECE, 2 * PIECE + 1), Span(0, SIZE)):
        assert not one.holds(span)
    for piece in (0, 2):
        one.add(piece)
        assert not one.is_complete
    one.add(3)
    assert one.is_complete
    assert one.holds(Span(0, SIZE))
    assert not one.holds(Span(0, SIZE + 1))


def test_who_follows_hears_of_each_piece_and_of_the_end(holdings: Holdings, path: Path) -> None:
    one = begun(holdings, path)
    one.add(0)
    with one.followed() as (wake, news), one.followed() as (_, others):
        assert one.followers == 2
        assert not wake.is_set()
        one.add(2)
        assert wake.is_set()
        assert news == others == {2}
        wake.clear()
        one.withdraw()
        assert wake.is_set()
        assert one.is_over
    assert one.followers == 0


def test_one_that_is_withdrawn_is_found_no_more_and_may_be_withdrawn_again(holdings: Holdings, path: Path) -> None:
    one = begun(holdings, path)
    assert holdings.find("a") is one
    own = one.open()
    one.withdraw()
    one.withdraw()
    assert holdings.find("a") is None
    assert os.pread(own, 10, 0) == b"part", "who is being served goes on"
    os.close(own)


def test_a_new_beginning_takes_the_old_ones_place(holdings: Holdings, path: Path) -> None:
    first = begun(holdings, path)
    second = begun(holdings, path)
    assert first.is_over
    assert holdings.find("a") is second
    first.withdraw()
    assert holdings.find("a") is second
    assert len(holdings) == 1
