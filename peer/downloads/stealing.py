"""When a request is cut short for the sake of a better source. Pure.

Who has nothing to do takes the tail of the request that would end last, or its only piece if he would have it much
sooner. Who is hopelessly slower than others loses his request at once: the piece at the front holds up the hash of the
whole.
"""

from collections.abc import Iterator
from typing import Protocol

from common.content.grid import Grid
from common.content.pieces import run_of
from peer.downloads.requests import Cancel, Order, Request, Trim
from peer.downloads.standing import Patience, SourceTrouble, Standing

WORTH = 0.3  # seconds that a stolen tail must have left
FASTER = 2.0  # a thief of a single piece is that many times faster
STALE_HEAD = 6.0  # seconds without an answer, after which it counts as slow


class Planned(Protocol):
    """What this needs of a Plan."""

    grid: Grid
    patience: Patience
    standings: dict[str, Standing]
    requests: list[Request]

    @property
    def free(self) -> int: ...

    @property
    def is_crowd(self) -> bool: ...

    def room(self, standing: Standing, now: float) -> int: ...

    def cancel(self, request: Request, why: SourceTrouble | None = None) -> Cancel: ...


def too_slow(plan: Planned, now: float) -> Iterator[Order]:
    """Requests of sources that are many times slower than another that has all that they have."""
    for request in plan.requests:
        if request.ending or request.is_open or not _is_slow(plan, request, now):
            continue
        rivals = [other for other in _others(plan, request) if other.may_be_asked(now)]
        if not _covered(request.standing.have & (plan.free | request.pieces()), rivals):
            continue
        if any(other.rate > plan.patience.slower * request.speed(now) for other in rivals):
            yield plan.cancel(request, SourceTrouble("slow", "is much slower than the others"))


def for_the_idle(plan: Planned, now: float) -> Iterator[Order]:
    """What sources without work take from others."""
    for thief in plan.standings.values():
        if plan.room(thief, now) > 0 and not plan.free & thief.have:
            order = _theft(plan, thief, now)
            if order is not None:
                yield order


def _is_slow(plan: Planned, request: Request, now: float) -> bool:
    """Whether it has had the time to show what it can."""
    if request.begun is None:
        return now - request.asked >= STALE_HEAD
    return now - request.begun >= plan.patience.crawl


def _others(plan: Planned, request: Request) -> list[Standing]:
    return [other for other in plan.standings.values() if other is not request.standing and not other.dropped]


def _covered(pieces: int, others: list[Standing]) -> bool:
    for other in others:
        pieces &= ~other.have
    return not pieces


def _theft(plan: Planned, thief: Standing, now: float) -> Order | None:
    victims = [r for r in plan.requests if r.standing is not thief and not (r.ending or r.is_open) and r.heir is None]
    victims = [r for r in victims if r.pieces() & thief.have]
    if not victims:
        return None
    victim = max(victims, key=lambda request: _left(plan, request, now))
    tail = victim.last - victim.at
    left = _left(plan, victim, now)
    if tail and left > WORTH:
        theirs, mine = victim.speed(now), thief.rate or victim.speed(now)
        keep = int(tail * theirs / (theirs + mine)) if theirs + mine else 0
        if run_of(victim.at + keep + 1, victim.last) & thief.have:
            return Trim(victim, victim.at + keep)
        return None
    if victim.pieces() & thief.have and thief.rate and left > WORTH + FASTER * _time_of(plan, thief, victim.at):
        victim.heir = thief
        return plan.cancel(victim)
    return None


def _left(plan: Planned, request: Request, now: float) -> float:
    """Seconds until a request is through, at the speed that it has shown."""
    span = plan.grid.run(request.at, request.last)
    done = request.received - (span.start - plan.grid.span(request.first).start)
    speed = request.speed(now)
    if not speed:
        return 1e9 if now - (request.begun or request.asked) > 1.0 else 0.0
    return (span.length - done) / speed


def _time_of(plan: Planned, thief: Standing, piece: int) -> float:
    return plan.grid.span(piece).length / thief.rate
