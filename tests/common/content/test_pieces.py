"""Sets of pieces behave as sets do, whatever the file's size."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content.pieces import (
    Rarity,
    all_of,
    from_text,
    lowest,
    members,
    prefix,
    run_length,
    run_of,
    set_of,
    to_text,
)

COUNTS = st.integers(1, 4096)
SETS = st.sets(st.integers(0, 4095), max_size=200)


@given(SETS)
def test_the_members_are_those_that_were_put_in(pieces: set[int]) -> None:
    made = set_of(pieces)
    assert list(members(made)) == sorted(pieces)
    assert made.bit_count() == len(pieces)
    if pieces:
        assert lowest(made) == min(pieces)


@given(SETS, st.integers(0, 4096))
def test_a_run_is_as_long_as_the_pieces_follow_one_another(pieces: set[int], first: int) -> None:
    expected = 0
    while first + expected in pieces:
        expected += 1
    assert run_length(set_of(pieces), first) == expected
    assert prefix(set_of(pieces)) == run_length(set_of(pieces), 0)


def test_runs_and_all() -> None:
    assert list(members(run_of(3, 5))) == [3, 4, 5]
    assert run_of(3, 3) == 1 << 3
    assert run_of(3, 2) == run_of(9, 2) == 0
    assert all_of(0) == 0
    assert list(members(all_of(4))) == [0, 1, 2, 3]


@given(COUNTS, st.data())
def test_what_is_told_is_what_is_heard(count: int, data: st.DataObject) -> None:
    pieces = data.draw(st.integers(0, all_of(count)))
    assert from_text(to_text(pieces, count), count) == pieces


def test_the_first_piece_is_the_highest_bit_of_the_first_byte() -> None:
    assert base64.b64decode(to_text(set_of([0]), 12)) == b"\x80\x00"
    assert base64.b64decode(to_text(set_of([7, 8, 11]), 12)) == b"\x01\x90"
    assert to_text(0, 0) == ""


@pytest.mark.parametrize("text", ["", "gA==", "gAAA", "gA", "g\u00e4==", "gAA\n", "AAE=", "AAg=", "!!!!"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"piece|ASCII"):
        from_text(text, 12)


@given(st.text(max_size=40), st.integers(0, 100))
def test_no_text_whatsoever_names_a_piece_that_is_not_there(text: str, count: int) -> None:
    try:
        pieces = from_text(text, count)
    except ValueError:
        return
    assert not pieces & ~all_of(count)


def test_the_rarest_is_the_one_that_the_fewest_have_and_chance_decides_among_equals() -> None:
    rarity = Rarity(4, random.Random(1))
    for pieces in (0b0111, 0b0011, 0b0011):
        rarity.add(pieces)
    assert rarity.rarest(0b0111) == 2
    assert rarity.rarest(0b1111) == 3
    assert {rarity.rarest(0b0011) for _ in range(50)} == {0, 1}
    rarity.add(0b0011, -1)
    rarity.add(0b0100)
    rarity.add(0b0100)
    assert {rarity.rarest(0b0111) for _ in range(50)} == {0, 1}
