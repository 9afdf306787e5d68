"""Which source is asked for which pieces, and which request is cut short. Pure: events and `now` in, orders out.

Invariants, asserted at each step of the simulation:
1. A piece is asked for by at most one request at a time, and never once it is proven.
2. A source is asked only for pieces that it has, within its share of requests, and never once it is dropped.
3. While a source that may be asked has room and a piece that nobody fetches, it is asked.
4. What was taken from one request is fetched by another only after the first has let go of it.

Alone with whole sources, pieces are taken from the front in runs, so that hashing the whole keeps up. Where others
fetch the same file, sources that have all of it are asked for a piece of their choice (which nobody else got), those
with a part for what is rarest: docs/protocol/swarms.md says where these numbers come from.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from common.content.grid import Grid
from common.content.pieces import Rarity, all_of, lowest, run_length, run_of
from common.wire.files import Source
from peer.downloads import stealing
from peer.downloads.requests import Ask, Cancel, Order, Request, Trim
from peer.downloads.standing import Patience, SourceTrouble, Standing

MOST_REQUESTS = 32
LANES = 3  # requests at one time that keep one fast source busy
FAST = 200e6  # bytes a second
CROWD_SHARE = 16  # requests at one time for all of a crowd
FIRST_RUN = 1 << 20  # bytes
LONGEST_RUN = 64 << 20
RUN_SECONDS = 1.0  # how long one request is meant to take


@dataclass(slots=True)
class Plan:
    """The sources and pieces of one transfer under one manifest. `proven`, `busy`: sets of pieces.

    `sequential`: strictly in order, for who watches. `alone`: one source at a time, because nothing proves a piece.
    """

    grid: Grid
    patience: Patience
    chance: random.Random
    sequential: bool = False
    alone: bool = False
    proven: int = 0
    busy: int = 0
    standings: dict[str, Standing] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    _rarity: Rarity = field(init=False)
    _inherited: list[tuple[Standing, int]] = field(init=False, default_factory=list)
    _shares: tuple[int, int] = field(init=False, default=(2, 2))

    def __post_init__(self) -> None:
        self._rarity = Rarity(self.grid.count, self.chance)

    # What happens

    def add(self, source: Source, have: int | None = None, known: Standing | None = None) -> Standing:
        """A source that may be asked; `have` is all of the file unless it is said. `known`: how it stood elsewhere."""
        standing = self.standings.get(source.url)
        if standing is None:
            standing = self.standings[source.url] = known or Standing(source, self.patience)
            self._rarity.add(standing.have)
        standing.source = source
        self.news(source.url, all_of(self.grid.count) if have is None else have)
        return standing

    def remove(self, url: str) -> list[Order]:
        """A source is asked no more; its requests are cancelled."""
        standing = self.standings.pop(url, None)
        if standing is None:
            return []
        self._rarity.add(standing.have, -1)
        return [self.cancel(request) for request in self.requests if request.standing is standing]

    def news(self, url: str, pieces: int) -> None:
        """A source has these pieces too."""
        standing = self.standings.get(url)
        if standing is not None:
            self._rarity.add(pieces & ~standing.have)
            standing.have |= pieces

    def answered(self, request: Request, now: float, piece: int = -1) -> bool:
        """Its answer begins, with this piece where the source chose; False when that one is not wanted."""
        request.begun = now
        if request.is_open:
            if piece < 0 or not self.free >> piece & 1:
                return False
            request.first = request.last = request.at = piece
            self.busy |= 1 << piece
        return True

    def received(self, request: Request, count: int) -> None:
        """So many bytes of it have come in all."""
        request.standing.received += count - request.received
        request.received = count

    def prove(self, request: Request, piece: int) -> None:
        """A piece has come and is what the manifest says."""
        self.proven |= 1 << piece
        self.busy &= ~(1 << piece)
        request.at = piece + 1
        request.standing.verified += self.grid.span(piece).length

    def trimmed(self, request: Request, last: int) -> None:
        """The request ends with piece `last` now."""
        self.busy &= ~run_of(last + 1, request.last)
        request.last = min(request.last, last)

    def ended(self, request: Request, trouble: SourceTrouble | None, now: float) -> None:
        """The request is over and has let go of its pieces."""
        self.requests.remove(request)
        self.busy &= ~request.pieces()
        standing = request.standing
        standing.requests -= 1
        if request.begun is not None:
            standing.gained(request.received, now - request.begun)
        if trouble is not None:
            standing.failed(trouble, request.received, now, request.asked)
        elif request.received:
            standing.succeeded()
        grown = min(standing.rate * RUN_SECONDS, 2 * max(standing.run, FIRST_RUN))
        standing.run = int(min(max(grown, FIRST_RUN), LONGEST_RUN))
        if request.heir is not None and not request.is_open:
            self._inherited.append((request.heir, request.at))

    # What is to be done

    @property
    def is_done(self) -> bool:
        return self.proven == all_of(self.grid.count)

    @property
    def free(self) -> int:
        """The pieces that nobody fetches."""
        return all_of(self.grid.count) & ~self.proven & ~self.busy

    @property
    def is_crowd(self) -> bool:
        """Others fetch this file too and offer what they have."""
        return any(not standing.complete and not standing.dropped for standing in self.standings.values())

    def step(self, now: float) -> list[Order]:
        """What is to be done now; each order counts as carried out."""
        if self.is_done:
            return [self.cancel(request) for request in self.requests if not request.ending]
        self._count()
        left = [request for request in self.requests if request.standing.dropped and not request.ending]
        orders: list[Order] = [self.cancel(request) for request in (*left, *self._on_parole())]
        orders += [*self._shorten(), *self._hand_over(now), *self._ask_all(now)]
        orders += stealing.too_slow(self, now)
        # Among many that have parts, one without work is nothing unusual while there are pieces left.
        if not self.alone and not (self.free and self.is_crowd):
            orders += stealing.for_the_idle(self, now)
        return orders

    def room(self, standing: Standing, now: float) -> int:
        """How many requests more this source may be given."""
        if not standing.may_be_asked(now) or (self.alone and self.requests):
            return 0
        return min(self._share(standing) - standing.requests, MOST_REQUESTS - len(self.requests))

    def cancel(self, request: Request, why: SourceTrouble | None = None) -> Cancel:
        request.ending = True
        return Cancel(request, why)

    def _count(self) -> None:
        """How many requests a source is given at one time: one that has everything, and one that has a part."""
        others = [other for other in self.standings.values() if not other.dropped]
        if self.alone:
            self._shares = 1, 1
        elif not self.is_crowd:
            # Two at a source, lest it wait between them; but sources that are fast together need not wait for that.
            least = 1 if sum(other.rate for other in others) > FAST else 2
            self._shares = (max(least, -(-LANES // max(1, len(others)))),) * 2
        else:
            takers = 1 + sum(not other.complete for other in others)
            givers = sum(bool(other.have) for other in others)
            self._shares = max(2, -(-CROWD_SHARE // takers)), -(-CROWD_SHARE // max(1, givers))

    def _share(self, standing: Standing) -> int:
        if standing.bad:
            return 1
        return self._shares[0] if standing.complete else self._shares[1]

    def _on_parole(self) -> list[Request]:
        """Who has sent a bad piece keeps one request: all but the first are those that it has too many."""
        found: list[Request] = []
        for standing in self.standings.values():
            if standing.bad and not standing.dropped:
                found += [r for r in self.requests if r.standing is standing and not r.ending][1:]
        return found

    def _shorten(self) -> Iterator[Order]:
        """Once there is a crowd, who has everything chooses what to send: long runs of its are cut short."""
        if self.is_crowd and not self.sequential and not self.alone:
            for request in self.requests:
                if request.standing.complete and request.last > request.at and not request.ending:
                    yield Trim(request, request.at)

    def _hand_over(self, now: float) -> Iterator[Order]:
        """A piece that was taken from somebody goes to the one for whom it was taken."""
        inherited, self._inherited = self._inherited, []
        for heir, piece in inherited:
            if self.room(heir, now) > 0 and self.free & heir.have & 1 << piece:
                yield self._ask(heir, now, piece, piece)

    def _ask_all(self, now: float) -> Iterator[Order]:
        """One request more for each source in turn until nobody has room or nothing is left.

        The fastest comes first, but in a crowd whoever has the least to do: a slow moment must not leave it idle for
        good.
        """
        takers = list(self.standings.values())
        if self.is_crowd:
            self.chance.shuffle(takers)
            takers.sort(key=lambda standing: standing.requests)
        else:
            takers.sort(key=lambda standing: (standing.strikes, -standing.rate))
        while takers:
            takers = [standing for standing in takers if self.room(standing, now) > 0]
            for standing in list(takers):
                order = self._next_of(standing, now) if self.room(standing, now) > 0 else None
                if order is None:
                    takers.remove(standing)
                else:
                    yield order

    def _next_of(self, standing: Standing, now: float) -> Order | None:
        free = self.free & standing.have
        if self.is_crowd and not self.sequential and not self.alone:
            if standing.complete and standing.gives_next:
                return self._ask(standing, now, -1, -1) if self.free else None
            if free:
                piece = self._rarity.rarest(free)
                return self._ask(standing, now, piece, piece)
        if not free:
            return None
        first = lowest(free)
        return self._ask(standing, now, first, first + min(run_length(free, first), self._run(standing)) - 1)

    def _run(self, standing: Standing) -> int:
        """Pieces of its next request: what it brings in RUN_SECONDS, and no more than leaves work for the others."""
        if self.alone:
            return self.grid.count
        usual, least = (max(run, FIRST_RUN) // self.grid.piece_size for run in (standing.run, FIRST_RUN))
        fair = self.free.bit_count() // (2 * max(1, sum(self._share(other) for other in self.standings.values())))
        return max(1, min(usual, max(fair, least)))

    def _ask(self, standing: Standing, now: float, first: int, last: int) -> Ask:
        request = Request(standing, now, first, last, first)
        self.requests.append(request)
        standing.requests += 1
        self.busy |= request.pieces()
        return Ask(request)
