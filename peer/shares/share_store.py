"""The shares in the library's database, and what the owner decided about single files and folders.

Writing functions are called within a transaction that ends with `offers.review`.
"""

import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from peer.shares.agenda import Place
from peer.shares.face import Faces, clean_tags
from peer.shares.offers import next_change, touch_shares
from peer.shares.share import Share, active_ids, label_for, relative
from peer.shares.tree import Rules


def load(connection: sqlite3.Connection) -> list[Share]:
    """All shares, wanted or not. The cache of downloads is none: it is not walked through, and covers nothing."""
    found = connection.execute(
        "SELECT id, path, label, kind = 'folder', configured, requested, unshared, active, tags, audience,"
        " device, inode FROM share WHERE NOT is_cache ORDER BY id"
    )
    return [_share(*row) for row in found]


def _share(row: int, path: bytes, label: str, *columns: Any) -> Share:
    is_folder, configured, requested, unshared, active = map(bool, columns[:5])
    tags, audience, device, inode = columns[5:]
    identity = None if device is None else (device, inode)
    return Share(
        row,
        path,
        label,
        is_folder,
        configured,
        requested,
        unshared,
        active,
        tuple(json.loads(tags)),
        audience,
        identity,
    )


def exclusions(connection: sqlite3.Connection) -> frozenset[bytes]:
    """Folders that the owner unshared, although a share around them is offered."""
    return frozenset(path for (path,) in connection.execute("SELECT path FROM exclusion"))


def with_exclusions(connection: sqlite3.Connection, rules: Rules) -> Rules:
    """The rules, and what the owner left out besides."""
    return replace(rules, closed=rules.closed | exclusions(connection))


def configure(connection: sqlite3.Connection, paths: Iterable[tuple[bytes, bool]]) -> None:
    """These (path, is a folder) are what the configuration names now."""
    connection.execute("UPDATE share SET configured = 0")
    for path, is_folder in paths:
        _ensure(connection, path, is_folder)
        connection.execute("UPDATE share SET configured = 1 WHERE path = ?", (path,))


def request(
    connection: sqlite3.Connection, path: bytes, is_folder: bool, tags: Iterable[str], audience: str | None
) -> None:
    """The owner wants this path to be offered, and all below it that was unshared before."""
    _ensure(connection, path, is_folder)
    connection.execute("UPDATE share SET requested = 1, unshared = 0 WHERE path = ?", (path,))
    if listed := clean_tags(tags):
        connection.execute("UPDATE share SET tags = ? WHERE path = ?", (json.dumps(listed, ensure_ascii=False), path))
    if audience is not None:
        connection.execute("UPDATE share SET audience = ? WHERE path = ?", (audience, path))
    for excluded in exclusions(connection):
        if relative(path, excluded) is not None:
            connection.execute("DELETE FROM exclusion WHERE path = ?", (excluded,))


def exclude(connection: sqlite3.Connection, path: bytes, *, inside: bool) -> None:
    """The owner wants this path not to be offered; `inside`: another share would come past it.

    Shares of their own inside of it stay: they are decisions of their own.
    """
    connection.execute("UPDATE share SET requested = 0, unshared = 1 WHERE path = ?", (path,))
    if inside:
        connection.execute("INSERT OR IGNORE INTO exclusion VALUES (?)", (path,))


def settle(connection: sqlite3.Connection, rules: Rules, now: float) -> list[Share]:
    """Decides anew which shares are active; returns all."""
    shares = load(connection)
    active = active_ids(shares, with_exclusions(connection, rules))
    turned = [share.id for share in shares if share.active != (share.id in active)]
    connection.executemany("UPDATE share SET active = NOT active WHERE id = ?", ((share,) for share in turned))
    connection.execute("UPDATE share SET retired_at = NULL WHERE configured OR requested")
    connection.execute(
        "UPDATE share SET retired_at = ? WHERE NOT configured AND NOT requested AND retired_at IS NULL", (now,)
    )
    touch_shares(connection, turned)
    return load(connection)


