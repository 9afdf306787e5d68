"""The grid of pieces and what proves them."""

import io

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from common.content.grid import MOST_PIECES, SMALLEST_PIECE, Grid, Span
from common.content.manifest import Manifest, Pieces, manifest_of

KIB, MIB, GIB = 1024, 1024**2, 1024**3
sizes = st.integers(0, 2**50)


@pytest.mark.parametrize(
    ("size", "piece_size", "count"),
    [
        (0, 256 * KIB, 0),
        (1, 256 * KIB, 1),
        (256 * KIB, 256 * KIB, 1),
        (256 * KIB + 1, 256 * KIB, 2),
        (GIB, 256 * KIB, 4096),
        (GIB + 1, 512 * KIB, 2049),
        (64 * GIB, 16 * MIB, 4096),
        (64 * GIB + 1, 32 * MIB, 2049),
        (2**50, 2**38, 4096),
    ],
)
def test_the_grid_follows_from_the_size(size: int, piece_size: int, count: int) -> None:
    assert Grid.of(size) == Grid(size, piece_size, count)


@given(sizes)
def test_the_smallest_power_of_two_that_gives_few_pieces_enough(size: int) -> None:
    grid = Grid.of(size)
    assert grid.piece_size.bit_count() == 1 and grid.piece_size >= SMALLEST_PIECE
    assert grid.count <= MOST_PIECES
    if grid.piece_size > SMALLEST_PIECE:
        assert -(-size // (grid.piece_size // 2)) > MOST_PIECES
    assert size > 16 * MIB * MOST_PIECES or grid.piece_size <= 16 * MIB


@given(sizes)
def test_the_pieces_follow_one_another_to_the_end(size: int) -> None:
    grid = Grid.of(size)
    spans = [grid.span(piece) for piece in range(grid.count)]
    assert [span.start for span in spans] == [0, *(span.stop for span in spans)][: grid.count]
    assert sum(span.length for span in spans) == size


@given(st.integers(1, 40 * SMALLEST_PIECE), st.data())
def test_the_pieces_of_a_span_are_those_whose_every_byte_is_in_it(size: int, data: st.DataObject) -> None:
    grid = Grid.of(size)
    start = data.draw(st.integers(0, size))
    span = Span(start, data.draw(st.integers(start, size)))
    whole = [p for p in range(grid.count) if span.start <= grid.span(p).start and grid.span(p).stop <= span.stop]
    some = [p for p in range(grid.count) if span.start < grid.span(p).stop and grid.span(p).start < span.stop]
    assert list(grid.within(span)) == whole
    assert list(grid.touched(span)) == some or span.length == 0


def test_a_run_of_pieces_ends_with_the_file() -> None:
    grid = Grid.of(2 * SMALLEST_PIECE + 5)
    assert grid.run(1, 2) == Span(SMALLEST_PIECE, grid.size)
    assert grid.run(0, 0) == grid.span(0)


def read_of(data: bytes, at_most: int = 1 << 30) -> tuple[memoryview, "ReadInto"]:
    return memoryview(bytearray(100_000)), ReadInto(data, at_most)


class ReadInto:
    def __init__(self, data: bytes, at_most: int) -> None:
        self.data, self.at_most = data, at_most

    def __call__(self, buffer: memoryview, offset: int) -> int:
        file = io.BytesIO(self.data)
        file.seek(offset)
        return file.readinto(buffer[: self.at_most])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3 * SMALLEST_PIECE), st.integers(5_000, 200_000))
def test_a_manifest_holds_the_hash_of_each_piece_however_it_is_read(size: int, at_most: int) -> None:
    data = bytes(index % 251 for index in range(size)) if size < 1000 else b"\x07" * (size - 3) + b"end"
    buffer, read_into = read_of(data, at_most)
    *_, manifest = manifest_of(size, read_into, buffer)
    assert manifest is not None
    expected = [
        blake3(data[span.start : span.stop]).digest() for span in map(Grid.of(size).span, range(manifest.grid.count))
    ]
    assert manifest.hashes == b"".join(expected)
    assert manifest.digest == blake3(b"".join(expected)).hexdigest()
    assert Manifest.from_hex(size, manifest.hex_hashes()) == manifest


def test_a_file_that_became_shorter_has_no_manifest() -> None:
    buffer, read_into = read_of(b"short")
    with pytest.raises(EOFError):
        list(manifest_of(6, read_into, buffer))


def test_a_manifest_has_as_many_hashes_as_the_file_has_pieces() -> None:
    with pytest.raises(ValueError, match="1 pieces"):
        Manifest(1, b"")
    with pytest.raises(ValueError, match="2 pieces"):
        Manifest.from_hex(SMALLEST_PIECE + 1, ["00" * 32])
    with pytest.raises(ValueError):
        Pieces(5).manifest()
