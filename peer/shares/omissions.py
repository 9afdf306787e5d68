"""Tells in the log what a share does not offer and why: in numbers, and only when they are others than before."""

import logging
from collections import Counter
from collections.abc import Mapping

from peer.shares.share import Share

log = logging.getLogger("shoal.shares")

UNREADABLE = frozenset(("unreadable", "denied", "failed"))


class Omissions:
    """Counts by share and reason."""

    def __init__(self) -> None:
        self._left_out: dict[int, Counter[str]] = {}
        self._refused: dict[int, Counter[str]] = {}
        self._told: dict[int, Counter[str]] = {}

    def begin(self, share: int) -> None:
        """A walk through the whole share begins: what could not be hashed is counted anew."""
        self._refused.pop(share, None)

    def walked(self, share: int, left_out: Counter[str]) -> None:
        """It has ended, and this was left out."""
        self._left_out[share] = left_out

    def refused(self, share: int, reason: str) -> None:
        """A file could not be hashed."""
        self._refused.setdefault(share, Counter())[reason] += 1

    def of(self, share: int) -> Counter[str]:
        """What was left out by the last walk and since."""
        return self._left_out.get(share, Counter()) + self._refused.get(share, Counter())

    def tell(self, shares: Mapping[int, Share]) -> None:
        """Logs what is news, once everything has been looked at."""
        for share in shares.values():
            counts = self.of(share.id)
            if counts != self._told.get(share.id, Counter()):
                self._told[share.id] = counts
                level = logging.WARNING if UNREADABLE & counts.keys() else logging.INFO
                log.log(
                    level, "not everything is offered", extra={"share": share.label, **dict(sorted(counts.items()))}
                )
