"""Who asks for bytes, as slots, limits and quotas count it: an address, and the name that it gives itself.

An IPv6 address counts with its /64, of which one machine has all. The name (`X-Peer-ID`) is not proven. It tells
several peers behind one address apart, which share what that address has; it gains nobody more.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from common.http.addresses import Reach, canonical, reach

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
RELAY = "relay"  # the address of all who fetch through the super-peer
_NEAR = frozenset({Reach.LOOPBACK, Reach.PRIVATE, Reach.LINK})


class Asker(NamedTuple):
    """`name` is empty for who gives none."""

    address: str
    name: str = ""


def asker(remote: str | None, name: str | None = None) -> Asker:
    """Who asks from an address. A name that is none is not heeded."""
    return Asker(counted_address(remote or ""), name if name and _NAME.fullmatch(name) else "")


@lru_cache(maxsize=4096)
def counted_address(remote: str) -> str:
    """The address under which somebody is counted."""
    try:
        address = canonical(remote)
    except ValueError:
        return remote
    if address.version == 4 or address.is_loopback:
        return str(address)
    return f"{':'.join(address.exploded.split(':')[:4])}::/64"


@lru_cache(maxsize=4096)
def is_near(address: str) -> bool:
    """Whether an address, or what it is counted as, is one of this machine or of a private network."""
    try:
        return reach(canonical(address.removesuffix("/64"))) in _NEAR
    except ValueError:
        return False
