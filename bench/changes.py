"""Changes to a shared folder, each prepared before it is made, so that what is to be offered then is known at once."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.samples import Offer, Source, copy, crowded_folder


class Change(NamedTuple):
    """`make` makes it; `after` is the offer then; so many files are to be hashed for it."""

    what: str
    make: Callable[[], object]
    after: Offer
    hashed: int


def edits(root: Path, offer: Offer, count: int, chance: random.Random) -> Change:
    """Something is written at the end of some files."""
    after, tails = dict(offer), dict[Path, bytes]()
    for path in _some(offer, count, chance):
        tails[root.parent / path] = tail = f"\nedited: {len(tails)}\n".encode()
        after[path] = hashlib.sha256((root.parent / path).read_bytes() + tail).hexdigest()
    return Change(f"{count} files edited", lambda: _append(tails), after, count)


def renames(root: Path, offer: Offer, count: int, chance: random.Random) -> Change:
    """Some files get other names, where they are."""
    after, names = dict(offer), dict[Path, Path]()
    for path in _some(offer, count, chance):
        folder, _, name = path.rpartition("/")
        new = f"{folder}/renamed {len(names)} {name}"
        names[root.parent / path] = root.parent / new
        after[new] = after.pop(path)
    return Change(f"{count} files renamed", lambda: _rename(names), after, 0)


def folder_rename(root: Path, offer: Offer, at_least: int) -> Change:
    """A folder gets another name."""
    folder = crowded_folder(root, at_least)
    new = folder.with_name(f"{folder.name} renamed")
    old_prefix, new_prefix = (f"{path.relative_to(root.parent)}/" for path in (folder, new))

    def path_after(path: str) -> str:
        return new_prefix + path.removeprefix(old_prefix) if path.startswith(old_prefix) else path

    after = {path_after(path): digest for path, digest in offer.items()}
    moved = len(after.keys() - offer.keys())
    return Change(f"a folder of {moved:,} files renamed", lambda: _rename({folder: new}), after, 0)


def deletions(root: Path, offer: Offer, count: int, chance: random.Random) -> Change:
    """Some files are deleted."""
    gone = _some(offer, count, chance)
    after = {path: digest for path, digest in offer.items() if path not in gone}
    return Change(f"{count} files deleted", lambda: _delete(root.parent, gone), after, 0)


def additions(root: Path, offer: Offer, files: list[Source], below: str) -> Change:
    """Files are copied into a new folder."""
    after, hashed = dict(offer), 0
    for path, target in files:
        content = path.read_bytes()
        hashed += bool(content)
        after[f"{root.name}/{below}/{target}"] = hashlib.sha256(content).hexdigest()
    return Change(f"{len(files):,} files added", lambda: copy(files, root / below), after, hashed)


def _some(offer: Offer, count: int, chance: random.Random) -> set[str]:
    return set(chance.sample(sorted(offer), count))


def _append(tails: dict[Path, bytes]) -> None:
    for path, tail in tails.items():
        with path.open("ab") as file:
            file.write(tail)


def _rename(names: dict[Path, Path]) -> None:
    for old, new in names.items():
        old.rename(new)


def _delete(folder: Path, paths: set[str]) -> None:
    for path in paths:
        (folder / path).unlink()
