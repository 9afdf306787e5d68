"""Events of files, at most so many a second: a burst is not told file by file; whoever wants all asks for the list."""

from collections.abc import Callable

from common.runtime.clock import Clock
from common.wire.files import SharedFile

MOST_TOLD = 50
"""Events a second."""

Tell = Callable[[str, SharedFile], None]
"""Called with `file_added`, `file_removed`, `file_shared` or `file_unshared`; of very many at once, with some."""


class Telling:
    """Passes some on to `tell`."""

    def __init__(self, tell: Tell, clock: Clock) -> None:
        self._tell = tell
        self._clock = clock
        self._told: tuple[float, int] = (clock.monotonic(), 0)

    def some(self, kind: str, file: SharedFile) -> None:
        """Tells it, unless enough was told in this second."""
        now = self._clock.monotonic()
        if now - self._told[0] >= 1.0:
            self._told = (now, 0)
        if self._told[1] < MOST_TOLD:
            self._told = (self._told[0], self._told[1] + 1)
            self._tell(kind, file)
