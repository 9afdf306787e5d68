"""Real files by the ten thousand, cut into parts that peers share, and what the system's own tools say is in them.

Whole folders are taken, in an order that is the same at each run on a machine: names, times, equal and empty files are
as they were found.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.trees import PLACES, real_files
from common.content.names import display_path
from peer.shares.tree import Rules

LARGEST = 64 * 1024 * 1024
CROWD = 3000  # files of one folder that are taken at most

Offer = dict[str, str]
"""What a peer offers: path in its catalogue → SHA-256."""
Source = tuple[Path, Path]
"""(a real file, where it goes below a share)."""


def parts(sizes: list[int], seed: int) -> list[list[Source]]:
    """Real files in as many parts as there are sizes, each of at least so many files. Raises ValueError if too few."""
    folders: dict[Path, list[Source]] = {}
    for path in real_files():
        target = _target(path)
        folders.setdefault(target.parent, []).append((path, target))
    order = sorted(folders)
    random.Random(seed).shuffle(order)
    left = iter(order)
    return [list(_part(folders, left, size)) for size in sizes]


def _part(folders: dict[Path, list[Source]], order: Iterator[Path], size: int) -> Iterator[Source]:
    made = 0
    while made < size:
        folder = next(order, None)
        if folder is None:
            raise ValueError("this machine has too few real files")
        for path, target in sorted(folders[folder])[:CROWD]:
            if path.stat().st_size <= LARGEST:
                made += 1
                yield path, target


def _target(path: Path) -> Path:
    """Below the place that it was found in, so that what is hidden above that does not count."""
    place = max((place for place in PLACES if path.is_relative_to(place)), key=len)
    return Path(Path(place).name) / path.relative_to(place)


def copy(files: list[Source], root: Path) -> Path:
    """Copies files with their times, but always writable; the root."""
    for path, target in files:
        to = root / target
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        stat = path.stat()
        os.utime(to, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return root


def sha256sums(root: Path) -> dict[Path, str]:
    """What `find` and `sha256sum` say of a tree: path below it → SHA-256."""
    # With -z no name is escaped; one process, as two would write into each other's lines.
    command = ["sh", "-c", "find . -type f -print0 | xargs -0 -r sha256sum -z"]
    told = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout
    lines = [line for line in told.split(b"\0") if line]
    sums = {Path(os.fsdecode(line[66:])): line[:64].decode() for line in lines}
    if len(sums) != sum(len(names) for _, _, names in os.walk(root)):
        raise RuntimeError(f"sha256sum told of {len(sums)} files below {root}, there are others")
    return sums


def offer_of(root: Path) -> Offer:
    """What a peer that shares `root` is to offer, by the system's tools: all but names that are never shared."""
    rules = Rules()
    return {
        f"{root.name}/{display_path(os.fsencode(path))}": digest
        for path, digest in sha256sums(root).items()
        if not any(rules.objection(os.fsencode(part)) for part in path.parts)
    }


def size_of(root: Path) -> int:
    """Bytes of all files below."""
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(root) for name in names)


def crowded_folder(root: Path, count: int) -> Path:
    """The folder below `root` with the fewest files in all that has at least `count`."""
    counts: dict[Path, int] = {}
    for folder, _, names in os.walk(root):
        at = Path(folder)
        while at != root:
            counts[at] = counts.get(at, 0) + len(names)
            at = at.parent
    return min((folder for folder in counts if counts[folder] >= count), key=lambda folder: (counts[folder], folder))
