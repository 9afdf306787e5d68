"""What is being hashed: nothing is hashed twice at one time, and nothing is written of what is no longer there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from peer.shares.agenda import Place
from peer.shares.hash_process import Outcome
from peer.shares.hasher import Group
from peer.shares.store import Proof
from peer.shares.tree import Seen


class Verdict(NamedTuple):
    """What came of some files; each with its place."""

    proofs: list[Proof]
    changed: list[tuple[Place, bytes]]
    """They were written while they were read, or are another kind of thing now."""
    refused: list[tuple[Place, bytes, str]]
    """They cannot be read; the reason is "denied" or "failed"."""


class Underway:
    """Files from when they are submitted until their outcome is written."""

    def __init__(self) -> None:
        self._files: dict[Place, dict[bytes, Seen]] = {}

    def of(self, place: Place) -> Mapping[bytes, Seen]:
        """Those of one folder, by name."""
        return self._files.get(place, {})

    def add(self, groups: Iterable[Group]) -> None:
        """These are submitted; each takes the place of an earlier state of the same file."""
        for group in groups:
            files = self._files.setdefault(Place(group.share, group.folder), {})
            files.update((file.name, file) for file in group.files)

    def drop(self, place: Place, name: bytes) -> None:
        """What comes of this file does not matter any more."""
        files = self._files.get(place)
        if files and files.pop(name, None) and not files:
            del self._files[place]

    def forget(self, share: int) -> None:
        """Nothing of this share matters any more."""
        self._files = {place: files for place, files in self._files.items() if place.share != share}

    def judge(self, group: Group, outcomes: Sequence[Outcome]) -> Verdict:
        """What the outcomes mean, of those that still matter."""
        verdict = Verdict([], [], [])
        place = Place(group.share, group.folder)
        files = self.of(place)
        for file, outcome in zip(group.files, outcomes, strict=True):
            if files.get(file.name) is not file:
                continue
            if isinstance(outcome, tuple):
                verdict.proofs.append(Proof(place, file, *outcome))
            elif outcome in ("gone", "changed"):
                verdict.changed.append((place, file.name))
            else:
                verdict.refused.append((place, file.name, outcome))
        return verdict

    def shares(self) -> set[int]:
        """The shares that something is being hashed of."""
        return {place.share for place in self._files}

    def __len__(self) -> int:
        return sum(map(len, self._files.values()))
