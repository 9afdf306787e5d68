"""The library's tables as a scan reads and writes them. Writing functions are called within a transaction.

What happened to a file is written here; what follows for the catalogue is decided in offers.py.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from common.content.names import free_name
from common.wire.files import SharedFile
from peer.shares.agenda import Place
from peer.shares.comparison import Row
from peer.shares.face import Faces
from peer.shares.listing import shared_files
from peer.shares.offers import TOLD, next_change
from peer.shares.schema import State
from peer.shares.share import catalogue_path
from peer.shares.tree import Seen

CHANGED_GRACE = 2.0
"""Seconds in which a changed file may be hashed before its old content is withdrawn."""
MISSING_GRACE = 600.0
"""Seconds for which a share that vanished with its disk stays in the catalogue."""


class Proof(NamedTuple):
    """What a file is: its id and the checksum of its head; `source` is the row it was known from, 0 for none."""

    place: Place
    file: Seen
    file_id: str
    head: int
    source: int = 0


class Known(NamedTuple):
    """A row that may be the same file under another name."""

    id: int
    place: Place
    name: bytes
    device: int
    stamp: tuple[int, int, int]
    file_id: str
    head: int


_CHECKED = ("checked_at", "damage", "damage_ctime")
_UNCHECKED = (0, 0.0, None, None, None)
_ROW = "id, name, size, mtime_ns, inode, device, state, hash IS NOT NULL"


def rows_in(connection: sqlite3.Connection, place: Place) -> dict[bytes, Row]:
    """All that is remembered of one folder."""
    found = connection.execute(f"SELECT {_ROW} FROM entry WHERE share = ? AND folder = ?", place)
    return {row[1]: Row(*row) for row in found}


def rows_named(connection: sqlite3.Connection, place: Place, names: Sequence[bytes]) -> dict[bytes, Row]:
    """What is remembered of some names of one folder."""
    marks = ",".join("?" * len(names))
    found = connection.execute(
        f"SELECT {_ROW} FROM entry WHERE share = ? AND folder = ? AND name IN ({marks})", (*place, *names)
    )
    return {row[1]: Row(*row) for row in found}


def names_in(connection: sqlite3.Connection, place: Place) -> Iterator[list[Row]]:
    """What is thought to be in one folder, some hundred at a time."""
    last = b""
    while found := connection.execute(
        f"SELECT {_ROW} FROM entry WHERE share = ? AND folder = ? AND name > ? AND state < {State.GONE}"
        " ORDER BY name LIMIT 500",
        (*place, last),
    ).fetchall():
        last = found[-1][1]
        yield [Row(*row) for row in found]


def has_below(connection: sqlite3.Connection, place: Place) -> bool:
    """Whether something is thought to be in a folder or below it."""
    below, args = _below(place)
    return connection.execute(f"SELECT 1 FROM entry WHERE {below} AND state < 2 LIMIT 1", args).fetchone() is not None


def id_of(connection: sqlite3.Connection, place: Place, name: bytes) -> str | None:
    """The id of a file that is here and proven."""
    found = connection.execute(
        f"SELECT hash FROM entry WHERE share = ? AND folder = ? AND name = ? AND state = {State.HERE}", (*place, name)
    ).fetchone()
    return found[0] if found else None


def name_of(connection: sqlite3.Connection, place: Place, file_id: str) -> bytes | None:
    """A name under which a folder holds this content."""
    found = connection.execute(
        f"SELECT name FROM entry WHERE hash = ? AND share = ? AND folder = ? AND state = {State.HERE}",
        (file_id, *place),
    ).fetchone()
    return found[0] if found else None


def subfolders(connection: sqlite3.Connection, place: Place) -> Iterator[bytes]:
    """Names of the folders in a folder in or below which something is thought to be; some come twice."""
    share, folder = place
    prefix = folder + b"/" if folder else b""
    at, end = prefix or b"\x01", _end_of(folder)
    before = "AND folder < ?" if end else ""
    query = f"SELECT folder FROM entry WHERE share = ? AND state < 2 AND folder >= ? {before} ORDER BY folder LIMIT 1"
    while found := connection.execute(query, (share, at, end) if end else (share, at)).fetchone():
        name, _, deeper = found[0][len(prefix) :].partition(b"/")
        yield name
        # Behind all that lies below this one; but names such as `a-b` sort between `a` itself and what is below it.
        at = prefix + name + (b"0" if deeper else b"\x01")


def known_by_inode(connection: sqlite3.Connection, inodes: Sequence[int]) -> Iterator[Known]:
    """Rows of proven files with one of these inodes."""
    marks = ",".join("?" * len(inodes))
    for found in connection.execute(
        "SELECT id, share, folder, name, device, size, mtime_ns, inode, hash, head FROM entry"
        f" WHERE inode IN ({marks}) AND hash IS NOT NULL AND size > 0",
        tuple(inodes),
    ):
        yield Known(found[0], Place(*found[1:3]), found[3], found[4], tuple(found[5:8]), found[8], found[9])


def set_back(connection: sqlite3.Connection, ids: Iterable[tuple[int, int]]) -> None:
    """(device, row) pairs: these are here, as they were."""
    connection.executemany("UPDATE entry SET state = 0, withdraw_at = NULL, device = ?, review = 1 WHERE id = ?", ids)
    _name_the_nameless(connection)


def set_changed(connection: sqlite3.Connection, ids: Iterable[int], now: float) -> None:
    """These have other contents now."""
    _set_state(connection, State.CHANGED, now + CHANGED_GRACE, f"id = ? AND state = {State.HERE}", ((i,) for i in ids))


def set_absent(connection: sqlite3.Connection, state: int, ids: Iterable[int], now: float) -> None:
    """These are GONE, or MISSING with their disk."""
    until = now if state == State.GONE else now + MISSING_GRACE
    _set_state(connection, state, until, f"id = ? AND state <> {state}", ((i,) for i in ids))


def set_folder_absent(connection: sqlite3.Connection, place: Place, device: int | None, now: float) -> None:
    """A folder is not there any more, in one that lies on `device`: what lay on the same is gone, the rest missing."""
    below, args = _below(place)
    _set_state(connection, State.GONE, now, f"{below} AND state < {State.GONE} AND device IS ?", [(*args, device)])
    _set_state(connection, State.MISSING, now + MISSING_GRACE, f"{below} AND state < {State.MISSING}", [args])


def set_folder_closed(connection: sqlite3.Connection, place: Place, until: float) -> None:
    """A folder cannot be read: nothing is known of its files, which are offered no longer than `until`."""
    below, args = _below(place)
    _set_state(connection, State.MISSING, until, f"{below} AND state < {State.MISSING}", [args])


def distrust_all(connection: sqlite3.Connection, now: float) -> None:
    """What is known of any file's bytes does not hold; what the owner said of it does."""
    connection.execute("DELETE FROM reading")
    connection.execute(
        f"UPDATE entry SET inode = 0, state = CASE state WHEN {State.HERE} THEN {State.CHANGED} ELSE state END,"
        " withdraw_at = min(coalesce(withdraw_at, ?), ?), review = 1 WHERE hash IS NOT NULL",
        (now, now),
    )


