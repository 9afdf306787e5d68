"""What a look at a folder means, given what is remembered of it. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from peer.shares.schema import State
from peer.shares.tree import Seen


class Row(NamedTuple):
    """What is remembered of a file; `proven`: its hash is known."""

    id: int
    name: bytes
    size: int
    mtime_ns: int
    inode: int
    device: int
    state: int
    proven: bool


class Difference(NamedTuple):
    """`fresh` is to be hashed, with the row of what was there before; `back` is as it was before it was away."""

    fresh: list[tuple[Seen, Row | None]]
    back: list[tuple[Seen, Row]]


def compare(files: Iterable[Seen], rows: Mapping[bytes, Row]) -> Difference:
    """The files that are not what their rows say."""
    difference = Difference([], [])
    for file in files:
        row = rows.get(file.name)
        if row is None or not is_proof(row, file):
            difference.fresh.append((file, row))
        elif row.state != State.HERE or row.device != file.device:
            difference.back.append((file, row))
    return difference


def is_proof(row: Row, file: Seen) -> bool:
    """Whether the hash of a row is that of the file: proven at the same size, time and inode.

    The device does not count: its number may be another after each start of the machine.
    """
    return row.proven and row[2:5] == file[1:4]


def state_of_absent(row: Row, device: int) -> int:
    """The state of a row whose file is not in its folder, which now lies on `device`.

    Where a disk was mounted, files are missing and not gone: they had another device than the folder left behind has.
    """
    return State.GONE if row.device == device else State.MISSING
