"""Folders of the disk."""

import os
from pathlib import Path


def sync_folder(folder: Path | bytes) -> None:
    """Returns once the names in a folder are on the disk, not only in the system's memory. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
