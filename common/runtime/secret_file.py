"""Files that hold a secret of a daemon, a key or a token, for the one account that it runs under.

What is read is opened once and judged by its descriptor: a regular file of this account (or of root), and never what a
link, a FIFO or a device in its place leads to; nor does any of these make the daemon wait. A new file appears whole or
not at all, and overwrites nothing.
"""

import os
import stat
from pathlib import Path

from common.runtime.folders import sync_folder
from common.runtime.obstacles import remedy

LARGEST = 4096  # bytes
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAKING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS = 0o077


class SecretUnusable(Exception):
    """One line: which file, what is wrong with it (`why`), and what to do."""

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        super().__init__(f"{path} cannot be used ({why}): {remedy}")
        self.why = why


def read_secret(path: Path, *, own: bool = True) -> bytes | None:
    """What the file holds, its beginning if that is too much; None if there is none. Raises SecretUnusable.

    `own`: it has to be ours, and is made readable by us alone.
    """
    try:
        fd = os.open(path, _READING)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _no_file(path, found.st_mode)
        if own:
            _claim(path, fd, found)
        return os.read(fd, LARGEST)
    except OSError as error:
        raise _unusable(path, error) from error
    finally:
        os.close(fd)


def make_secret(path: Path, secret: bytes) -> None:
    """Writes beside the final name, to the disk, and only then gives the name. Raises SecretUnusable."""
    half = path.with_name(path.name + ".new")
    try:
        half.unlink(missing_ok=True)
        fd = os.open(half, _MAKING, 0o600)
        try:
            if os.write(fd, secret) != len(secret):
                raise SecretUnusable(path, "the disk took only a part of it", "make room on that disk")
            os.fsync(fd)
        finally:
            os.close(fd)
        os.link(half, path)
        half.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise _unusable(path, error) from error


def _claim(path: Path, fd: int, found: os.stat_result) -> None:
    me = os.geteuid()
    if found.st_uid not in (me, 0):
        why = f"it belongs to another account, uid {found.st_uid}"
        raise SecretUnusable(path, why, f"give it to this account with `chown {me}`, or move it away")
    if found.st_mode & _OTHERS:
        os.fchmod(fd, 0o600)


def _unusable(path: Path, error: OSError) -> SecretUnusable:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        return _no_file(path, mode)
    return SecretUnusable(path, error.strerror or str(error), remedy(error) or "move it away")


def _no_file(path: Path, mode: int) -> SecretUnusable:
    why = "it is a symbolic link" if stat.S_ISLNK(mode) else "it is not a regular file"
    return SecretUnusable(path, why, "move it away, or put a regular file of this account in its place")
