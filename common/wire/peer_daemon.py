"""What a peer's daemon says of itself."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct


class DownloadStats(Struct, frozen=True):
    """What this peer fetched since its first start."""

    total_downloads: int = 0
    total_bytes: int = 0
    active_downloads: int = 0


class UploadStats(Struct, frozen=True):
    """What this peer served since its first start."""

    total_uploads: int = 0
    total_bytes: int = 0
    active_uploads: int = 0


class PublicConfig(Struct, frozen=True):
    """The part of a peer's configuration that anybody may know."""

    port: int
    super_peer_address: str
    max_file_size: int
    heartbeat_interval: float


class PeerInfo(Struct, frozen=True):
    """A peer in one object. `trouble`: what stands between it and its super-peer, empty when nothing does. Unless
    `direct`, others cannot dial it and fetch through the super-peer."""

    id: str
    name: str
    address: str
    port: int
    is_registered: bool
    shared_files: int
    last_heartbeat: datetime | None
    download_stats: DownloadStats
    upload_stats: UploadStats
    config: PublicConfig
    trouble: str = ""
    direct: bool = True


class PeerStats(Struct, frozen=True):
    """A peer's counters."""

    peer_id: str
    shared_files: int
    download_stats: DownloadStats
    upload_stats: UploadStats
    is_registered: bool
    last_heartbeat: datetime | None


class OwnerCode(Struct, frozen=True):
    """Opens the owner's part of the page once."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]


class OwnerToken(Struct, frozen=True):
    """The owner's token, for the owner's browser."""

    token: str
