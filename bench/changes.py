"""Changes to a shared folder, each prepared before it is made, so that what is to be offered then is known at once."""

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.samples import Offer, Source, copy, crowded_folder
from common.ids import EMPTY_FILE_ID

Edit = Callable[[Path, bytes], None]


class Change(NamedTuple):
    """`make` makes it; `after` is the offer then; so many files are to be hashed for it."""

    what: str
    make: Callable[[], object]
    after: Offer
    hashed: int


def edits(root: Path, offer: Offer, count: int, chance: random.Random) -> Change:
    """Of some files a part gets more, a part is emptied, a part is replaced as editors do when they save."""
    after, steps, hashed = dict(offer), list[tuple[Edit, Path, bytes]](), 0
    for number, path in enumerate(sorted(_some(offer, count, chance))):
        edit, file = (_append, _empty, _replace)[number % 3], root.parent / path
        text = f"\nedited: {number}\n".encode()
        after[path] = EMPTY_FILE_ID if edit is _empty else hashlib.sha256(file.read_bytes() + text).hexdigest()
        hashed += edit is not _empty
        steps.append((edit, file, text))
    return Change(f"{count} files edited", lambda: [edit(file, text) for edit, file, text in steps], after, hashed)


def renames(root: Path, offer: Offer, count: int, chance: random.Random) -> Change:
    """Some files get other names, every second one in another folder."""
    after, names = dict(offer), dict[Path, Path]()
    for number, path in enumerate(sorted(_some(offer, count, chance))):
        folder, _, name = path.rpartition("/")
        new = f"{(folder, f'{root.name}/moved')[number % 2]}/renamed {number} {name}"
        names[root.parent / path] = root.parent / new
        after[new] = after.pop(path)
    return Change(f"{count} files renamed", lambda: _rename(names), after, 0)


def overwritings(root: Path, offer: Offer, count: int, chance: random.Random) -> Change:
    """Some files get the names of others, which are gone then."""
    after, names = dict(offer), dict[Path, Path]()
    chosen = chance.sample(sorted(offer), 2 * count)
    for old, new in zip(chosen[:count], chosen[count:], strict=True):
        names[root.parent / old] = root.parent / new
        after[new] = after.pop(old)
    return Change(f"{count} files renamed to names of others", lambda: _rename(names), after, 0)


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


def folder_deletion(root: Path, offer: Offer, at_least: int) -> Change:
    """A folder is deleted with all that is in it."""
    folder = crowded_folder(root, at_least)
    prefix = f"{folder.relative_to(root.parent)}/"
    after = {path: digest for path, digest in offer.items() if not path.startswith(prefix)}
    return Change(f"a folder of {len(offer) - len(after):,} files deleted", lambda: shutil.rmtree(folder), after, 0)


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


def _append(file: Path, text: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(text)


def _empty(file: Path, text: bytes) -> None:
    file.write_bytes(b"")


def _replace(file: Path, text: bytes) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(file.read_bytes() + text)
    beside.replace(file)


def _rename(names: dict[Path, Path]) -> None:
    for old, new in names.items():
        new.parent.mkdir(exist_ok=True)
        old.replace(new)


def _delete(folder: Path, paths: set[str]) -> None:
    for path in paths:
        (folder / path).unlink()
