"""The configuration as the daemons see it: frozen types that mirror `config.yaml`, section by section, key by key.

A value here has been checked: durations are seconds, sizes are bytes, networks are parsed, `~` is a home folder.
"""

from typing import Annotated, Literal

from msgspec import Struct

from common.runtime import kinds
from common.runtime.kinds import Network, duration, one_of, text, whole

Interval = Annotated[float, duration(at_least=0.1)]
Grace = Annotated[float, duration(at_least=0)]
Limit = Annotated[int, whole(1, 10**9)]
Host = Annotated[str, kinds.HOST]
Hosts = Annotated[tuple[str, ...], kinds.HOSTS]
Port = Annotated[int, kinds.PORT_TO_BIND]
Networks = Annotated[tuple[Network, ...], kinds.NETWORKS]
Folder = Annotated[str, kinds.PATH]
Switch = Annotated[bool, kinds.SWITCH]
Rate = Annotated[int, kinds.RATE]
Region = Annotated[str, text(64)]

HashAlgorithm = Annotated[Literal["sha256", "blake3"], one_of("sha256", "blake3")]
Profile = Literal["auto", "loopback", "lan", "public"]
Level = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]


class SuperPeerSettings(Struct, frozen=True, kw_only=True):
    """The meeting point."""

    host: Host = "127.0.0.1"
    """The address to listen on; `0.0.0.0` and `::` are all of them."""
    port: Port = 8080
    max_peers: Limit = 10_000
    max_peers_per_address: Limit = 256
    """Peers known at one time; one more is told that the network is full."""
    heartbeat_interval: Interval = 30.0
    """How often peers report; offline after three missed ones."""
    cleanup_interval: Interval = 300.0
    """How often peers that stayed away are looked for."""
    peer_grace: Grace = 86_400.0
    """How long an offline peer is remembered with its catalogue."""
    max_connections: Limit = 20_000
    max_connections_per_address: Limit = 512
    trusted_proxies: Networks = ()
    """Only these may set X-Forwarded-For and X-Forwarded-Proto."""
    advertise_allow: Networks = ()
    """Addresses that a peer may announce although it does not call from there."""
    allowed_hosts: Hosts = ()
    """Host names served besides IP addresses, localhost and the machine's own names."""
    data: Folder = "./data/superpeer"
    region: Region = ""
    database: Annotated[
        str, kinds.nothing_yet("nothing: SQLite in super_peer.data (postgresql:// is not available yet)")
    ] = ""
    """Empty is SQLite in `data`."""
    max_files_per_peer: Limit = 200_000
    unverified_files_per_peer: Limit = 20_000
    """The same for a peer without a key."""
    dial_back: Switch = True
    """Finds out whether a peer can be dialled; if not, peers are believed to be."""
    relay_transfers: Annotated[int, whole(0, 10_000)] = 128
    """What passes through this super-peer at one time; 0 is nothing."""


class PeerSettings(Struct, frozen=True, kw_only=True):
    """A machine that shares and fetches."""

    host: Host = "127.0.0.1"
    """The address to listen on; `0.0.0.0` and `::` are all of them."""
    port: Port = 9001
    super_peer_address: Annotated[str, kinds.ADDRESS] = "localhost:8080"
    shared_directory: Folder = "./shared_files"
    shares: Annotated[tuple[str, ...], kinds.PATHS] = ()
    """More shared folders."""
    max_file_size: Annotated[int, kinds.SIZE] = 100_000_000
    """Bounds one multipart upload to this peer, nothing else."""
    heartbeat_interval: Interval = 30.0
    """Until the super-peer names its own."""
    auto_register: Switch = True
    name: Annotated[str, text(255)] = ""
    """Empty is the machine's host name."""
    region: Region = ""
    data: Folder = "./data/peer"
    downloads: Annotated[str, kinds.PATH_OR_NOTHING] = ""
    """Where downloads go that name no folder; empty is `downloads` in `data`, and for `peer get` where it is called."""
    downloads_at_once: Annotated[int, whole(1, 64)] = 4
    """Downloads that run at one time; the others wait in the queue."""
    share_downloads: Switch = True
    """Offers what this peer has fetched on to others, from a cache of its own."""
    cache_size: Annotated[int, kinds.SIZE] = 10_000_000_000
    """What this cache holds at most, in bytes; 0 is none."""
    sweep_interval: Interval = 300.0
    """How often shares are read again for changes that no notice came of."""
    settle: Grace = 0.5
    """A file counts once its size and time have been the same for this long."""
    allowed_hosts: Hosts = ()
    """Host names served besides IP addresses, localhost and the machine's own names."""
    dial_allow: Networks = ()
    """Addresses that may be dialled although policy forbids them."""
    include_hidden: Switch = False
    """Shares files and folders whose name begins with a dot."""
    scrub_interval: Grace = 2_592_000.0
    """How often each file is read again, to see that the disk still holds it; 0 is never."""
    scrub_rate: Rate = 20_000_000
    """Bytes a second that this reads at most."""
    upload_slots: Limit = 16
    """Uploads served at one time."""
    upload_limit: Rate = 0
    """Bytes a second in all, 0 for no limit, as for all limits below."""
    download_limit: Rate = 0
    upload_limit_per_peer: Rate = 0
    """With one address at the other end."""
    download_limit_per_peer: Rate = 0
    upload_limit_per_transfer: Rate = 0
    """One file with one address."""
    download_limit_per_transfer: Rate = 0
    lan_exempt: Switch = False
    """Limits do not count for addresses of private networks."""
    limit_schedule: Annotated[tuple[str, ...], kinds.SCHEDULE] = ()
    """The hours of a week at which other limits count, such as `Mon-Fri 08:00-18:00 1MB/s`."""
    upload_quota_per_peer: Annotated[int, kinds.SIZE] = 0
    """Bytes that one address may fetch in a day, 0 for no limit."""


class SecuritySettings(Struct, frozen=True, kw_only=True):
    """Who may do what."""

    enable_encryption: Switch = False
    """TLS between daemons; not built yet."""
    hash_algorithm: HashAlgorithm = "sha256"
    max_connections: Limit = 100
    """Connections to one peer."""
    require_identity: Annotated[bool | None, kinds.SWITCH_OR_AUTO] = None
    """Refuses peers without a key; automatic is only in profile public."""
    profile: Annotated[Profile, one_of("auto", "loopback", "lan", "public")] = "auto"
    """Whom to expect as callers; automatic follows from the address listened on."""


class LoggingSettings(Struct, frozen=True, kw_only=True):
    """What is told about the work, how and where."""

    level: Annotated[Level, one_of("debug", "info", "warning", "error", warn="warning")] = "info"
    format: Annotated[LogFormat, one_of("json", "console")] = "json"
    output: Annotated[str, kinds.OUTPUT] = "stdout"
    """`stdout`, `stderr` or a file, which is appended to."""


class Config(Struct, frozen=True, kw_only=True):
    """All settings."""

    super_peer: SuperPeerSettings = SuperPeerSettings()
    peer: PeerSettings = PeerSettings()
    security: SecuritySettings = SecuritySettings()
    logging: LoggingSettings = LoggingSettings()
