"""How a file moves: what a downloader asks of sources and of the super-peer, and what an owner sees of it.

A source tells its manifest (`GET /api/v1/manifest/{id}`) and which pieces it has proven (`GET /api/v1/have/{id}`; with
`follow=true` it goes on telling, one JSON object a line: first a Have, then HaveNews, of which an empty one only says
that the source is still there). A downloader that offers what it has proven joins the file's swarm at the super-peer
(`POST /api/v1/files/{id}/swarm`), comes back every `interval` seconds, and leaves with `leaving`. After a transfer it
reports what each source did. Repeating any of these is harmless.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from common.wire.files import Source
from common.wire.scalars import Count, FileHash, Port, Size, Word

Outcome = Literal["ok", "corrupt", "timeout", "refused"]
Base64Bits = Annotated[str, Meta(max_length=1024, pattern=r"^[A-Za-z0-9+/]*={0,2}$(?!\n)")]


class ManifestAnswer(Struct, frozen=True):
    """The hashes of all pieces, in order."""

    id: FileHash
    size: Size
    piece_size: Size
    pieces: Annotated[list[FileHash], Meta(max_length=4096)]


class Have(Struct, frozen=True):
    """Which pieces a source has proven, under which manifest.

    `pieces`: a bit for each piece, the first in the highest bit of the first byte, base64; empty when `complete`.
    """

    id: FileHash
    size: Size
    piece_size: Size
    manifest: FileHash | None
    complete: bool
    pieces: Base64Bits = ""


class HaveNews(Struct, frozen=True):
    """Pieces proven since the line before; `complete`: all of them now, and nothing more will be told."""

    add: Annotated[list[Count], Meta(max_length=4096)] = field(default_factory=list)
    complete: bool = False


class HaveQuery(Struct, frozen=True, kw_only=True):
    """`follow`: go on telling. `port`: the asker offers what it has proven too, at its own address and this port."""

    follow: bool = False
    port: Port | None = None


class SwarmRequest(Struct, frozen=True):
    """I fetch this file under `manifest` and offer the pieces that I have `proven`."""

    manifest: FileHash
    proven: Count
    leaving: bool = False


class SwarmAnswer(Struct, frozen=True):
    """Come back within `interval` seconds. `sources`: who has the file or pieces of it, best first; not the asker."""

    interval: float
    sources: list[Source]


class TransferReport(Struct, frozen=True):
    """What one source did in one transfer: `bytes` proven, in `seconds` of its work. `source` is a peer's id."""

    file_id: FileHash
    source: Word
    bytes: Size
    seconds: Annotated[float, Meta(ge=0, le=31_536_000)]
    outcome: Outcome


class SourceProgress(Struct, frozen=True):
    """One source of a download: `state` is `active`, `idle`, `waiting`, `busy`, `dropped`; `why` says it in words.

    `place`: in the source's line, 0 when it does not stand in one. `direct`: not relayed through the super-peer.
    """

    peer_id: str
    state: str
    why: str
    complete: bool
    direct: bool
    received: int
    verified: int
    rate: float
    place: int = 0


class Download(Struct, frozen=True):
    """A download in the owner's queue.

    `state`: `queued`, `running`, `stalled`, `paused`, `verifying`, `finished`, `failed`. `why`: in words, what it waits
    for or failed of; `code`: the same as a word for programs (an error's code, or `already_there` where nothing was
    fetched). `verified`: bytes of proven pieces; `received`: with those on their way. `eta` in seconds.
    """

    id: str
    file_id: FileHash
    filename: str
    path: str
    size: Size
    state: str
    why: str
    priority: int
    sequential: bool
    verified: int
    received: int
    rate: float
    eta: float | None
    sources: list[SourceProgress]
    added: datetime
    finished: datetime | None = None
    code: str = ""


class LimitsInForce(Struct, frozen=True):
    """What counts now, bytes a second in all; `until`: when the schedule changes it, null for never."""

    upload: Size = 0
    download: Size = 0
    until: datetime | None = None


class Limits(Struct, frozen=True):
    """Bytes a second, 0 for no limit. `*_per_peer`: one address at the other end; `*_per_transfer`: one file with it.

    `lan_exempt`: addresses of private networks do not count. `schedule`: `Mon-Fri 08:00-18:00 1MB/s`, each line a
    limit for both directions, or one (`up 1MB/s`, `down 1MB/s`), while its hours last. `now` is only told.
    """

    upload: Size = 0
    download: Size = 0
    upload_per_peer: Size = 0
    download_per_peer: Size = 0
    upload_per_transfer: Size = 0
    download_per_transfer: Size = 0
    lan_exempt: bool = False
    schedule: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)] = field(default_factory=list)
    now: LimitsInForce | None = None


class DownloadRequest(Struct, frozen=True):
    """Fetch this file. What is not said is found out: its name and size from the super-peer; the folder is the usual.

    `filename` may lead into folders below `folder`, which is a path of this machine. Higher `priority` goes first.
    """

    file_id: FileHash
    filename: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    folder: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    size: Size | None = None
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    sequential: bool = False
    paused: bool = False


class DownloadsRequest(Struct, frozen=True):
    """Fetch all of these; `folder` is for those that name none."""

    files: Annotated[list[DownloadRequest], Meta(min_length=1, max_length=1000)]
    folder: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class DownloadEdit(Struct, frozen=True):
    """What an owner may change of a download; what is not named stays."""

    priority: Annotated[int, Meta(ge=-100, le=100)] | None = None
    sequential: bool | None = None


class Upload(Struct, frozen=True):
    """A file that somebody is fetching from this peer. `asker`: the peer's id if it said one, else its address.

    `sent`: bytes so far, in `seconds`; `requests`: how many it makes of it now.
    """

    file_id: str
    filename: str
    size: Size
    asker: str
    relayed: bool
    sent: int
    rate: float
    seconds: float
    requests: int
