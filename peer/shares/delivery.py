"""A kept file, opened to be served or removed for good: only if it still is what was proven."""

import os
from collections.abc import Iterable

from common.content.hashing import Algorithm
from common.serving.file_reply import Served, Version
from peer.shares.disk import open_inside, remove_inside, stamp_of
from peer.shares.listing import Kept


def open_kept(kept: Kept, file_id: str, algorithm: Algorithm) -> Served | bool:
    """The open file; else whether another one is in its place. Blocks."""
    try:
        fd = open_inside(kept.root, kept.place.folder, kept.name)
    except OSError:
        return False
    try:
        if stamp_of(os.fstat(fd)) != kept.stamp:
            os.close(fd)
            return True
        name = kept.path.rpartition("/")[2]
        modified = kept.stamp[1] / 1e9
        return Served(fd, Version.of(fd), name, file_id, modified, algorithm.repr_digest(file_id))
    except OSError:
        os.close(fd)
        return False


def remove_kept(places: Iterable[Kept]) -> list[str]:
    """Deletes those that are still what they were; why it could not be done for some. Blocks."""
    problems = []
    for kept in places:
        try:
            remove_inside(kept.root, kept.place.folder, kept.name, kept.stamp)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{kept.path}: {error.strerror}")
    return problems
