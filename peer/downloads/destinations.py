"""Where downloads are put: names made safe, folders below the one that was chosen, and room on its disk."""

import os
from collections import defaultdict
from collections.abc import Iterable

from common import errors
from common.content.names import safe_name
from common.runtime.units import format_size
from peer.downloads.part_file import refusal_of
from peer.downloads.record import Record


def place(folder: str, name: str) -> tuple[str, str]:
    """(folder, name) for a file that is to be called `name`, which may lead into folders below `folder`.

    Raises Invalid for a folder that is not an absolute path.
    """
    if not os.path.isabs(folder) or "\0" in folder:
        raise errors.Invalid("invalid_path", "The folder for a download is an absolute path of this machine.")
    parts = [safe_name(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts:
        raise errors.Invalid("invalid_path", "The file needs a name.")
    return os.path.normpath(os.path.join(folder, *parts[:-1])), parts[-1]


def make(folder: str) -> None:
    """Makes the folder if it is not there. Raises NoSpace, and Invalid where it cannot be."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise refusal_of(error, folder) from error


def check_room(records: Iterable[Record]) -> None:
    """Raises NoSpace when what is to be fetched does not fit on its disk."""
    wanted: dict[str, int] = defaultdict(int)
    for record in records:
        wanted[record.folder] += record.size
    needed: dict[int, int] = defaultdict(int)
    for folder, size in wanted.items():
        there = _nearest(folder)
        space = os.statvfs(there)
        disk = os.stat(there).st_dev
        needed[disk] += size
        free = space.f_bavail * space.f_frsize
        if needed[disk] > free:
            raise errors.NoSpace(
                "disk_full",
                f"{format_size(needed[disk])} are wanted, and the disk of {folder} has room for {format_size(free)}. "
                "Free some space there, or choose a folder on another disk.",
            )


def _nearest(folder: str) -> str:
    """The folder, or the nearest one above it that exists."""
    while not os.path.isdir(folder):
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    return folder
