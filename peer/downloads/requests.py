"""A request for pieces, and what may be ordered about it. Values."""

from dataclasses import dataclass

from common.content.pieces import run_of
from peer.downloads.standing import SourceTrouble, Standing

SHORTEST = 0.05  # seconds over which a speed is told


@dataclass(slots=True, eq=False)
class Request:
    """The pieces `first` to `last` of one source; `at` is the one on its way. While `first` is -1 the source has not
    chosen yet. `begun`: when its answer began. `ending`: it was told to stop. `heir`: who is to go on from there."""

    standing: Standing
    asked: float
    first: int
    last: int
    at: int
    begun: float | None = None
    received: int = 0
    ending: bool = False
    heir: Standing | None = None

    @property
    def is_open(self) -> bool:
        """The source is still to choose the piece."""
        return self.first < 0

    def pieces(self) -> int:
        """Those that it holds."""
        return 0 if self.is_open else run_of(self.at, self.last)

    def speed(self, now: float) -> float:
        """Bytes a second so far."""
        return 0.0 if self.begun is None else self.received / max(now - self.begun, SHORTEST)


@dataclass(frozen=True, slots=True)
class Ask:
    """Begin this request."""

    request: Request


@dataclass(frozen=True, slots=True)
class Trim:
    """Let this request end with piece `last`, or with the one on its way if that is later; then say `trimmed`."""

    request: Request
    last: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Break this request off; then say `ended`, with `why`."""

    request: Request
    why: SourceTrouble | None


Order = Ask | Trim | Cancel
