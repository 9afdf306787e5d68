"""The hashes that prove a file's pieces one by one.

A piece is proven by its BLAKE3; a manifest is named by its digest, the BLAKE3 of the raw piece hashes in order. Two
manifests of one file can both be consistent in themselves: only the file's own hash decides which of them is true.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blake3 import blake3

from common.content.grid import Grid

HASH = 32  # bytes


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
