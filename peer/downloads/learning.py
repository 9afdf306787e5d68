"""Asking a source for its manifest, and what of its answer is believed."""

from msgspec import DecodeError
from yarl import URL

from common.content.grid import Grid
from common.content.manifest import Manifest
from common.http.outgoing import Outgoing, OutgoingError
from common.ids import FileId
from common.wire.files import Source
from common.wire.transfer import ManifestAnswer
from peer.downloads.standing import SourceTrouble

LARGEST = 512 * 1024
DEADLINE = 30.0
LATER = ("hashes_pending", "too_many_requests")


def check_url(source: Source, file_id: FileId) -> None:
    """A super-peer may send us to any host that policy allows, but only for this very file. Raises SourceTrouble."""
    try:
        url = URL(source.url)
        leads_there = (url.scheme, url.path, url.user) == ("http", f"/api/v1/download/{file_id}", None)
    except ValueError:
        leads_there = False
    if not leads_there:
        raise SourceTrouble("refused", "has an address that does not lead to this file")


def beside(source: Source, what: str) -> str:
    """The URL under which the source tells its `manifest`, or what it has (`have`)."""
    url = URL(source.url)
    return str(url.with_path(url.path.replace("/download/", f"/{what}/", 1), keep_query=True))


async def ask_manifest(outgoing: Outgoing, source: Source, file_id: FileId, size: int) -> Manifest:
    """The manifest under which the source offers the file. Raises SourceTrouble."""
    try:
        answer = await outgoing.get_json(beside(source, "manifest"), ManifestAnswer, limit=LARGEST, deadline=DEADLINE)
        return _checked(answer, file_id, size)
    except OutgoingError as error:
        raise trouble_of(error) from error
    except (ValueError, DecodeError):
        raise SourceTrouble("refused", "tells a manifest that cannot be one of this file") from None


def _checked(answer: ManifestAnswer, file_id: FileId, size: int) -> Manifest:
    if answer.id != file_id or answer.size != size or answer.piece_size != Grid.of(size).piece_size:
        raise ValueError("of another file")
    return Manifest.from_hex(size, answer.pieces)


def trouble_of(error: OutgoingError) -> SourceTrouble:
    """What a request that failed says of the source."""
    if error.status is None:
        outcome = {"timed_out": "timeout", "address_not_allowed": "refused"}.get(error.code, "unreachable")
        return SourceTrouble(outcome, error.detail)
    if error.code in LATER or error.status in (429, 503):
        return SourceTrouble("busy", "makes its list of pieces first", error.retry_after)
    return SourceTrouble("broken" if error.status >= 500 else "refused", error.detail)
