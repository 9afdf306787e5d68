"""The pieces of a file as a torrent has them: other than a manifest's, and proven by SHA-1.

Their length follows from the size alone, so whoever asks for their hashes knows how many there are.
"""

SMALLEST = 256 * 1024
MOST = 2000
HASH = 20  # bytes


def piece_length(size: int) -> int:
    """The smallest power of two from 256 KiB up that gives at most MOST pieces."""
    length = SMALLEST
    while -(-size // length) > MOST:
        length *= 2
    return length


def piece_count(size: int) -> int:
    """How many there are."""
    return -(-size // piece_length(size))
