"""News of files without floods: the first of a moment are told one by one, the rest as a count. Pure."""

from collections import Counter

WINDOW = 1.0  # seconds
SINGLE = 10  # told one by one, for each peer and window


class Bursts:
    """What was announced by whom in the present window, for one kind of news."""

    def __init__(self) -> None:
        self._began = float("-inf")
        self._told: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    def take(self, peer_id: str, ids: list[str], monotonic: float) -> list[str]:
        """The ids to tell one by one now; the others are counted."""
        if monotonic - self._began >= WINDOW:
            self._began = monotonic
            self._told.clear()
        room = max(0, SINGLE - self._told[peer_id])
        # A burst is told as one from its beginning: ten of ten thousand say nothing.
        single = ids if len(ids) <= room else []
        self._told[peer_id] += len(ids)
        self._held[peer_id] += len(ids) - len(single)
        return single

    def due(self) -> dict[str, int]:
        """The counts gathered since the last call, by peer."""
        held = {peer_id: count for peer_id, count in self._held.items() if count}
        self._held.clear()
        return held
