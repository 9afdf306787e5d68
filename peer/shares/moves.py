"""Recognising a file that was moved, renamed or linked, so that it need not be hashed again.

Inode, size and time alone may deceive: an unpacked archive gives new files old times, and they may get the inodes of
files just deleted. So the old name must be gone or be the same file, and the beginning must be the same bytes.
"""

import os
import sqlite3
from collections.abc import Iterable, Mapping

from common.content.hashing import head_of
from peer.shares.agenda import Place
from peer.shares.disk import lstat_inside, open_inside, signed, stamp_of
from peer.shares.share import Share
from peer.shares.store import Known, Proof, known_by_inode
from peer.shares.tree import Seen

Stamped = tuple[int, int, int]


def trace(
    connection: sqlite3.Connection, shares: Mapping[int, Share], files: Iterable[tuple[Place, Seen]]
) -> dict[tuple[Place, bytes], Proof]:
    """Those of the files that are known under another name; by place and name."""
    by_stamp: dict[Stamped, list[tuple[Place, Seen]]] = {}
    for place, file in files:
        by_stamp.setdefault(file[1:4], []).append((place, file))
    proofs: dict[tuple[Place, bytes], Proof] = {}
    for known in known_by_inode(connection, sorted({stamp[2] for stamp in by_stamp})):
        for place, file in by_stamp.get(known.stamp, ()):
            if (place, file.name) not in proofs and _is_same(shares, known, place, file):
                proofs[place, file.name] = Proof(place, file, known.file_id, known.head, known.id)
    return proofs


def _is_same(shares: Mapping[int, Share], known: Known, place: Place, file: Seen) -> bool:
    old, new = shares.get(known.place.share), shares.get(place.share)
    if old is None or new is None or known.device != file.device:
        return False
    try:
        left = lstat_inside(old.root, known.place.folder, known.name)
        if left is not None and (stamp_of(left), signed(left.st_dev)) != (known.stamp, file.device):
            return False
        fd = open_inside(new.root, place.folder, file.name)
    except OSError:
        return False
    try:
        return head_of(fd) == known.head and stamp_of(os.fstat(fd)) == known.stamp
    except OSError:
        return False
    finally:
        os.close(fd)
