"""One run over real files: the network, what it is to be by the system's own tools, and what was not as it is said."""

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.network import PATIENCE, Network, names_of, until
from bench.report import line
from bench.samples import Source, offer_of

SEED = 7
MOST_NAMES = 65  # that a content is listed under
SHORTLY = 2.0  # seconds for what the step before has waited for already


@dataclass
class Run:
    """`missed` names the claims that did not hold."""

    network: Network
    extra: list[Source]
    """Files that nobody shares yet."""
    roots: dict[str, Path] = field(default_factory=dict)
    """The folder that each peer shares."""
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    missed: list[str] = field(default_factory=list)

    def take(self, count: int) -> list[Source]:
        """So many of the files that nobody shares yet."""
        taken, self.extra = self.extra[:count], self.extra[count:]
        return taken

    def claim(self, name: str, value: str, wanted: str, holds: bool) -> None:
        """One figure, and whether it is as it is said to be."""
        line(name, value, wanted, holds)
        if not holds:
            self.missed.append(name)

    def is_right(self, after: str) -> None:
        """Compares everything: what the disk holds with what is announced, path by path, and with what a search
        finds, file by file and name by name."""
        for name, root in self.roots.items():
            self.network.offers[name] = offer_of(root)
        until(lambda: not self._differences(), SHORTLY)
        found = self._differences()
        self.claim(f"  all is right {after}", found[0] if found else "yes", "as sha256sum says", not found)
        for more in found[1:10]:
            print(f"    {more}")

    def _differences(self) -> list[str]:
        announced = self.network.announced()
        told = []
        for name, offer in self.network.offers.items():
            there = announced.get(name, {})
            wrong = sorted(path for path, file_id in offer.items() if there.get(path) != file_id)
            told += [f"{name}: {there.get(path, 'nothing')[:8]} at {path}" for path in wrong]
            told += [f"{name}: too much, {path}" for path in sorted(there.keys() - offer.keys())]
        return told or self._differences_of_list()

    def _differences_of_list(self) -> list[str]:
        listed, sources, names = self.network.listed(), self.network.sources(), self.network.names()
        told = [f"not found: {file_id}" for file_id in sources.keys() - listed.keys()]
        told += [f"too much: {file_id}" for file_id in listed.keys() - sources.keys()]
        for file_id in listed.keys() & sources.keys():
            found, wanted = listed[file_id], names[file_id]
            if found["sources"] != len(sources[file_id]):
                told.append(f"{found['sources']} sources: {found['filename']} {file_id}")
            if len(wanted) <= MOST_NAMES and names_of(found) != wanted:
                told.append(f"other names: {sorted(names_of(found) ^ wanted)[0]} {file_id}")
        return told

    def until_whole(self, name: str, began: float, *peers: str, within: float = PATIENCE, anew: bool = False) -> None:
        """Waits until all is there again and prints how long it took; `anew`: each peer has had an answer since."""
        heard_since = time.time() - (time.monotonic() - began) if anew else 0.0
        whole = until(lambda: self.network.is_whole(*peers, heard_since=heard_since))
        took = time.monotonic() - began
        self.claim(name, f"{took:.2f} s" if whole else "never", f"within {within:g} s", whole and took <= within)
        if not whole:
            sys.exit(f"given up after {PATIENCE:g} s: no later step would tell anything")
