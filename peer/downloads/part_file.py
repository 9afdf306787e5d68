"""The file on disk while it is fetched, and its one way to its final name.

Bytes gather in any order in `NAME.<first 8 digits of the id>.part` beside the target: one process at a time holds it,
it survives whoever began it, and no other program's file is taken for it. Nothing else is kept of a transfer: which
pieces are there is found out by their hashes. The final name appears only through `publish`, which replaces nothing.
Links are not followed, only regular files touched, and no byte is written beyond `size`.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from common import errors
from common.content.grid import Span
from common.content.names import free_name
from common.ids import FileId, is_file_id
from common.runtime.obstacles import remedy
from common.runtime.units import format_size

MAX_COMPONENT = 255  # bytes that disks take for a name
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch and where to put it: `name` is one component, used as it is; `size` in bytes, as announced."""

    id: FileId
    size: int
    folder: str
    name: str

    def __post_init__(self) -> None:
        if not is_file_id(self.id) or self.size < 0 or self.name in ("", ".", "..") or "/" in self.name:
            raise ValueError("this cannot be fetched")


class PartFile:
    """Holds one part file open; its calls block, and `write_at` and `read_into` may come from any thread."""

    def __init__(self, wanted: Wanted) -> None:
        """Takes up what was begun, or begins. Raises Invalid (invalid_path), Conflict (download_running), NoSpace."""
        self._wanted = wanted
        self.name = part_name(wanted.name, wanted.id)
        self.path = os.path.join(wanted.folder, self.name)
        self._published = False
        with contextlib.ExitStack() as undo, self._explained():
            self._folder = os.open(wanted.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            undo.callback(os.close, self._folder)
            self._file = self._open()
            undo.pop_all()
            undo.callback(self.close)
            self._take_up()
            undo.pop_all()

    def _open(self) -> int:
        while True:
            file = os.open(self.name, _OPEN, 0o666, dir_fd=self._folder)
            with contextlib.ExitStack() as undo:
                undo.callback(os.close, file)
                self._lock(file)
                if self._is_named(file):
                    undo.pop_all()
                    return file

    def _lock(self, file: int) -> None:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise errors.Invalid("invalid_path", f"{self.path} is not a regular file. Move it away.")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            detail = f"Another process is fetching this file into {self.path}. Wait for it, or stop it."
            raise errors.Conflict("download_running", detail) from None
        except OSError:
            pass  # a disk without locks

    def _is_named(self, file: int) -> bool:
        """False for a file published before it could be locked, or by a run killed before it dropped this name."""
        opened, named = os.fstat(file), self._stat(self.name)
        if named is None or not os.path.samestat(opened, named):
            return False
        if opened.st_nlink > 1:
            self._remove()
        return opened.st_nlink <= 1

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _take_up(self) -> None:
        if os.fstat(self._file).st_size > self._wanted.size:
            self.restart()
        self.check_space()

    def check_space(self) -> None:
        """Raises NoSpace when what is still to come does not fit on the disk."""
        space = os.fstatvfs(self._folder)
        free = space.f_bavail * space.f_frsize
        missing = self._wanted.size - os.fstat(self._file).st_blocks * 512
        if missing > free:
            raise errors.NoSpace(
                "disk_full",
                f"{format_size(missing)} are still to come, {self._wanted.folder} has room for {format_size(free)}. "
                "Free some space there, or choose a folder on another disk.",
            )

    def write_at(self, data: memoryview, offset: int) -> None:
        """Writes bytes where they belong. Raises NoSpace, Invalid."""
        if offset + len(data) > self._wanted.size:
            raise ValueError("more bytes than the file has")
        with self._explained():
            while data:
                written = os.pwrite(self._file, data, offset)
                data, offset = data[written:], offset + written

    def extents(self) -> list[Span]:
        """Where bytes lie; a disk that does not tell has them everywhere up to the end."""
        size, position, found = os.fstat(self._file).st_size, 0, []
        while position < size:
            try:
                start = os.lseek(self._file, position, os.SEEK_DATA)
                position = os.lseek(self._file, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                start, position = position, size
            found.append(Span(start, position))
        return found

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Reads back what is there."""
        return os.preadv(self._file, [buffer], offset)

    def duplicate(self) -> int:
        """A descriptor for reading what is there; it stays good when the file is named, and does not hold it."""
        try:
            return os.open(f"/proc/self/fd/{self._file}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return os.dup(self._file)

    def restart(self) -> None:
        """Throws away what is there."""
        with self._explained():
            os.ftruncate(self._file, 0)

    def flush(self) -> None:
        """What is there survives a loss of power once this returns."""
        with self._explained():
            os.fsync(self._file)

    def publish(self) -> str:
        """Gives the flushed part its name, or `NAME (2)` and so on where that is taken; returns the path."""
        with self._explained():
            name = self._place()
            self._published = True
            self._remove()
            os.fsync(self._folder)
        return os.path.join(self._wanted.folder, name)

    def _place(self) -> str:
        while True:
            name = free_name(self._wanted.name, lambda candidate: self._stat(candidate) is not None)
            try:
                os.link(self.name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
            except FileExistsError:
                continue  # somebody took it in between
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                os.rename(self.name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            return name

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self._folder)

    def close(self) -> None:
        """Lets go of it; a part without a byte is not kept."""
        if not self._published and not os.fstat(self._file).st_size:
            self._remove()
        file, self._file = self._file, -1  # what comes too late must not meet another file of the same number
        os.close(file)
        os.close(self._folder)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What the disk refuses, as a Refusal that says what to do."""
        try:
            yield
        except OSError as error:
            raise refusal_of(error, self.path) from error


def drop_published(wanted: Wanted, path: str) -> None:
    """Removes the part's name where a killed run left it beside `path`, to which it had published the part already."""
    part = os.path.join(wanted.folder, part_name(wanted.name, wanted.id))
    with contextlib.suppress(OSError):
        if os.path.samestat(os.lstat(part), os.lstat(path)):
            os.unlink(part)


def discard(wanted: Wanted) -> None:
    """Removes the part of a file that is not wanted any more."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(wanted.folder, part_name(wanted.name, wanted.id)))


def part_name(name: str, file_id: FileId) -> str:
    """The name under which this content gathers for the target `name`; at most 255 bytes."""
    ending = f".{file_id[:8]}.part"
    whole, room = os.fsencode(name), MAX_COMPONENT - len(ending)
    return (name if len(whole) <= room else whole[:room].decode("utf-8", "ignore")) + ending


def refusal_of(error: OSError, path: str) -> errors.Refusal:
    """What the system will not do at `path`, with what to do about it."""
    if error.errno in _FULL:
        detail = f"No room is left for {path}. Free some space and fetch again: what came so far is kept."
        return errors.NoSpace("disk_full", detail)
    if error.errno == errno.EFBIG:
        detail = f"{path} would be larger than files may be there. Choose a folder on another disk."
        return errors.NoSpace("disk_full", detail)
    words = remedy(error)
    instead = f"{words[0].upper()}{words[1:]}, or choose" if words else "Choose"
    detail = f"{path} cannot be written: {error.strerror or error}. {instead} another folder."
    return errors.Invalid("invalid_path", detail)
