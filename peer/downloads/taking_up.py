"""What lies on the disk of a transfer that was begun before: found out by its bytes, never by a note of them.

So there is nothing to be lost or wrong after a kill, a loss of power, or another program's hand in the file.
"""

from blake3 import blake3

from common.content.grid import Grid, Span
from common.content.manifest import Manifest
from common.content.pieces import all_of
from peer.downloads.part_file import PartFile

READ = 1 << 20


def pieces_there(part: PartFile, grid: Grid, manifest: Manifest | None) -> int:
    """The pieces that the manifest proves; without one, those that lie there from the front on. Blocks, and reads."""
    extents = part.extents()
    if manifest is None:
        reach = extents[0].stop if extents and extents[0].start == 0 else 0
        return all_of(len(grid.within(Span(0, reach))))
    buffer = memoryview(bytearray(READ))
    found = 0
    for extent in extents:
        for piece in grid.within(extent):
            if _hash_of(part, grid.span(piece), buffer) == manifest.piece_hash(piece):
                found |= 1 << piece
    return found


def _hash_of(part: PartFile, span: Span, buffer: memoryview) -> bytes:
    digest = blake3()
    position = span.start
    while position < span.stop:
        count = part.read_into(buffer[: span.stop - position], position)
        if count == 0:
            break
        digest.update(buffer[:count])
        position += count
    return digest.digest()