def set_unreadable(connection: sqlite3.Connection, place: Place, name: bytes) -> None:
    """A file may not be read, so what it is now cannot be proven."""
    connection.execute(
        "UPDATE entry SET hash = NULL, review = 1 WHERE share = ? AND folder = ? AND name = ?", (*place, name)
    )


def record(connection: sqlite3.Connection, proofs: Iterable[Proof], now: float) -> list[SharedFile]:
    """These files are proven: they are offered from now on, unless withheld. Returns what some of them replaced."""
    faces = Faces(connection)
    change = next_change(connection)
    replaced: list[SharedFile] = []
    for proof in proofs:
        old = connection.execute(
            "SELECT id, hash, path, offered FROM entry WHERE share = ? AND folder = ? AND name = ?",
            (*proof.place, proof.file.name),
        ).fetchone()
        if old is None:
            _insert(connection, proof, faces, now)
            continue
        row, file_id, path, offered = old
        if file_id is not None and file_id != proof.file_id:
            faces.carry_over(file_id, proof.file_id)
            if offered and len(replaced) < TOLD:
                replaced += shared_files(connection, [row])
        _replace(connection, row, proof, faces, change)
        if path is None:
            _name_the_nameless(connection)
    return replaced


def _insert(connection: sqlite3.Connection, proof: Proof, faces: Faces, now: float) -> None:
    share, folder = proof.place
    withheld, shared_at, *condition = _known_as(connection, proof.source) or (0, now, *_UNCHECKED[2:])
    path, announced = _take_path(connection, _path_of(faces, proof.place, proof.file.name))
    columns = _columns(proof, faces)
    columns |= {"share": share, "folder": folder, "name": proof.file.name, "shared_at": shared_at}
    columns |= {"path": path, "announced": announced, "withheld": max(withheld, columns["withheld"]), "review": 1}
    columns |= dict(zip(_CHECKED, condition, strict=True))
    names, marks = ",".join(columns), ",".join("?" * len(columns))
    connection.execute(f"INSERT INTO entry ({names}) VALUES ({marks})", tuple(columns.values()))


