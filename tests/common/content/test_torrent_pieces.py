"""How a torrent divides a file. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from common.content.torrent_pieces import piece_count, piece_length


@given(st.integers(1, 2**53))
def test_there_are_never_more_than_two_thousand_pieces(size: int) -> None:
    length = piece_length(size)
    assert length & (length - 1) == 0 and length >= 256 * 1024
    assert 1 <= piece_count(size) <= 2000
    assert (piece_count(size) - 1) * length < size <= piece_count(size) * length
    assert length == 256 * 1024 or -(-size // (length // 2)) > 2000


def test_an_empty_file_has_no_pieces() -> None:
    assert piece_count(0) == 0
