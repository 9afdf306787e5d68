"""Reading the library for others: lists and searches of what is offered, one line to a content, newest first."""

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from common.runtime.clock import utc
from common.wire.files import LocalSearchAnswer, SharedFile
from peer.shares.agenda import Place
from peer.shares.face import PUBLIC, searchable
from peer.shares.schema import State
from peer.shares.share import Share, home_of, relative
from peer.shares.tree import Rules

MAX_WORDS = 16
_SHOWN = f"""entry.hash, path, size, category, entry.tags, shared_at, coalesce(content.downloads, 0),
    EXISTS (SELECT 1 FROM entry AS other WHERE other.hash = entry.hash AND other.offered AND state = {State.HERE})"""
_FROM = "entry LEFT JOIN content ON content.hash = entry.hash"


class Kept(NamedTuple):
    """Where a content lies: the share's root is `root`; `stamp` is (size, mtime_ns, inode)."""

    root: bytes
    place: Place
    name: bytes
    path: str
    stamp: tuple[int, int, int]


class Page(NamedTuple):
    """Some of `total` entries; those behind `following` come next, if it is not None."""

    files: list[SharedFile]
    total: int
    following: int | None


def shared_files(connection: sqlite3.Connection, rows: Sequence[int]) -> list[SharedFile]:
    """These entries, as others see them."""
    marks = ",".join("?" * len(rows))
    found = connection.execute(f"SELECT {_SHOWN} FROM {_FROM} WHERE entry.id IN ({marks}) AND path NOT NULL", rows)
    return [_shown(row) for row in found]


def find(connection: sqlite3.Connection, file_id: str, *, public_only: bool = True) -> SharedFile | None:
    """The file if it is offered."""
    found = connection.execute(
        f"SELECT {_SHOWN} FROM {_FROM} WHERE entry.hash = ? AND offered AND (entry.audience = ? OR NOT ?)"
        " ORDER BY entry.id LIMIT 1",
        (file_id, PUBLIC, public_only),
    ).fetchone()
    return _shown(found) if found else None


def search(
    connection: sqlite3.Connection, q: str, category: str, offset: int, limit: int, *, public_only: bool = True
) -> LocalSearchAnswer:
    """One page of what fits: every word of `q` occurs in path, category or tags. `count` is how many fit in all."""
    words = list(dict.fromkeys(searchable(q).split()))[:MAX_WORDS]
    conditions = ["{0}.offered"] + ["instr({0}.words, ?)"] * len(words)
    values: list[object] = [*words]
    if category:
        conditions.append("{0}.category = ?")
        values.append(searchable(category))
    if public_only:
        conditions.append("{0}.audience = ?")
        values.append(PUBLIC)
    fits = " AND ".join(conditions)
    # A content that fits under several names is shown under the first of them.
    where = (
        f"{fits.format('entry')} AND NOT EXISTS (SELECT 1 FROM entry AS first"
        f" WHERE first.hash = entry.hash AND first.id < entry.id AND {fits.format('first')})"
    )
    values *= 2
    page = connection.execute(
        f"SELECT {_SHOWN} FROM {_FROM} WHERE {where} ORDER BY shared_at DESC, entry.id DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    ).fetchall()
    count = connection.execute(f"SELECT count(*) FROM entry WHERE {where}", values).fetchone()[0]
    return LocalSearchAnswer([_shown(row) for row in page], count, q)


def below(connection: sqlite3.Connection, path: str, after: int, limit: int, *, public_only: bool = True) -> Page:
    """One page of the entries at `path` of the catalogue, or below it ("" is all): those behind `after`. Each path is
    one entry, equal contents too."""
    where, values = "offered AND path NOT NULL", list[object]()
    if path:
        where += " AND (path = ? OR path > ? AND path < ?)"
        values += [path, f"{path}/", f"{path}0"]  # "0" is the character after "/"
    if public_only:
        where += " AND entry.audience = ?"
        values.append(PUBLIC)
    page = connection.execute(
        f"SELECT {_SHOWN}, entry.id FROM {_FROM} WHERE {where} AND entry.id > ? ORDER BY entry.id LIMIT ?",
        (*values, after, limit),
    ).fetchall()
    count = connection.execute(f"SELECT count(*) FROM entry WHERE {where}", values).fetchone()[0]
    following = page[-1][-1] if len(page) == limit else None
    return Page([_shown(row[:-1]) for row in page], count, following)


def kept(connection: sqlite3.Connection, file_id: str, *, public_only: bool = True) -> list[Kept]:
    """Where an offered content lies now, the likeliest place first."""
    found = connection.execute(
        "SELECT share.path, kind, share, folder, name, entry.path, size, mtime_ns, entry.inode"
        " FROM entry JOIN share ON share.id = entry.share WHERE hash = ? AND offered"
        f" AND (entry.audience = ? OR NOT ?) ORDER BY state <> {State.HERE}, entry.id LIMIT 20",
        (file_id, PUBLIC, public_only),
    )
    return [Kept(root_of(row[0], row[1]), Place(row[2], row[3]), row[4], row[5], tuple(row[6:9])) for row in found]


def sizes(connection: sqlite3.Connection, shares: Iterable[Share], rules: Rules) -> dict[int, tuple[int, int]]:
    """(entries, bytes) that are offered at or below the path of each share, under whichever label."""
    shares = list(shares)
    counted = {}
    for share in shares:
        home = home_of(share.path, shares, rules)
        inside = relative(home.root, share.path) if home else None
        counted[share.id] = _size_below(connection, home, share, inside) if home and inside is not None else (0, 0)
    return counted


def _size_below(connection: sqlite3.Connection, home: Share, share: Share, inside: bytes) -> tuple[int, int]:
    where, values = "share = ?", (home.id,)  # type: str, tuple[object, ...]
    if inside and share.is_folder:
        where += " AND (folder = ? OR folder > ? AND folder < ?)"
        values += (inside, inside + b"/", inside + b"0")
    elif inside:
        where += " AND folder = ? AND name = ?"
        values += (os.path.dirname(inside), os.path.basename(inside))
    found = connection.execute(f"SELECT count(*), coalesce(sum(size), 0) FROM entry WHERE offered AND {where}", values)
    files, size = found.fetchone()
    return files, size


def root_of(path: bytes, kind: str) -> bytes:
    """The folder that a share's entries are relative to."""
    return path if kind == "folder" else path.rpartition(b"/")[0] or b"/"


def _shown(row: tuple[str, str, int, str, str, float, int, int]) -> SharedFile:
    file_id, path, size, category, tags, shared_at, downloads, is_here = row
    name = path.rpartition("/")[2]
    return SharedFile(
        file_id, name, size, file_id, category, json.loads(tags), utc(shared_at), downloads, bool(is_here), path
    )
