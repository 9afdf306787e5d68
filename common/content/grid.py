"""The pieces of a file: where they lie.

The grid follows from the size alone, so whoever knows how large a file is knows its pieces: the smallest power of two
from 256 KiB to 16 MiB that gives at most 4,096 pieces, else the power of two that does.
"""

from dataclasses import dataclass
from typing import NamedTuple

SMALLEST_PIECE = 256 * 1024
MOST_PIECES = 4096


class Span(NamedTuple):
    """Bytes from `start` up to `stop`, which is not among them."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Grid:
    """The pieces of a file of `size` bytes, numbered from 0."""

    size: int
    piece_size: int
    count: int

    @classmethod
    def of(cls, size: int) -> "Grid":
        """The one grid that a file of this size has."""
        piece_size = SMALLEST_PIECE
        while -(-size // piece_size) > MOST_PIECES:
            piece_size *= 2
        return cls(size, piece_size, -(-size // piece_size))

    def span(self, piece: int) -> Span:
        """Where a piece lies."""
        start = piece * self.piece_size
        return Span(start, min(start + self.piece_size, self.size))

    def run(self, first: int, last: int) -> Span:
        """Where the pieces from `first` to `last`, both included, lie."""
        return Span(first * self.piece_size, min((last + 1) * self.piece_size, self.size))

    def within(self, span: Span) -> range:
        """The pieces that lie in `span` with all their bytes."""
        first = -(-span.start // self.piece_size)
        after = self.count if span.stop >= self.size else span.stop // self.piece_size
        return range(first, max(first, after))

    def touched(self, span: Span) -> range:
        """The pieces of which some byte lies in `span`."""
        return range(span.start // self.piece_size, -(-span.stop // self.piece_size))
