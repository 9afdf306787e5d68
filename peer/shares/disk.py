"""The one way to a file of a share: component by component from the share's root, through descriptors.

Guarantees: no link is ever followed (neither the root itself nor anything below it), so that whatever somebody swaps in
meanwhile, what is opened lies inside; only regular files come out of `open_inside`; nothing blocks on a FIFO.
"""

import errno
import os
import stat

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = _FLAGS | os.O_DIRECTORY
_LIMIT = 1 << 63
_NO_NAMES = (b"", b".", b"..")

# What it means for a file or folder that it cannot be opened: it is not there (any more), or it may not be read.
ABSENT = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR))
DENIED = frozenset((errno.EACCES, errno.EPERM))
# The process is short of something: no word about the file at all.
EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR))


def open_folder(root: bytes, folder: bytes = b"") -> int:
    """A descriptor of `folder`, which is relative to `root`, `/`-separated; empty is the root. Raises OSError."""
    return _descend(os.open(root, _FOLDER), folder.split(b"/") if folder else [])


def _descend(fd: int, parts: list[bytes]) -> int:
    """A descriptor of the folder so far below `fd`, which is closed."""
    for part in parts:
        try:
            inner = os.open(_name(part), _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


class FolderPath:
    """The folders from a root down to the one opened last, kept open: the next is seldom far from it.

    Descriptors belong to the path: good until the next `open`. No more than DEEPEST of them stay open.
    """

    DEEPEST = 48

    def __init__(self, root: bytes) -> None:
        self.root = root
        self._parts: list[bytes] = []
        self._fds: list[int] = []
        self._below = -1

    def open(self, folder: bytes) -> int:
        """What `open_folder` does, from where both paths part. Raises OSError."""
        parts = folder.split(b"/") if folder else []
        self._close(_common(self._parts, parts))
        if not self._fds:
            self._fds.append(os.open(self.root, _FOLDER))
        for part in parts[len(self._parts) : self.DEEPEST]:
            self._fds.append(os.open(_name(part), _FOLDER, dir_fd=self._fds[-1]))
            self._parts.append(part)
        if len(parts) > self.DEEPEST:
            self._below = _descend(os.dup(self._fds[-1]), parts[self.DEEPEST :])
            return self._below
        return self._fds[-1]

    def close(self) -> None:
        self._close(0)
        while self._fds:
            os.close(self._fds.pop())

    def _close(self, keep: int) -> None:
        """All below the first `keep` folders."""
        if self._below >= 0:
            os.close(self._below)
            self._below = -1
        while len(self._parts) > keep:
            self._parts.pop()
            os.close(self._fds.pop())


def _common(these: list[bytes], those: list[bytes]) -> int:
    """With how many equal parts both begin."""
    count = 0
    for this, that in zip(these, those, strict=False):
        if this != that:
            break
        count += 1
    return count


def open_file(folder_fd: int, name: bytes) -> int:
    """A descriptor of what is called `name`, one component, in an open folder.

    Whoever reads from it looks at its `fstat` before believing a byte: it may be anything but a link.
    """
    return os.open(name, _FLAGS, dir_fd=folder_fd)


def open_inside(root: bytes, folder: bytes, name: bytes) -> int:
    """A descriptor of the regular file `folder/name` below `root`. Raises OSError, with ENOENT for any other kind."""
    folder_fd = open_folder(root, folder)
    try:
        fd = open_file(folder_fd, _name(name))
    finally:
        os.close(folder_fd)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.ENOENT, "not a regular file", name)


def lstat_inside(root: bytes, folder: bytes, name: bytes) -> os.stat_result | None:
    """The state of `folder/name` below `root`, None when nothing is there. Raises OSError for anything else."""
    try:
        folder_fd = open_folder(root, folder)
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise
    try:
        return lstat(folder_fd, name)
    finally:
        os.close(folder_fd)


def lstat(folder_fd: int, name: bytes) -> os.stat_result | None:
    """The state of `name` in an open folder, None when nothing is there."""
    try:
        return os.stat(_name(name), dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def remove_inside(root: bytes, folder: bytes, name: bytes, stamp: tuple[int, int, int]) -> bool:
    """Deletes the regular file `folder/name` if it still is (size, mtime_ns, inode); False when it is another."""
    folder_fd = open_folder(root, folder)
    try:
        found = lstat(folder_fd, name)
        if found is None or not stat.S_ISREG(found.st_mode) or stamp_of(found) != stamp:
            return False
        os.unlink(name, dir_fd=folder_fd)
        return True
    finally:
        os.close(folder_fd)


def stamp_of(found: os.stat_result) -> tuple[int, int, int]:
    """(size, mtime_ns, inode): as long as it is the same, so are the bytes."""
    return found.st_size, signed(found.st_mtime_ns), signed(found.st_ino)


def signed(number: int) -> int:
    """A number of a file system as SQLite can keep it: inodes may use all 64 bits, and times lie far in the future."""
    return number if -_LIMIT <= number < _LIMIT else (number + _LIMIT) % (2 * _LIMIT) - _LIMIT


def _name(name: bytes) -> bytes:
    if name in _NO_NAMES or b"/" in name:
        raise OSError(errno.ENOENT, "not a name", name)
    return name