def set_identity(connection: sqlite3.Connection, share: int, identity: tuple[int, int]) -> None:
    """What the root of a share is now."""
    connection.execute("UPDATE share SET device = ?, inode = ? WHERE id = ?", (*identity, share))


def edit(connection: sqlite3.Connection, file_id: str, tags: Iterable[str] | None, audience: str | None) -> None:
    """What the owner says of a content, wherever it is; None leaves as it is."""
    kept = None if tags is None else json.dumps(clean_tags(tags), ensure_ascii=False)
    connection.execute(
        "INSERT INTO content (hash, tags, audience) VALUES (?, ?, ?) ON CONFLICT (hash) DO UPDATE"
        " SET tags = coalesce(excluded.tags, tags), audience = coalesce(excluded.audience, audience)",
        (file_id, kept, audience),
    )
    Faces(connection).renew("hash = ?", (file_id,), next_change(connection))


def count_download(connection: sqlite3.Connection, file_id: str) -> None:
    """One more finished upload of this content."""
    connection.execute(
        "INSERT INTO content (hash, downloads) VALUES (?, 1)"
        " ON CONFLICT (hash) DO UPDATE SET downloads = downloads + 1",
        (file_id,),
    )


def withhold(connection: sqlite3.Connection, file_id: str) -> None:
    """This content is not offered any more, under whatever name it is or will be found."""
    connection.execute(
        "INSERT INTO content (hash, withheld) VALUES (?, 1) ON CONFLICT (hash) DO UPDATE SET withheld = 1", (file_id,)
    )
    connection.execute("UPDATE entry SET withheld = 1, review = 1 WHERE hash = ?", (file_id,))


def withhold_name(connection: sqlite3.Connection, place: Place, name: bytes) -> bool:
    """This one file is not offered any more, whatever is in it; False if it was not."""
    changed = connection.execute(
        "UPDATE entry SET withheld = 1, review = 1 WHERE share = ? AND folder = ? AND name = ? AND NOT withheld",
        (*place, name),
    )
    return changed.rowcount > 0


def lift(connection: sqlite3.Connection, path: bytes, now: float) -> None:
    """What was withheld at `path` or below may be offered again, and the names there are shown as they are now."""
    for share in load(connection):
        below = relative(share.root, path)
        if below is not None:
            place, name = Place(share.id, os.path.dirname(below)), os.path.basename(below)
            _lift(connection, "share = ? AND folder = ? AND name = ?", (*place, name), now)
            condition = "share = ? AND (folder = ? OR folder > ? AND folder < ?)"
            _lift(connection, condition, (share.id, below, below + b"/", below + b"0"), now)
        if below == b"" or relative(path, share.path) is not None:
            _lift(connection, "share = ?", (share.id,), now)


def _lift(connection: sqlite3.Connection, where: str, values: tuple[object, ...], now: float) -> None:
    connection.execute(
        f"UPDATE content SET withheld = 0 WHERE withheld AND hash IN (SELECT hash FROM entry WHERE {where})", values
    )
    connection.execute(
        f"UPDATE entry SET withheld = 0, shared_at = ?, review = 1 WHERE withheld AND {where}", (now, *values)
    )
    Faces(connection).renew(where, values, next_change(connection))


def _ensure(connection: sqlite3.Connection, path: bytes, is_folder: bool) -> None:
    labels = [label for (label,) in connection.execute("SELECT label FROM share WHERE path <> ?", (path,))]
    kind = "folder" if is_folder else "file"
    connection.execute(
        "INSERT INTO share (path, label, kind, configured, requested) VALUES (?, ?, ?, 0, 0)"
        " ON CONFLICT (path) DO UPDATE SET kind = excluded.kind",
        (path, label_for(path, labels), kind),
    )
