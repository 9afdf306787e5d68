"""Sets of pieces, and how rare each piece is among the sources. Pure.

A set is an integer whose bit N stands for piece N: joining, cutting and counting are single operations, however many
pieces a file has.
"""

import base64
import binascii
import random
from collections.abc import Iterable, Iterator, Sequence

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def all_of(count: int) -> int:
    """The pieces 0 to count - 1."""
    return (1 << count) - 1


def run_of(first: int, last: int) -> int:
    """The pieces from `first` to `last`, both included; none when `last` comes before."""
    return all_of(max(0, last - first + 1)) << first


def set_of(pieces: Iterable[int]) -> int:
    """These pieces."""
    found = 0
    for piece in pieces:
        found |= 1 << piece
    return found


def lowest(pieces: int) -> int:
    """The first piece of a set that is not empty."""
    return (pieces & -pieces).bit_length() - 1


def prefix(pieces: int) -> int:
    """How many pieces follow one another from piece 0 on."""
    return lowest(~pieces)


def run_length(pieces: int, first: int) -> int:
    """How many pieces follow one another from `first` on."""
    return prefix(pieces >> first)


def members(pieces: int) -> Iterator[int]:
    """Each piece, in order."""
    while pieces:
        piece = lowest(pieces)
        yield piece
        pieces &= pieces - 1


def to_text(pieces: int, count: int) -> str:
    """As it goes over the wire: the first piece in the highest bit of the first byte, base64."""
    return base64.b64encode(pieces.to_bytes(-(-count // 8), "little").translate(_REVERSED)).decode()


def from_text(text: str, count: int) -> int:
    """What `to_text` wrote. Raises ValueError for anything else."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("the pieces are not base64") from error
    if len(raw) != -(-count // 8):
        raise ValueError(f"the pieces are not {count} bits")
    pieces = int.from_bytes(raw.translate(_REVERSED), "little")
    if pieces >> count:
        raise ValueError("there are pieces that the file does not have")
    return pieces


class Rarity:
    """How many sources have each of `count` pieces."""

    def __init__(self, count: int, chance: random.Random) -> None:
        self._counts = [0] * count
        self._chance = chance

    def add(self, pieces: int, by: int = 1) -> None:
        """One source more (or, with -1, less) has these pieces."""
        for piece in members(pieces):
            self._counts[piece] += by

    def rarest(self, pieces: int) -> int:
        """The piece of a set, which is not empty, that the fewest have; chance decides among equals."""
        counts: Sequence[int] = self._counts
        least, equals = 1 << 60, [0]
        for piece in members(pieces):
            count = counts[piece]
            if count < least:
                least, equals = count, [piece]
            elif count == least:
                equals.append(piece)
        return self._chance.choice(equals)
