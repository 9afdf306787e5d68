"""Small files of a daemon that are replaced whole: a reader, and a start after a crash, finds the old or the new."""

import os
from pathlib import Path

from common.runtime.folders import sync_folder

LARGEST = 16 * 1024 * 1024


def read_whole(path: Path) -> bytes | None:
    """What the file holds; None if there is none. Raises OSError, ValueError for one that is too large to be ours."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    return content


def write_whole(path: Path, content: bytes) -> None:
    """Writes beside the name, to the disk, and only then under it; for this account alone. Raises OSError."""
    half = path.with_name(f"{path.name}.new")
    fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    os.replace(half, path)
    sync_folder(path.parent)
