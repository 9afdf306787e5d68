"""How a start that fails is told: one line, with the path, what is wrong with it, and what to do."""

import errno
import os
import stat
from pathlib import Path

from common.database.folder_lock import LOCK_NAME, FolderLock
from common.http.serve import StartError
from common.runtime.obstacles import obstacle

ANOTHER = "choose another data folder with --data"
_OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def lock(folder: Path) -> FolderLock:
    """The data folder, made if need be, for us alone. Raises FolderInUse, StartError."""
    try:
        return FolderLock.acquire(folder)
    except OSError as error:
        path = folder / LOCK_NAME
        if _is_odd(path):
            raise StartError(f"{path} cannot be used (it is not a regular file): move it away, or {ANOTHER}") from error
        raise StartError(obstacle(error, f"the data folder {folder}", ANOTHER)) from error


def in_words(error: Exception, folder: Path) -> str:
    """The line for what ended a start in the data folder `folder`."""
    if not isinstance(error, OSError):
        return str(error)
    if error.filename is None and error.errno not in _OF_A_DISK:
        return f"the system refused to go on: {error.strerror or error}"
    if error.filename is None:
        return obstacle(error, f"the data folder {folder}", ANOTHER)
    return obstacle(error, os.fsdecode(error.filename), "move it away")


def _is_odd(path: Path) -> bool:
    """Whether something that is no regular file has this name."""
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False
