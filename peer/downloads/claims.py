"""Which manifest is believed. Values in, a choice out.

Guarantees: a source is judged only by the manifest under which it offers. A manifest that turned out to be false is
blamed on those who claimed the whole file under it, and on nobody else: a source with a part of the file may have been
deceived itself. Sources that claim different manifests are never mixed.

A source without a manifest stands for itself alone: nothing proves its pieces before the whole is there.
"""

from dataclasses import dataclass, field

from common.wire.files import Source
from peer.downloads.standing import LONGEST_PAUSE, SourceTrouble

ATTEMPTS = 3
ALONE = "alone "


def alone(url: str) -> str:
    """The claim of a source that has no manifest."""
    return f"{ALONE}{url}"


def is_alone(claim: str) -> bool:
    """Whether it is no manifest's digest."""
    return claim.startswith(ALONE)


@dataclass(slots=True)
class Claimant:
    """A source and the `claim` it makes: a manifest's digest, or that it stands alone; None while it is not known."""

    source: Source
    claim: str | None
    asking: bool = False
    not_before: float = 0.0
    failed: int = 0
    trouble: SourceTrouble | None = None


@dataclass(slots=True)
class Claims:
    """The sources of one file by what they claim. `false`: claims that were found out; `blamed`: who made them."""

    has_one_piece: bool
    claimants: dict[str, Claimant] = field(default_factory=dict)
    false: set[str] = field(default_factory=set)
    blamed: set[str] = field(default_factory=set)

    def tell(self, source: Source) -> Claimant:
        """A source is there; its announcement may say what it claims. A new claim takes the old one's place."""
        announced = alone(source.url) if self.has_one_piece else source.manifest
        known = self.claimants.get(source.url)
        if known is None:
            known = self.claimants[source.url] = Claimant(source, announced)
        else:
            known.source = source
            known.claim = announced or known.claim
        return known

    def learned(self, url: str, claim: str) -> None:
        """A source said what it claims."""
        claimant = self.claimants[url]
        claimant.claim, claimant.asking, claimant.failed = claim, False, 0

    def not_learned(self, url: str, trouble: SourceTrouble, now: float) -> None:
        """A source did not say it; one that cannot is taken to have no manifest, one that is away is asked again."""
        claimant = self.claimants[url]
        claimant.asking, claimant.trouble = False, trouble
        if trouble.outcome == "refused":
            claimant.claim = alone(url) if claimant.source.complete else claimant.claim
        if trouble.outcome != "busy":
            claimant.failed += 1
        pause = trouble.retry_after if trouble.retry_after is not None else 2.0 ** (claimant.failed - 1)
        claimant.not_before = now + min(max(pause, 0.1), LONGEST_PAUSE)

    def to_ask(self, now: float) -> list[Source]:
        """Sources that are to be asked what they claim; counts as asked."""
        asked = [c for c in self._usable() if c.claim is None and not c.asking and c.not_before <= now]
        asked = [c for c in asked if c.failed < ATTEMPTS and c.source.complete]
        for claimant in asked:
            claimant.asking = True
        return [claimant.source for claimant in asked]

    def best(self, gone: frozenset[str] = frozenset()) -> str | None:
        """The claim to follow, of sources that are not `gone`: manifests before sources alone; among these, what the
        best reputed say who have all of the file, then what most say. None when there is none yet."""
        weights: dict[str, tuple[bool, int, int]] = {}
        for claimant in self._usable():
            claim = claimant.claim
            if claim is not None and claim not in self.false and claimant.source.url not in gone:
                _, whole, votes = weights.get(claim, (True, 0, 0))
                whole += claimant.source.reputation + 1 if claimant.source.complete else 0
                weights[claim] = (not is_alone(claim), whole, votes + 1)
        return max(weights, key=weights.__getitem__) if weights else None

    def under(self, claim: str) -> list[Source]:
        """The sources that make this claim."""
        return [claimant.source for claimant in self._usable() if claimant.claim == claim]

    def refute(self, claim: str) -> list[Source]:
        """The file under this claim is not the file: who claimed to have all of it is not asked again."""
        self.false.add(claim)
        guilty = [source for source in self.under(claim) if source.complete]
        self.blamed.update(source.url for source in guilty)
        return guilty

    def troubles(self) -> list[SourceTrouble]:
        """Why sources do not say what they claim."""
        return [c.trouble for c in self.claimants.values() if c.trouble is not None and c.claim is None]

    def may_learn(self) -> bool:
        """Whether some source may yet say what it claims."""
        return any(c.claim is None and c.source.complete and c.failed < ATTEMPTS for c in self._usable())

    def _usable(self) -> list[Claimant]:
        return [claimant for url, claimant in self.claimants.items() if url not in self.blamed]
