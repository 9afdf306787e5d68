"""IP addresses: their one spelling, how far they reach, whom a daemon serves and whom it may dial.

An address that carries others inside (6to4, NAT64, Teredo) is forbidden as soon as one of them is; multicast always is.
The standard library's `is_global` is not asked: it says yes to several of these.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum, StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Profile(StrEnum):
    """The surroundings a daemon lives in."""

    LOOPBACK = "loopback"
    LAN = "lan"
    PUBLIC = "public"


class Reach(Enum):
    """How far an address reaches. NOWHERE: reserved, or where clouds keep their metadata and credentials."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK = "link-local"
    GLOBAL = "global"
    NOWHERE = "nowhere"


# Read downwards: the first range that holds an address decides.
_V4 = (
    ("10.0.0.0/8", Reach.PRIVATE),
    ("172.16.0.0/12", Reach.PRIVATE),
    ("192.168.0.0/16", Reach.PRIVATE),
    ("127.0.0.0/8", Reach.LOOPBACK),
    ("0.0.0.0/8", Reach.NOWHERE),
    ("100.100.100.200/32", Reach.NOWHERE),  # a cloud's metadata
    ("100.64.0.0/10", Reach.PRIVATE),  # carriers' NAT, and what overlay networks give out
    ("168.63.129.16/32", Reach.NOWHERE),  # a cloud's metadata
    ("169.254.0.0/16", Reach.NOWHERE),
    ("192.0.0.0/24", Reach.NOWHERE),
    ("192.0.2.0/24", Reach.NOWHERE),
    ("192.88.99.0/24", Reach.NOWHERE),
    ("198.18.0.0/15", Reach.NOWHERE),
    ("198.51.100.0/24", Reach.NOWHERE),
    ("203.0.113.0/24", Reach.NOWHERE),
    ("224.0.0.0/4", Reach.NOWHERE),
    ("240.0.0.0/4", Reach.NOWHERE),
    ("0.0.0.0/0", Reach.GLOBAL),
)
_V6 = (
    ("::1/128", Reach.LOOPBACK),
    ("fd00:ec2::254/128", Reach.NOWHERE),  # a cloud's metadata
    ("fd20:ce::254/128", Reach.NOWHERE),  # a cloud's metadata
    ("fc00::/7", Reach.PRIVATE),
    ("fe80::/10", Reach.LINK),
    ("64:ff9b::/96", Reach.GLOBAL),  # NAT64: what is inside decides
    ("2001::/32", Reach.GLOBAL),  # Teredo: what is inside decides
    ("2001::/23", Reach.NOWHERE),
    ("2001:db8::/32", Reach.NOWHERE),
    ("3fff::/20", Reach.NOWHERE),
    ("2000::/3", Reach.GLOBAL),
    ("ff00::/8", Reach.NOWHERE),
    ("::/0", Reach.NOWHERE),
)
_RANGES: dict[int, list[tuple[Network, Reach]]] = {
    4: [(ip_network(network), reach) for network, reach in _V4],
    6: [(ip_network(network), reach) for network, reach in _V6],
}
_NAT64 = IPv6Network("64:ff9b::/96")
_NEAR = frozenset({Reach.LOOPBACK, Reach.PRIVATE, Reach.LINK})
_DIALLED = {
    Profile.LOOPBACK: frozenset({Reach.LOOPBACK}),
    Profile.LAN: _NEAR,
    Profile.PUBLIC: frozenset({Reach.GLOBAL}),
}
_SERVED = {**_DIALLED, Profile.PUBLIC: frozenset(Reach)}
_WIDEST_EXPLICIT = 8  # a shorter prefix in an allow list does not name a reserved range, it merely covers it
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}", re.ASCII)


