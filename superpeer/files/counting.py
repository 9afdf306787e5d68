"""Downloads counted, each fetch once: by the report of who fetched, or by the redirect of who will not report. Pure.

A downloader that was redirected and then reports has made one fetch: the report from the redirected address is not
counted again. What one reporter says of one file within a ROUND is about one fetch, however many sources it had.
"""

from collections import OrderedDict

ROUND = 3600.0  # seconds
REMEMBERED = 10_000  # redirects, and as many reports
Seen = OrderedDict[tuple[int, str | int], float]


class Counts:
    """Downloads that are still to be written, by file number."""

    def __init__(self) -> None:
        self._unwritten: dict[int, int] = {}
        self._redirected: Seen = OrderedDict()
        self._reported: Seen = OrderedDict()

    def redirected(self, n: int, address: str, now: float) -> None:
        """Somebody at this address was sent to a source."""
        self._add(n)
        _note(self._redirected, (n, address), now)

    def reported(self, n: int, reporter_n: int, address: str, now: float) -> None:
        """A peer at this address has fetched the file, or some of it from one of its sources."""
        known = self._reported.get((n, reporter_n))
        _note(self._reported, (n, reporter_n), now)
        sent = self._redirected.pop((n, address), None)
        if not _is_fresh(known, now) and not _is_fresh(sent, now):
            self._add(n)

    def _add(self, n: int) -> None:
        self._unwritten[n] = self._unwritten.get(n, 0) + 1

    def take(self) -> dict[int, int]:
        """What was counted since the last call; the caller writes it, or gives it back."""
        taken, self._unwritten = self._unwritten, {}
        return taken

    def give_back(self, counts: dict[int, int]) -> None:
        """These could not be written."""
        for n, count in counts.items():
            self._unwritten[n] = self._unwritten.get(n, 0) + count


def _is_fresh(at: float | None, now: float) -> bool:
    return at is not None and at >= now - ROUND


def _note(seen: Seen, key: tuple[int, str | int], now: float) -> None:
    seen[key] = now
    seen.move_to_end(key)
    if len(seen) > REMEMBERED:
        seen.popitem(last=False)