def _known_as(connection: sqlite3.Connection, source: int) -> tuple[Any, ...] | None:
    """What a moved file brings along from the row it was known from: whether it is withheld, since when shared, and
    what its last check found."""
    if not source:
        return None
    found: tuple[Any, ...] | None = connection.execute(
        "SELECT withheld, shared_at, checked_at, damage, damage_ctime FROM entry WHERE id = ?", (source,)
    ).fetchone()
    return found


def _replace(connection: sqlite3.Connection, row: int, proof: Proof, faces: Faces, change: int) -> None:
    columns = _columns(proof, faces)
    condition = (_known_as(connection, proof.source) or _UNCHECKED)[2:]
    connection.execute(
        f"UPDATE entry SET {','.join(f'{name} = :{name}' for name in columns if name != 'withheld')},"
        " withheld = max(withheld, :withheld), state = 0, withdraw_at = NULL,"
        " checked_at = :checked_at, damage = :damage, damage_ctime = :damage_ctime,"
        # Another content is as if offered anew.
        " offered = offered AND hash IS :hash, change = :change, dirty = offered OR announced, review = 1"
        " WHERE id = :id",
        columns | dict(zip(_CHECKED, condition, strict=True)) | {"change": change, "id": row},
    )


def _columns(proof: Proof, faces: Faces) -> dict[str, Any]:
    face = faces.of(proof.place, proof.file.name, proof.file_id)
    file = proof.file
    return {
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "inode": file.inode,
        "device": file.device,
        "hash": proof.file_id,
        "head": proof.head,
    } | face._asdict()


def _path_of(faces: Faces, place: Place, name: bytes) -> str:
    is_folder = not faces.is_file(place.share)
    return catalogue_path(faces.label(place.share), is_folder, faces.shown_folder(place), name)


def _take_path(connection: sqlite3.Connection, path: str) -> tuple[str, int]:
    """A path in the catalogue, and whether something is announced there: that of a file that is gone passes on."""
    holder = connection.execute("SELECT id, state, announced FROM entry WHERE path = ?", (path,)).fetchone()
    if holder is None:
        return path, 0
    row, state, announced = holder
    if state != State.GONE:
        return _free_path(connection, path), 0
    connection.execute("UPDATE entry SET path = NULL, announced = 0, dirty = 0 WHERE id = ?", (row,))
    return path, announced


def _free_path(connection: sqlite3.Connection, path: str) -> str:
    folder, slash, name = path.rpartition("/")

    def taken(candidate: str) -> bool:
        path = folder + slash + candidate
        return connection.execute("SELECT 1 FROM entry WHERE path = ?", (path,)).fetchone() is not None

    return folder + slash + free_name(name, taken)


def _name_the_nameless(connection: sqlite3.Connection) -> None:
    """Rows that gave up their path while they were gone, and are back, take another."""
    nameless = connection.execute(
        "SELECT id, share, folder, name FROM entry WHERE review AND path IS NULL AND state = 0"
    ).fetchall()
    faces = Faces(connection)
    for row, share, folder, name in nameless:
        path, announced = _take_path(connection, _path_of(faces, Place(share, folder), name))
        connection.execute("UPDATE entry SET path = ?, announced = ? WHERE id = ?", (path, announced, row))


def _set_state(
    connection: sqlite3.Connection, state: int, until: float, where: str, rows: Iterable[tuple[object, ...]]
) -> None:
    connection.executemany(
        f"UPDATE entry SET state = {state}, withdraw_at = min(coalesce(withdraw_at, ?), ?), review = 1 WHERE {where}",
        ((until, until, *row) for row in rows),
    )


def _below(place: Place) -> tuple[str, tuple[object, ...]]:
    """A condition, and its values, for all in a folder and below."""
    share, folder = place
    if not folder:
        return "share = ?", (share,)
    return "share = ? AND (folder = ? OR folder > ? AND folder < ?)", (share, folder, folder + b"/", _end_of(folder))


def _end_of(folder: bytes) -> bytes | None:
    """What sorts after all folders below `folder` and before the next one; None when nothing does."""
    return folder + b"0" if folder else None
