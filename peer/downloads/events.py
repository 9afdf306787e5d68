"""What a fetch tells while it runs: Started, perhaps Resumed, then Progress, SourceFailed, Waiting and StartedOver as
they come, Verifying, Verified and at last Finished. A file that is there already is Finished at once.

A fetch that fails ends in a Refusal instead. As JSON each event is one object whose `event` names it (`source_failed`).
"""

import re
from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(description="seconds")]
Bytes = Annotated[int, Meta(description="bytes")]


def _tag(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Event(Struct, frozen=True, tag_field="event", tag=_tag):
    """Something that happened in a fetch."""


class Started(Event, frozen=True):
    """The fetch of this content began; it gathers in `part` until it is proven."""

    id: str
    size: Bytes
    part: str


class Resumed(Event, frozen=True):
    """`received` bytes were there from an earlier run, in pieces that are proven anew."""

    received: Bytes


class Progress(Event, frozen=True):
    """`rate` in bytes a second over the last seconds; `eta` is None while nothing arrives. `verified`: in pieces that
    are proven."""

    received: Bytes
    total: Bytes
    rate: float
    eta: Seconds | None
    verified: Bytes = 0


class SourceFailed(Event, frozen=True):
    """This source was left. `outcome`: unreachable, timeout, broken, slow, busy, refused or corrupt."""

    peer_id: str
    outcome: str
    detail: str


class StartedOver(Event, frozen=True):
    """The bytes gathered so far were thrown away."""

    detail: str


class Waiting(Event, frozen=True):
    """Every source that is left is busy; the next is asked in `seconds`."""

    seconds: Seconds


class Verifying(Event, frozen=True):
    """All bytes are there; `hashed` of them are checked."""

    hashed: Bytes
    total: Bytes


class Verified(Event, frozen=True):
    """The bytes are the file's: their SHA-256 is its id."""

    id: str


class Finished(Event, frozen=True):
    """The file lies at `path`. `already_there`: it did before, nothing was fetched."""

    path: str
    id: str
    size: Bytes
    already_there: bool = False
