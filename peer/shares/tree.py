"""Reading a folder tree, folder by folder, without ever holding more of it than some thousand names.

Links are not followed, other kinds than folders and regular files are passed over, and so is what the Rules leave out.
A folder that cannot be read is reported, not raised.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from peer.shares.disk import ABSENT, DENIED, EXHAUSTED, FolderPath, signed
from peer.shares.forbidden import is_key_like, is_unfinished

LISTING_SIZE = 1000
_DOT = ord(".")
_DATABASES = (b"superpeer.sqlite", b"library.db")
LONGEST_FOLDER = 16 * 1024  # bytes; what a catalogue can name ends far before


class Seen(NamedTuple):
    """A regular file as a look at its folder shows it."""

    name: bytes
    size: int
    mtime_ns: int
    inode: int
    device: int
    ctime_ns: int


class Listing(NamedTuple):
    """A folder as a whole, or, where it is large, some of its files; the subfolders come with the last of them.

    `fd` is the open folder, until the next listing is asked for.
    """

    fd: int
    folder: bytes
    device: int
    files: list[Seen]
    folders: list[bytes]
    is_whole: bool
    is_last: bool


class Closed(NamedTuple):
    """A folder that was not read: it is "gone", "excluded" by the rules, reading was "denied", or it "failed"."""

    folder: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What is left out: hidden names, key-like names, daemons' data folders, and the folders in `closed`, known by path
    or by identity."""

    include_hidden: bool = False
    closed: frozenset[bytes] = frozenset()
    closed_ids: frozenset[tuple[int, int]] = frozenset()
    """(device, inode) pairs."""

    def objection(self, name: bytes) -> str:
        """Why a name is left out, empty when it is not."""
        if name[0] == _DOT and not self.include_hidden:
            return "hidden"
        if is_key_like(name):
            return "key_like"
        return "unfinished" if is_unfinished(name) else ""

    def enters(self, path: bytes, fd: int) -> bool:
        """Whether an open folder, known by its absolute path, is read."""
        if path in self.closed or is_data_folder(fd):
            return False
        if not self.closed_ids:
            return True
        found = os.fstat(fd)
        return (found.st_dev, found.st_ino) not in self.closed_ids


def walk(
    root: bytes,
    rules: Rules,
    start: bytes = b"",
    skipped: Counter[str] | None = None,
    on_enter: Callable[[bytes, int], None] = lambda folder, fd: None,
) -> Iterator[Listing | Closed]:
    """Every folder from `start` (relative to `root`) downwards. `on_enter(folder, fd)` comes before each is read."""
    counted = Counter[str]() if skipped is None else skipped
    path = FolderPath(root)
    stack = [start]
    try:
        while stack:
            folder = stack.pop()
            try:
                fd = path.open(folder)
                if not rules.enters(join(root, folder), fd):
                    yield Closed(folder, "excluded")
                    continue
                on_enter(folder, fd)
                for listing in list_folder(fd, folder, rules, counted):
                    if len(folder) < LONGEST_FOLDER:
                        stack += [join(folder, name) for name in listing.folders]
                    yield listing
            except OSError as error:
                yield Closed(folder, closing_reason(error))
    finally:
        path.close()


def is_data_folder(fd: int) -> bool:
    """Whether an open folder is where a daemon keeps its database, be it ours or another's."""
    return _has(fd, b"lock") and any(_has(fd, name) for name in _DATABASES)


def _has(fd: int, name: bytes) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


def list_folder(fd: int, folder: bytes, rules: Rules, skipped: Counter[str]) -> Iterator[Listing]:
    """What lies in an open folder, in pieces. Raises OSError."""
    device = signed(os.fstat(fd).st_dev)
    files: list[Seen] = []
    folders: list[bytes] = []
    is_whole = True
    objection = rules.objection
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if why := objection(name):
                skipped[why] += 1
            elif entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_file(follow_symlinks=False):
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted since its folder was read
                files.append(seen(name, found))
                if len(files) > LISTING_SIZE:
                    yield Listing(fd, folder, device, files, [], is_whole=False, is_last=False)
                    files, is_whole = [], False
            else:
                skipped["link" if entry.is_symlink() else "not_regular"] += 1
    yield Listing(fd, folder, device, files, folders, is_whole, is_last=True)


def seen(name: bytes, found: os.stat_result) -> Seen:
    """What `lstat` says of a file."""
    inode, device = signed(found.st_ino), signed(found.st_dev)
    return Seen(name, found.st_size, signed(found.st_mtime_ns), inode, device, found.st_ctime_ns)


def join(folder: bytes, name: bytes) -> bytes:
    """`folder/name`, where either may be empty."""
    return folder + b"/" + name if folder and name else folder or name


def closing_reason(error: OSError) -> str:
    """What an error says of a folder. Raises `error` again when it says nothing of it."""
    if error.errno in EXHAUSTED:
        raise error
    if error.errno in ABSENT:
        return "gone"
    return "denied" if error.errno in DENIED else "failed"