def canonical(text: str) -> Address:
    """The address that `text` spells; a v4-mapped one is the IPv4 address that it is.

    Raises ValueError for every other way to name a machine (`127.1`, `0x7f.1`, `2130706433`, other scripts' digits,
    names, brackets) and for a zone on anything but a link-local address.
    """
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    zone = address.scope_id
    if zone is not None and not (address.is_link_local and _ZONE.fullmatch(zone)):
        raise ValueError(f"{text!r} has a zone that it may not have")
    return address.ipv4_mapped or address


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """CIDRs as networks, a bare address being a network of one. Raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def url_host(address: Address | str) -> str:
    """The address as the host of a URL."""
    text = str(address)
    return f"[{text}]" if ":" in text else text


def is_forbidden(address: Address, profile: Profile, allow: Sequence[Network] = ()) -> bool:
    """Whether `address` may not be dialled, published or redirected to.

    `allow` adds what the operator named; a network that merely covers a reserved range does not name it.
    """
    address = _unmapped(address)
    if address.is_multicast:
        return True
    if any(_names(network, address) for network in allow):
        return False
    return not _all_within(address, _DIALLED[profile])


def source_allowed(address: Address, profile: Profile, allow: Sequence[Network] = ()) -> bool:
    """Whether a daemon serves connections that come from `address`."""
    address = _unmapped(address)
    return _all_within(address, _SERVED[profile]) or any(_names(network, address) for network in allow)


def reach(address: Address) -> Reach:
    """How far the address itself reaches, whatever it carries inside."""
    return _range_of(_unmapped(address))[1]


def profile_of(bind_host: str, configured: str | None = None) -> Profile:
    """The profile of a daemon that listens on `bind_host` ("" for all interfaces), unless configured (`auto`: not)."""
    if configured and configured != "auto":
        return Profile(configured)
    return Profile.LOOPBACK if is_loopback_host(bind_host) else Profile.LAN


def is_loopback_host(host: str) -> bool:
    """True for `localhost` and loopback addresses."""
    try:
        return host.lower() == "localhost" or canonical(host).is_loopback
    except ValueError:
        return False


def client_address(remote: str, forwarded_for: str | None, trusted: Sequence[Network]) -> str:
    """Who asks: the right-most hop that is not a trusted proxy; `remote` when what was forwarded cannot be read.

    `forwarded_for` is X-Forwarded-For, several joined by commas, believed only as far as trusted proxies wrote it.
    """
    hops = reversed(forwarded_for.split(",")) if forwarded_for else iter(())
    try:
        nearest = hop = canonical(remote)
    except ValueError:
        return remote
    try:
        while _within(hop, trusted) and (text := next(hops, None)) is not None:
            hop = canonical(text.strip())
    except ValueError:
        return str(nearest)
    return str(hop)


def client_scheme(remote: str, scheme: str, forwarded_proto: str | None, trusted: Sequence[Network]) -> str:
    """`http` or `https` as the browser sees it: X-Forwarded-Proto (its last word) counts from trusted proxies only."""
    if not forwarded_proto or not trusted:
        return scheme
    said = forwarded_proto.rpartition(",")[2].strip().lower()
    try:
        believed = _within(canonical(remote), trusted)
    except ValueError:
        believed = False
    return said if believed and said in ("http", "https") else scheme


def _all_within(address: Address, reaches: frozenset[Reach]) -> bool:
    return all(_range_of(part)[1] in reaches for part in (address, *_inner(address)))


def _inner(address: Address) -> tuple[Address, ...]:
    """The addresses that a transition mechanism would send to on behalf of this one."""
    if isinstance(address, IPv4Address):
        return ()
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    return (IPv4Address(int(address) & 0xFFFFFFFF),) if address in _NAT64 else ()


def _names(allowed: Network, address: Address) -> bool:
    if address not in allowed:
        return False
    network, distance = _range_of(address)
    return distance is not Reach.NOWHERE or allowed.prefixlen >= max(network.prefixlen, _WIDEST_EXPLICIT)


def _within(address: Address, listed: Sequence[Network]) -> bool:
    return any(address in network for network in listed)


def _unmapped(address: Address) -> Address:
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=4096)
def _range_of(address: Address) -> tuple[Network, Reach]:
    return next(entry for entry in _RANGES[address.version] if address in entry[0])
