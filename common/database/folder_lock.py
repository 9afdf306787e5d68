"""One daemon to a data folder: a lock that the system keeps, so it is gone with its process, however that ends."""

import errno
import fcntl
import os
import stat
from pathlib import Path

from common.runtime.obstacles import ANOTHER, StartError, obstacle

LOCK_NAME = "lock"


class FolderInUse(StartError):
    """Another daemon works in this folder. `pid` is its process, 0 when that cannot be read."""

    def __init__(self, folder: Path, pid: int) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{folder} is in use by {who}: stop it or choose another data folder")
        self.folder = folder
        self.pid = pid


class FolderLock:
    """Held from `acquire` to `release`, or until the process is no more."""

    def __init__(self, folder: Path, fd: int) -> None:
        self.folder = folder
        self._fd = fd

    @classmethod
    def acquire(cls, folder: Path) -> "FolderLock":
        """Makes the folder (mode 0700) if need be. Raises FolderInUse, StartError when the folder cannot be used."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = _open(folder / LOCK_NAME)
        except OSError as error:
            raise StartError(obstacle(error, f"the data folder {folder}", ANOTHER)) from error
        return cls(folder, _locked(folder, fd))

    def release(self) -> None:
        """Lets the next one in. The file stays: to remove it would let two in at once."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _odd(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _odd(path)
    return fd


def _odd(path: Path) -> StartError:
    return StartError(f"{path} cannot be used (it is not a regular file): move it away, or {ANOTHER}")


def _locked(folder: Path, fd: int) -> int:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        pid = _pid_in(fd)
        os.close(fd)
        raise FolderInUse(folder, pid) from None
    except OSError as error:
        os.close(fd)
        raise StartError(obstacle(error, f"the data folder {folder}", ANOTHER)) from error
    return fd


def _pid_in(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
