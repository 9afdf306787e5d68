"""What stands in the way of a start, in words: which path, what is wrong, what to do."""

import errno
import os
from pathlib import Path

ANOTHER = "choose another data folder with --data"
_OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

_REMEDIES = {
    "make room on that disk": (errno.ENOSPC, errno.EDQUOT),
    "let this account read and write there": (errno.EACCES, errno.EPERM),
    "make that disk writable": (errno.EROFS,),
    "look after that disk": (errno.EIO,),
}


class StartError(Exception):
    """A daemon cannot start; the text says why, in one line."""


def remedy(error: OSError) -> str:
    """What helps against an error whatever the path is; empty when that depends."""
    return next((words for words, codes in _REMEDIES.items() if error.errno in codes), "")


def obstacle(error: OSError, path: str, otherwise: str) -> str:
    """`path cannot be used (why): what to do`, where `otherwise` helps in any case."""
    why = "it is not a folder" if error.errno in (errno.EEXIST, errno.ENOTDIR) else error.strerror or str(error)
    words = remedy(error)
    return f"{path} cannot be used ({why}): {f'{words}, or {otherwise}' if words else otherwise}"


def in_words(error: Exception, folder: Path) -> str:
    """The line for what ended a start in the data folder `folder`."""
    if not isinstance(error, OSError):
        return str(error)
    if error.filename is None and error.errno not in _OF_A_DISK:
        return f"the system refused to go on: {error.strerror or error}"
    if error.filename is None:
        return obstacle(error, f"the data folder {folder}", ANOTHER)
    return obstacle(error, os.fsdecode(error.filename), "move it away")
