"""The folder of cached downloads: `ID/NAME` for each, a link to the finished file where the disk can, else a copy.

Guarantees: the owner's file is only read; links are not followed; nothing is removed but what is called by a file's id;
a copy never takes the last SPARE bytes of a disk, and is what its id says. What a kill leaves is cleared up by `tidy`.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from common.content.hashing import Algorithm, head_of
from common.errors import Conflict, NoSpace
from common.ids import is_file_id
from common.runtime.folders import sync_folder
from peer.shares.cache import Finished
from peer.shares.disk import EXHAUSTED, lstat_inside, open_folder, stamp_of
from peer.shares.tree import Seen, seen

SPARE = 100_000_000  # bytes
PART = 1024 * 1024  # bytes copied at a time
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = frozenset(
    (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
)
_FICLONE = 0x40049409  # linux/fs.h


def make(root: bytes) -> None:
    """Makes the folder if it is not there. Raises OSError, for a link in its place too."""
    with suppress(FileExistsError):
        os.mkdir(root, 0o700)
    os.close(open_folder(root))


def adopt(root: bytes, finished: Finished, algorithm: Algorithm, stopping: Callable[[], bool]) -> tuple[Seen, int]:
    """The finished file becomes `ID/NAME`; what it looks like there, and the checksum of its beginning.

    Blocks. Raises OSError; Conflict when the file is not what it was, NoSpace, InterruptedError when it is to stop.
    """
    source = os.open(finished.path, _SOURCE)
    folder = os.path.join(root, finished.file_id.encode())
    target = os.path.join(folder, finished.name)
    try:
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode) or before.st_size != finished.size:
            raise _changed()
        remove(root, finished.file_id)
        os.mkdir(folder, 0o700)
        if not _linked(finished.path, target, before):
            _copied(source, before, target, finished.file_id, algorithm, stopping)
            sync_folder(folder)
        if stamp_of(os.fstat(source)) != stamp_of(before):
            raise _changed()
        return seen(finished.name, os.lstat(target)), head_of(source)
    except BaseException:
        remove(root, finished.file_id)
        raise
    finally:
        os.close(source)


def _linked(path: bytes, target: bytes, source: os.stat_result) -> bool:
    """Whether another name could be given to the file."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    if not os.path.samestat(os.lstat(target), source):
        raise _changed()
    return True


def _copied(
    source: int,
    found: os.stat_result,
    target: bytes,
    file_id: str,
    algorithm: Algorithm,
    stopping: Callable[[], bool],
) -> None:
    """The same bytes in a file of their own, which shares its blocks where the file system can."""
    copy = os.open(target, _TARGET, 0o600)
    try:
        if not _cloned(source, copy):
            _check_space(copy, found.st_size)
            _copy(source, copy, found.st_size, file_id, algorithm, stopping)
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(copy)
    finally:
        os.close(copy)


def _cloned(source: int, copy: int) -> bool:
    try:
        fcntl.ioctl(copy, _FICLONE, source)
        return True
    except OSError:
        return False


def _check_space(fd: int, size: int) -> None:
    space = os.fstatvfs(fd)
    if size + SPARE > space.f_bavail * space.f_frsize:
        raise NoSpace("disk_full", "There is not enough room on the disk of the data folder.")


def _copy(source: int, copy: int, size: int, file_id: str, algorithm: Algorithm, stopping: Callable[[], bool]) -> None:
    buffer, digest, at = memoryview(bytearray(PART)), algorithm.new(), 0
    while (count := os.preadv(source, [buffer], at)) and at <= size:
        if stopping():
            raise InterruptedError(errno.EINTR, "it is to stop")
        digest.update(buffer[:count])
        rest = buffer[:count]
        while rest:
            rest = rest[os.write(copy, rest) :]
        at += count
    if digest.hexdigest() != file_id:
        raise _changed()


def holds(root: bytes, file_id: str, name: bytes, stamp: tuple[int, int, int]) -> bool:
    """Whether the file is there as it was, as far as that can be seen. Blocks."""
    try:
        found = lstat_inside(root, file_id.encode(), name)
    except OSError as error:
        return error.errno in EXHAUSTED
    return found is not None and stat.S_ISREG(found.st_mode) and stamp_of(found) == stamp


def remove(root: bytes, file_id: str) -> None:
    """Removes what is kept of a content. Blocks."""
    with suppress(OSError):
        fd = open_folder(root, file_id.encode())
        try:
            for name in os.listdir(fd):
                with suppress(OSError):
                    os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(os.path.join(root, file_id.encode()))


def remove_all(root: bytes, file_ids: Iterable[str]) -> None:
    """The same for several."""
    for file_id in file_ids:
        remove(root, file_id)


def tidy(root: bytes, known: Collection[str]) -> int:
    """Removes contents that are not known, such as a kill has left; how many. Blocks."""
    try:
        fd = open_folder(root)
    except OSError:
        return 0
    try:
        strange = [name for name in os.listdir(fd) if is_file_id(name) and name not in known]
    finally:
        os.close(fd)
    remove_all(root, strange)
    return len(strange)


def _changed() -> Conflict:
    return Conflict("file_changed", "The finished file is not what it was.")
