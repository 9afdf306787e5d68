"""What the super-peer asks a source for before it can write a torrent: `GET /api/v1/torrent-pieces/{id}`.

The source makes the hashes when they are first asked for, which takes as long as reading the file; until then it
answers 503 `hashes_pending`, and the super-peer passes that on to whoever wants the torrent.
"""

from typing import Annotated

from msgspec import Meta, Struct

from common.wire.scalars import FileHash, Size

# 2,000 hashes of 20 bytes in base64.
Hashes = Annotated[str, Meta(max_length=53_336, pattern=r"^[A-Za-z0-9+/]*={0,2}$(?!\n)")]


class TorrentPieces(Struct, frozen=True):
    """The SHA-1 of each piece of `piece_length` bytes, 20 bytes each, in order, base64."""

    id: FileHash
    size: Size
    piece_length: Size
    pieces: Hashes
