"""A download as the queue keeps it, and what becomes of it. Pure."""

from msgspec import Struct

from common import errors

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds before another try
NO_SPACE_PAUSE = 10.0
OPEN = ("queued", "stalled")  # those that will be tried
FOR_GOOD = frozenset({"proof_failed", "invalid_path", "address_not_allowed", "file_not_found"})


class Record(Struct, frozen=True):
    """One row. `state`: queued, paused, stalled (it will be tried again), finished or failed."""

    id: str
    file_id: str
    folder: str
    name: str
    path: str
    size: int
    state: str
    added: float
    why: str = ""
    code: str = ""
    priority: int = 0
    sequential: bool = False
    verified: int = 0
    failures: int = 0
    sources: str = "[]"
    finished: float | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """What two downloads must not share."""
        return self.file_id, self.folder, self.name


def after(refusal: errors.Refusal, failures: int) -> tuple[str, float]:
    """(state, seconds until the next try) of a download that ended so, for the `failures`th time in a row."""
    if refusal.code in FOR_GOOD:
        return "failed", 0.0
    if isinstance(refusal, errors.NoSpace):
        return "stalled", NO_SPACE_PAUSE
    return "stalled", min(FIRST_PAUSE * 2.0 ** min(max(0, failures - 1), 30), LONGEST_PAUSE)
