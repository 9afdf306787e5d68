"""What stands in the way of a file or folder, in words: which path, what is wrong, what to do."""

import errno

_REMEDIES = {
    "make room on that disk": (errno.ENOSPC, errno.EDQUOT),
    "let this account read and write there": (errno.EACCES, errno.EPERM),
    "make that disk writable": (errno.EROFS,),
    "look after that disk": (errno.EIO,),
}


def remedy(error: OSError) -> str:
    """What helps against an error whatever the path is; empty when that depends."""
    return next((words for words, codes in _REMEDIES.items() if error.errno in codes), "")


def obstacle(error: OSError, path: str, otherwise: str) -> str:
    """`path cannot be used (why): what to do`, where `otherwise` helps in any case."""
    why = "it is not a folder" if error.errno in (errno.EEXIST, errno.ENOTDIR) else error.strerror or str(error)
    words = remedy(error)
    return f"{path} cannot be used ({why}): {f'{words}, or {otherwise}' if words else otherwise}"
