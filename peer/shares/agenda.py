"""What is to be looked at, and when. Pure: it holds no clock and touches no disk.

Names come before folders, and folders that something happened in before sweeps through whole shares. Many names of one
folder become the folder, so a burst of notices takes little room.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

CROWD = 2000
"""Names of one folder after which it is the folder that is looked at."""
NAMES = 1000
"""Names to look at in one go."""


class Place(NamedTuple):
    """A folder of a share."""

    share: int
    folder: bytes


class Agenda:
    """Times are seconds of one clock, whichever."""

    def __init__(self) -> None:
        self._names: dict[Place, set[bytes]] = {}
        self._folders: dict[Place, None] = {}
        self._sweeps: dict[int, None] = {}
        self._later: list[tuple[float, Place, bytes]] = []  # no name: the folder
        self._put_off: set[tuple[Place, bytes]] = set()

    def look(self, place: Place, names: Iterable[bytes]) -> None:
        """Look at some names of a folder, as soon as possible."""
        waiting = self._names.setdefault(place, set())
        waiting.update(names)
        if len(waiting) > CROWD:
            del self._names[place]
            self.walk(place)

    def notice(self, place: Place, name: bytes) -> None:
        """Something happened to a name. One that is put off is looked at in time, however often that happens."""
        if (place, name) not in self._put_off:
            self.look(place, (name,))

    def walk(self, place: Place) -> None:
        """Look at a folder and all below it."""
        if place.folder:
            self._folders[place] = None
        else:
            self.sweep(place.share)

    def sweep(self, share: int) -> None:
        """Look at a whole share, when there is nothing else."""
        self._sweeps[share] = None

    def look_at(self, when: float, place: Place, name: bytes) -> None:
        """Look at one name, not before `when`."""
        if (place, name) not in self._put_off:
            self._put_off.add((place, name))
            heapq.heappush(self._later, (when, place, name))

    def walk_at(self, when: float, place: Place) -> None:
        """Look at a folder and all below it, not before `when`."""
        heapq.heappush(self._later, (when, place, b""))

    def forget(self, share: int) -> None:
        """Nothing of this share matters any more."""
        self._names = {place: names for place, names in self._names.items() if place.share != share}
        self._folders = {place: None for place in self._folders if place.share != share}
        self._later = [item for item in self._later if item[1].share != share]
        heapq.heapify(self._later)
        self._put_off = {(place, name) for place, name in self._put_off if place.share != share}
        self._sweeps.pop(share, None)

    def next_names(self, now: float) -> tuple[Place, list[bytes]] | None:
        """Some names to look at now."""
        self._come_due(now)
        for place, names in self._names.items():
            some = [names.pop() for _ in range(min(len(names), NAMES))]
            if not names:
                del self._names[place]
            return place, some
        return None

    def next_folder(self) -> Place | None:
        """A folder to walk through now."""
        for place in self._folders:
            del self._folders[place]
            return place
        return None

    def next_sweep(self) -> Place | None:
        """The root of a share to walk through when nothing else is to be done."""
        for share in self._sweeps:
            del self._sweeps[share]
            return Place(share, b"")
        return None

    def has_work(self, now: float) -> bool:
        """Whether something is to be looked at now."""
        self._come_due(now)
        return bool(self._names or self._folders or self._sweeps)

    def awaits(self, place: Place, name: bytes) -> bool:
        """Whether a name is to be looked at, now or later, by itself or with its folder."""
        names = self._names.get(place, ())
        return name in names or (place, name) in self._put_off or place in self._folders

    def sweeps(self) -> set[int]:
        """The shares to be walked through."""
        return set(self._sweeps)

    def due(self) -> float | None:
        """When the next of what was put off comes due."""
        return self._later[0][0] if self._later else None

    def __bool__(self) -> bool:
        return bool(self._names or self._folders or self._sweeps or self._later)

    def _come_due(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, place, name = heapq.heappop(self._later)
            self._put_off.discard((place, name))
            if name:
                self.look(place, (name,))
            else:
                self.walk(place)
