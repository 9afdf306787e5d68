"""Who serves a file best: sources in order, each with the reason. Pure: chance is an argument.

In this order: who can be reached, the whole file before pieces of it, peers with a key before programs without, who is
not distrusted, who has a free slot, who need not be relayed, the asker's region; then who is expected to be fastest, by
measured speed, load and reputation, in steps; among equals chance decides, so that no source is everybody's first. Now
and then one that was never measured stands before its equals, so that all are tried in time.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common.wire.files import Source
from common.wire.peers import Load

NEUTRAL_REPUTATION = 50
DISTRUSTED = 30
EXPLORED = 0.15  # of all rankings
STEPS = 2  # for each doubling of what is expected


@dataclass(frozen=True, slots=True)
class Candidate:
    """An online peer that holds the file, or some pieces of it; `speed` in bytes a second where it was measured.

    `direct`: others can dial it; if not, `relayed` says that it can be had through the super-peer.
    """

    peer_id: str
    url: str
    manifest: str | None
    region: str
    verified: bool
    load: Load
    complete: bool = True
    direct: bool = True
    relayed: bool = False
    reputation: int = NEUTRAL_REPUTATION
    speed: float | None = None


class Rank(NamedTuple):
    """The less, the better."""

    unreachable: bool
    partial: bool
    unverified: bool
    distrusted: bool
    full: bool
    relayed: bool
    elsewhere: bool
    unexplored: bool
    slowness: int
    luck: float


def busy(load: Load) -> float:
    """The share of upload slots taken, 0 to 1; 0 when a peer does not say."""
    return min(1.0, load.active_uploads / load.upload_slots) if load.upload_slots else 0.0


def ranked(candidates: Iterable[Candidate], region: str, chance: Sequence[float]) -> list[Source]:
    """Best first; `chance` holds a random number from 0 to 1 for each candidate."""
    found = list(candidates)
    measured = sorted(c.speed for c in found if c.speed is not None)
    typical = measured[len(measured) // 2] if measured else 1.0
    share = EXPLORED / max(1, len(found) - len(measured)) if measured else 0.0
    keyed = [(_rank(c, region, typical, share, luck), c) for c, luck in zip(found, chance, strict=True)]
    keyed.sort(key=lambda pair: pair[0])
    return [_source(candidate, region, not rank.unexplored) for rank, candidate in keyed]


def _rank(c: Candidate, region: str, typical: float, share: float, luck: float) -> Rank:
    return Rank(
        unreachable=not (c.direct or c.relayed),
        partial=not c.complete,
        unverified=not c.verified,
        distrusted=c.reputation < DISTRUSTED,
        full=busy(c.load) >= 1.0,
        relayed=not c.direct,
        elsewhere=bool(region) and c.region != region,
        unexplored=not (c.speed is None and luck < share),
        slowness=-_steps(expected(c, typical)),
        luck=luck,
    )


def expected(candidate: Candidate, typical: float) -> float:
    """Bytes a second that it may give, as far as can be told.

    Who was never measured counts as half as fast as is `typical`: below the proven, above the slow.
    """
    speed = typical / 2 if candidate.speed is None else candidate.speed
    return speed * (1.0 - busy(candidate.load)) * candidate.reputation / NEUTRAL_REPUTATION


def _steps(rate: float) -> int:
    return round(STEPS * math.log2(max(rate, 1e-9)))


def _source(candidate: Candidate, region: str, explored: bool) -> Source:
    return Source(
        peer_id=candidate.peer_id,
        url=candidate.url,
        complete=candidate.complete,
        manifest=candidate.manifest,
        reputation=candidate.reputation,
        region=candidate.region,
        load=round(busy(candidate.load), 3),
        direct=candidate.direct,
        why=", ".join(_reasons(candidate, region, explored)),
    )


def _reasons(candidate: Candidate, region: str, explored: bool) -> Iterable[str]:
    yield "verified peer" if candidate.verified else "unverified program"
    if not candidate.complete:
        yield "has some pieces"
    if not candidate.direct:
        yield "relayed: it cannot be dialled" if candidate.relayed else "could not be dialled back"
    if region:
        yield "in your region" if candidate.region == region else f"in region {candidate.region or 'unknown'}"
    yield f"{busy(candidate.load):.0%} busy" if candidate.load.upload_slots else "load unknown"
    if candidate.reputation != NEUTRAL_REPUTATION:
        yield f"reputation {candidate.reputation}"
    if candidate.speed is not None:
        yield f"{candidate.speed / 1e6:.1f} MB/s measured"
    elif explored:
        yield "to be tried: never measured"
