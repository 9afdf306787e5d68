"""Peers speak with their super-peer.

A peer with a key: `challenge` → nonce → `register` (signed over nonce, id, address and port) → token, then
`heartbeat` every `heartbeat_interval` seconds with a rising `sequence`, at last `unregister`. A keyless program
starts at `register`. Each answer names the catalogue version that the super-peer holds, so whoever lost something
knows at once. All may be repeated.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from common.wire.scalars import Count, Name, Port, Size, Word

# What follows the `$` keeps a line break out, which `$` alone lets through in Python.
Base64 = Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9+/=_-]*$(?!\n)")]


class ChallengeRequest(Struct, frozen=True):
    """Asks for a nonce to sign."""

    public_key: Base64


class Challenge(Struct, frozen=True):
    """A nonce that is good once, for 60 s."""

    nonce: str
    super_peer_id: str


class RegisterRequest(Struct, frozen=True):
    """Who I am and where I can be reached. With a key: `public_key`, `nonce`, `signature`."""

    port: Port
    id: Annotated[str, Meta(max_length=64)] | None = None
    address: Annotated[str, Meta(max_length=255)] | None = None
    name: Name | None = None
    region: Word | None = None
    shared_files: Count = 0
    version: Word | None = None
    hash_algorithm: Word | None = None
    public_key: Base64 | None = None
    nonce: Base64 | None = None
    signature: Base64 | None = None


class RegisterAnswer(Struct, frozen=True):
    """What the super-peer holds of this peer, and how often it wants to hear from it (seconds).

    `first_heartbeat`: seconds until it knows whether this peer can be dialled, which the next answer tells.
    """

    peer_id: str
    message: str
    token: str
    heartbeat_interval: float
    catalogue_id: str | None
    catalogue_version: int
    hash_algorithm: str
    address: Annotated[str, Meta(max_length=300)]
    status: str = "success"
    first_heartbeat: float | None = None


class Load(Struct, frozen=True):
    """How busy a peer is."""

    active_uploads: Count = 0
    upload_slots: Count = 0
    upload_rate: Size = 0


class HeartbeatRequest(Struct, frozen=True):
    """I am here. Keyless programs may send no body at all."""

    sequence: Count | None = None
    catalogue_id: Word | None = None
    catalogue_version: Count | None = None
    load: Load | None = None


class HeartbeatAnswer(Struct, frozen=True):
    """What the super-peer holds of the peer's catalogue. Unless `direct`, others cannot dial it."""

    catalogue_id: str | None
    catalogue_version: int
    heartbeat_interval: float
    direct: bool = True


class Peer(Struct, frozen=True):
    """A peer as everybody sees it. Unless `direct`, it cannot be dialled: what it has comes through the super-peer."""

    id: str
    name: str
    address: str
    port: int
    last_seen: datetime
    is_online: bool
    reputation: int
    shared_files: int
    shared_bytes: int
    region: str
    verified: bool
    version: str
    direct: bool = True


class NetworkStats(Struct, frozen=True):
    """The network in numbers; `network_health` is the share of peers online, in percent.

    `hash_algorithm` names its files: what a fetched file must have as its id.
    """

    total_peers: int
    online_peers: int
    total_files: int
    total_bytes: int
    total_downloads: int
    network_health: float
    last_updated: datetime
    hash_algorithm: str = "sha256"
