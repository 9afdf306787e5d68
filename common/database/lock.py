"""One daemon a data folder: a lock that the kernel drops with its process, however that ends."""

import fcntl
import os
from pathlib import Path


class FolderInUse(OSError):
    """Another daemon works in this folder; the message says which."""


class FolderLock:
    """A held lock; see `lock_folder`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Lets go; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def lock_folder(folder: Path) -> FolderLock:
    """Locks `folder` for this process. Raises FolderInUse, or OSError when the folder cannot be used."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(fd, 32).decode("ascii", "replace").strip()
        os.close(fd)
        raise FolderInUse(
            f"{folder} is in use by another daemon (process {owner or 'unknown'}); give this one its own --data"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return FolderLock(fd)
