"""The piece hashes of torrents, asked of sources and kept for a while.

They cannot be proven here: what is checked is that they are as many as the file has pieces. A wrong one spoils a
torrent, which then does not complete, and never a file.
"""

import base64
import binascii
from collections import OrderedDict
from collections.abc import Sequence

from common import errors
from common.content.torrent_pieces import HASH, piece_count, piece_length
from common.http.outgoing import Outgoing, OutgoingError
from common.runtime.clock import Clock
from common.wire.exports import TorrentPieces
from common.wire.files import Source

MOST_KEPT = 128
KEPT = 3600.0  # seconds
MOST_ASKED = 3  # sources for one answer
DEADLINE = 8.0


class TorrentHashes:
    """Hashes by file id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._outgoing: Outgoing | None = None

    def through(self, outgoing: Outgoing) -> None:
        """Sources are asked through `outgoing`, which can be made only once the loop runs."""
        self._outgoing = outgoing

    async def of(self, file_id: str, size: int, sources: Sequence[Source]) -> bytes:
        """The hashes in order. Raises Unavailable: `hashes_pending` while a source makes them."""
        at, pieces = self._kept.get(file_id, (0.0, b""))
        if pieces and at >= self._clock.monotonic() - KEPT:
            return pieces
        pieces = await self._asked(file_id, size, sources)
        self._kept[file_id] = self._clock.monotonic(), pieces
        self._kept.move_to_end(file_id)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return pieces

    async def _asked(self, file_id: str, size: int, sources: Sequence[Source]) -> bytes:
        """Of the first that has them, or is making them."""
        if self._outgoing is None:
            raise errors.Unavailable("not_ready", "The super-peer is starting; try again in a moment.")
        for source in [source for source in sources if source.complete and source.direct][:MOST_ASKED]:
            url = source.url.replace("/api/v1/download/", "/api/v1/torrent-pieces/")
            try:
                told = await self._outgoing.get_json(url, TorrentPieces, deadline=DEADLINE)
                return checked(told, file_id, size)
            except OutgoingError as error:
                if error.code == "hashes_pending":
                    detail = "A source is reading the file for the torrent's piece hashes; come back in a moment."
                    raise errors.Unavailable("hashes_pending", detail, retry_after=error.retry_after) from None
            except ValueError:
                continue  # what it says does not fit the file: another may know better
        detail = "No source that can make a torrent's piece hashes is online; try again later."
        raise errors.Unavailable("no_source_online", detail, retry_after=30)


def checked(told: TorrentPieces, file_id: str, size: int) -> bytes:
    """The hashes, if they can be those of this file. Raises ValueError."""
    if (told.id, told.size, told.piece_length) != (file_id, size, piece_length(size)):
        raise ValueError("these are of another file")
    try:
        pieces = base64.b64decode(told.pieces, validate=True)
    except binascii.Error as error:
        raise ValueError("this is not base64") from error
    if len(pieces) != HASH * piece_count(size):
        raise ValueError("these are not as many as the file has pieces")
    return pieces
