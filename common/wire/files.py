"""Files: what a peer announces, what the super-peer answers, what a peer lists.

A peer announces its catalogue in deltas: `{catalogue_id, base_version, add, remove}`, at most 1,000 entries a call. A
call is accepted when `base_version` is the version held, and raises it by one; `base_version: 0` begins anew, and
what it does not announce again goes with the call that says `complete`. Repeating a call is harmless: it is refused
as out of step with the version held, from which the peer sees that it had been accepted.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from common.wire.scalars import Count, FileHash, Path, Size, Word

MAX_ENTRIES = 1000
Tags = Annotated[list[Word], Meta(max_length=64)]
CATEGORIES = ("document", "image", "video", "audio", "archive", "code", "other")


class Entry(Struct, frozen=True):
    """One path of a catalogue."""

    path: Path
    id: FileHash
    size: Size
    modified: datetime | None = None
    mime: Annotated[str, Meta(max_length=127)] | None = None
    category: Word | None = None
    tags: Tags = field(default_factory=list)
    manifest: FileHash | None = None
    audience: Word = "public"


class CatalogueDelta(Struct, frozen=True):
    """What changed since `base_version`."""

    catalogue_id: Annotated[str, Meta(min_length=1, max_length=64)]
    base_version: Count
    add: Annotated[list[Entry], Meta(max_length=MAX_ENTRIES)] = field(default_factory=list)
    remove: Annotated[list[Path], Meta(max_length=MAX_ENTRIES)] = field(default_factory=list)
    complete: bool = False


class CatalogueAnswer(Struct, frozen=True):
    """The version held after the call."""

    catalogue_version: int
    status: str = "success"


class FileRegistration(Struct, frozen=True):
    """One file announced by a program that keeps no catalogue; `filename` is its path there."""

    filename: Path
    hash: FileHash
    size: Size
    category: Word | None = None
    tags: Tags | None = None
    mime: Annotated[str, Meta(max_length=127)] | None = None
    modified: datetime | None = None
    owner: Annotated[str, Meta(max_length=64)] | None = None
    peer_address: Annotated[str, Meta(max_length=300)] | None = None
    audience: Word = "public"


class FileRegistered(Struct, frozen=True):
    """The answer to a FileRegistration."""

    file_id: str
    message: str
    status: str = "success"


class FileInfo(Struct, frozen=True):
    """A file of the network: one content, whatever its names and however many have it."""

    id: str
    filename: str
    size: int
    hash: str
    category: str
    tags: list[str]
    mime: str
    owner: str
    peer_address: str
    upload_time: datetime
    modified: datetime | None
    downloads: int
    rating: float
    sources: int
    names: list[str]
    manifest: str | None


class SearchAnswer(Struct, frozen=True):
    """One page of results; `total` is exact unless `total_exact` says that it is a lower bound."""

    results: list[FileInfo]
    count: int
    total: int
    total_exact: bool
    query: str
    next_cursor: str | None


class Source(Struct, frozen=True):
    """A peer that holds the file, and why it stands where it stands in the list."""

    peer_id: str
    url: str
    complete: bool
    manifest: str | None
    reputation: int
    region: str
    load: float
    direct: bool
    why: str


class SharedFile(Struct, frozen=True):
    """A file as the peer that shares it lists it: never a path of its disk. `path` is the one in its catalogue."""

    id: str
    filename: str
    size: int
    hash: str
    category: str
    tags: list[str]
    shared_at: datetime
    downloads: int
    is_available: bool
    path: str = ""


class LocalSearchAnswer(Struct, frozen=True):
    """What a peer finds among its own files."""

    results: list[SharedFile]
    count: int
    query: str


class ShareRequest(Struct, frozen=True):
    """Offers a file or a folder of this machine."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    tags: Tags = field(default_factory=list)
    audience: Word = "public"


class ShareAnswer(Struct, frozen=True):
    """`file_id` is empty for a folder, whose files appear as they are proven."""

    file_id: str
    message: str
    status: str = "success"


class FileEdit(Struct, frozen=True):
    """What an owner may change of a shared file; what is not named stays."""

    tags: Tags | None = None
    audience: Word | None = None


class Done(Struct, frozen=True):
    """It was done."""

    message: str
    status: str = "success"


class FilesRegistered(Struct, frozen=True):
    """Event data for a burst of announcements."""

    peer_id: str
    count: int


class FileRemoved(Struct, frozen=True):
    """Event data: this peer no longer offers this file."""

    id: str
    peer_id: str


class Share(Struct, frozen=True):
    """A folder or a file of this machine that the owner offers; `state` is `online`, `missing` or `scanning`."""

    label: str
    path: str
    state: str
    files: int
    bytes: int


class DamagedFile(Struct, frozen=True):
    """A file that its peer does not offer any more: the disk does not hold what it held when the file was hashed."""

    id: str
    path: str
    size: int
    why: str
    advice: str
    found_at: datetime


class UnshareRequest(Struct, frozen=True):
    """Names a share by its path."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
