"""Which piece of a whole file goes out next to a crowd, and when. Pure but for the futures of those who wait.

Measured: a crowd is as fast as its sources allow when the one who has everything sends nothing twice before all was
sent once, and chooses the piece when it has room, not when it is asked. Then all others have something to give.
"""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from common import errors
from common.content.pieces import all_of, lowest

AT_ONCE = 6  # pieces on their way, when a limit holds them up
MOST_AT_ONCE = 32
MOST_WAITING = 512
LOOK = 0.02  # seconds between two looks at whether the limit leaves room
REMEMBERED = 600.0  # seconds after the last request, for which it is known what was sent
MOST_FILES = 256
MOST_ASKERS = 1024  # that are counted of one file


@dataclass(slots=True)
class _Sent:
    """The pieces that were never sent, when somebody asked last, and how many pieces each asker was given."""

    never: int
    asked: float
    given: Counter[Hashable] = field(default_factory=Counter)


class Seeding:
    """What was sent once of each file that a crowd fetches."""

    def __init__(self) -> None:
        self._files: dict[str, _Sent] = {}

    def given(self, file_id: str, asker: Hashable) -> int:
        """How many pieces of this file the asker was given: whoever got the fewest is next.

        Not whoever has the fewest: one a little ahead of the others would get nothing that they have not, and then
        have nothing to give.
        """
        sent = self._files.get(file_id)
        return 0 if sent is None else sent.given[asker]

    def choose(self, file_id: str, count: int, has: int, asker: Hashable, now: float) -> int | None:
        """A piece that nobody was sent and the asker does not have; None when there is none."""
        self._forget(now)
        sent = self._files.setdefault(file_id, _Sent(all_of(count), now))
        sent.asked = now
        candidates = sent.never & ~has
        if not candidates:
            return None
        piece = lowest(candidates)
        if len(sent.given) >= MOST_ASKERS and asker not in sent.given:
            sent.given.clear()
        sent.given[asker] += 1
        sent.never &= ~(1 << piece)
        return piece

    def sent(self, file_id: str, count: int, pieces: int, now: float) -> None:
        """These pieces of a file went out otherwise."""
        self._forget(now)
        self._files.setdefault(file_id, _Sent(all_of(count), now)).never &= ~pieces

    def missed(self, file_id: str, piece: int) -> None:
        """The piece did not arrive."""
        if file_id in self._files:
            self._files[file_id].never |= 1 << piece

    def _forget(self, now: float) -> None:
        old = [file_id for file_id, sent in self._files.items() if now - sent.asked > REMEMBERED]
        old += list(self._files)[: max(0, len(self._files) - MOST_FILES)]
        for file_id in old:
            self._files.pop(file_id, None)


class Gate:
    """Lets through whoever has had the least, as soon as there is room. `is_drained`: the limit is used up."""

    def __init__(self, is_drained: Callable[[], bool]) -> None:
        self._is_drained = is_drained
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._active = 0
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, had: int, patience: float) -> AsyncIterator[None]:
        """Room for one piece, for somebody who has had so many. Raises Unavailable after `patience` seconds."""
        if len(self._waiting) >= MOST_WAITING:
            raise errors.Unavailable("too_many_requests", "Too many wait for a piece; try again.", retry_after=1)
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (had, next(self._order), turn))
        self._grant()
        try:
            async with asyncio.timeout(patience):
                await turn
        except TimeoutError:
            self._leave(turn)
            raise errors.Unavailable("too_many_requests", "There was no room for a piece; try again.") from None
        except BaseException:
            self._leave(turn)
            raise
        try:
            yield
        finally:
            self._active -= 1
            self._grant()

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Whoever waited does so no longer, though its turn may have come at this very moment."""
        if turn.done() and not turn.cancelled():
            self._active -= 1
            self._grant()
        else:
            self._waiting = [waiting for waiting in self._waiting if waiting[2] is not turn]
            heapq.heapify(self._waiting)

    def _grant(self) -> None:
        while self._waiting and self._has_room():
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._active += 1
                turn.set_result(None)
        if self._waiting and self._timer is None and self._active < MOST_AT_ONCE:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        self._timer = None
        self._grant()

    def _has_room(self) -> bool:
        return self._active < AT_ONCE or (self._active < MOST_AT_ONCE and not self._is_drained())
