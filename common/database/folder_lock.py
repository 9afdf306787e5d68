"""One daemon to a data folder: a lock that the system keeps, so it is gone with its process, however that ends."""

import fcntl
import os
from pathlib import Path

LOCK_NAME = "lock"


class FolderInUse(Exception):
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
        """Makes the folder (mode 0700) if need be. Raises FolderInUse; OSError when the folder cannot be used."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid_in(fd)
            os.close(fd)
            raise FolderInUse(folder, pid) from None
        except OSError:
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(folder, fd)

    def release(self) -> None:
        """Lets the next one in. The file stays: to remove it would let two in at once."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _pid_in(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
