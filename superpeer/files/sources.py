"""Who serves a file best: sources in order, each with the reason. Pure.

Verified peers before unverified ones, the asker's region before others, free peers before busy ones; among equals
chance decides, so that no source is everybody's first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.wire.files import Source
from common.wire.peers import Load

NEUTRAL_REPUTATION = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """An online peer that holds the file."""

    peer_id: str
    url: str
    manifest: str | None
    region: str
    verified: bool
    load: Load


def busy(load: Load) -> float:
    """The share of upload slots taken, 0 to 1; 0 when a peer does not say."""
    return min(1.0, load.active_uploads / load.upload_slots) if load.upload_slots else 0.0


def ranked(candidates: Iterable[Candidate], region: str, chance: Sequence[float]) -> list[Source]:
    """Best first; `chance` holds a random number for each candidate."""
    keyed = [
        ((not c.verified, bool(region) and c.region != region, round(busy(c.load), 1), luck), c)
        for c, luck in zip(candidates, chance, strict=True)
    ]
    return [_source(candidate, region) for _, candidate in sorted(keyed, key=lambda pair: pair[0])]


def _source(candidate: Candidate, region: str) -> Source:
    load = busy(candidate.load)
    reasons = ["verified peer" if candidate.verified else "unverified program"]
    if region:
        reasons.append("in your region" if candidate.region == region else f"in region {candidate.region or 'unknown'}")
    reasons.append(f"{load:.0%} busy" if candidate.load.upload_slots else "load unknown")
    return Source(
        peer_id=candidate.peer_id,
        url=candidate.url,
        complete=True,
        manifest=candidate.manifest,
        reputation=NEUTRAL_REPUTATION,
        region=candidate.region,
        load=round(load, 3),
        direct=True,
        why=", ".join(reasons),
    )
