"""What a peer offers on of what it has fetched, as it tells its owner."""

from datetime import datetime

from msgspec import Struct


class CachedFile(Struct, frozen=True):
    """A finished download that others can fetch. `used_at`: when it was fetched, or served last."""

    id: str
    filename: str
    size: int
    since: datetime
    used_at: datetime


class Cache(Struct, frozen=True):
    """What was used last comes first; `count` and `bytes` are of all, and `cap` is how many bytes there may be: 0 where
    nothing is offered on."""

    entries: list[CachedFile]
    count: int
    bytes: int
    cap: int
