"""The pieces of a file and the hashes that prove them one by one.

The grid follows from the size alone, so whoever knows how large a file is knows its pieces: the smallest power of two
from 256 KiB to 16 MiB that gives at most 4,096 pieces, else the power of two that does. A piece is proven by its
BLAKE3; a manifest is named by its digest, the BLAKE3 of the raw piece hashes in order. Two manifests of one file can
both be consistent in themselves: only the file's own hash decides which of them is true.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from blake3 import blake3

SMALLEST_PIECE = 256 * 1024
LARGEST_USUAL_PIECE = 16 * 1024 * 1024
MOST_PIECES = 4096
HASH = 32  # bytes


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


@dataclass(frozen=True, slots=True)
class Manifest:
    """The raw piece hashes of one file, in order, 32 bytes each."""

    size: int
    hashes: bytes

    def __post_init__(self) -> None:
        if len(self.hashes) != HASH * self.grid.count:
            raise ValueError(f"a file of {self.size} bytes has {self.grid.count} pieces")

    @property
    def grid(self) -> Grid:
        return Grid.of(self.size)

    @property
    def digest(self) -> str:
        """What the manifest is named by: hex."""
        return blake3(self.hashes).hexdigest()

    def piece_hash(self, piece: int) -> bytes:
        return self.hashes[HASH * piece : HASH * (piece + 1)]

    def hex_hashes(self) -> list[str]:
        """As they are written in JSON."""
        return [self.piece_hash(piece).hex() for piece in range(len(self.hashes) // HASH)]

    @classmethod
    def from_hex(cls, size: int, pieces: list[str]) -> "Manifest":
        """The manifest that JSON tells. Raises ValueError for what cannot be one."""
        return cls(size, bytes.fromhex("".join(pieces)))


class Pieces:
    """Makes a manifest from a file's bytes, which come in order in parts of any length."""

    def __init__(self, size: int) -> None:
        self._grid = Grid.of(size)
        self._size = size
        self._hashes = bytearray()
        self._hash = blake3()
        self._room = self._grid.piece_size

    def update(self, data: memoryview) -> None:
        """Takes the next bytes."""
        while len(data) >= self._room:
            self._hash.update(data[: self._room])
            data = data[self._room :]
            self._close_piece()
        if len(data):
            self._hash.update(data)
            self._room -= len(data)

    def _close_piece(self) -> None:
        self._hashes += self._hash.digest()
        self._hash = blake3()
        self._room = self._grid.piece_size

    def manifest(self) -> Manifest:
        """What the bytes so far make. Raises ValueError unless they are as many as was said."""
        if self._room < self._grid.piece_size:
            self._close_piece()
        return Manifest(self._size, bytes(self._hashes))


def manifest_of(
    size: int, read_into: Callable[[memoryview, int], int], buffer: memoryview
) -> Iterator[Manifest | None]:
    """Reads a file of `size` bytes through `read_into(buffer, offset)`: None after each part, the manifest at last.

    Whoever asks may pause or stop in between. Raises EOFError when the file is shorter.
    """
    pieces, offset = Pieces(size), 0
    while offset < size:
        count = read_into(buffer[: size - offset], offset)
        if count == 0:
            raise EOFError("the file is shorter than it was")
        pieces.update(buffer[:count])
        offset += count
        yield None
    yield pieces.manifest()
