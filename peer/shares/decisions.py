"""What the owner decides, each decision one transaction: what is shared, what is not, what is said of it."""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from peer.shares import share_store as shares
from peer.shares import store
from peer.shares.agenda import Place
from peer.shares.offers import News, review
from peer.shares.share import Share, home_of, relative
from peer.shares.store import Proof
from peer.shares.tree import Rules


class Decided(NamedTuple):
    """The shares and exclusions after a decision, and what became of the entries."""

    shares: list[Share]
    excluded: frozenset[bytes]
    news: News


def configure(connection: sqlite3.Connection, paths: Sequence[tuple[bytes, bool]], rules: Rules, now: float) -> Decided:
    """What the configuration of this start names: (path, is a folder)."""
    shares.configure(connection, paths)
    return _decided(connection, rules, now)


def name_files_by(connection: sqlite3.Connection, algorithm: str, now: float) -> bool:
    """Whether another algorithm named files until now: then nothing is offered until it was hashed anew."""
    before = connection.execute("SELECT algorithm FROM catalogue").fetchone()[0]
    if before == algorithm:
        return False
    connection.execute("UPDATE catalogue SET algorithm = ?", (algorithm,))
    store.distrust_all(connection, now)
    review(connection, now)
    return True


def share(
    connection: sqlite3.Connection,
    path: bytes,
    is_folder: bool,
    tags: Iterable[str],
    audience: str | None,
    rules: Rules,
    now: float,
) -> Decided:
    """This path is to be offered. A file that some share covers needs none of its own."""
    if is_folder or not _home(connection, path, rules):
        shares.request(connection, path, is_folder, tags if is_folder else (), audience if is_folder else None)
    shares.lift(connection, path, now)
    return _decided(connection, rules, now)


def take_in(connection: sqlite3.Connection, proof: Proof, path: bytes, now: float) -> News:
    """A file that has just been put into a share, already proven."""
    store.record(connection, [proof], now)
    shares.lift(connection, path, now)
    return review(connection, now)


def unshare_path(
    connection: sqlite3.Connection, path: bytes, is_folder: bool, rules: Rules, now: float
) -> Decided | None:
    """This path is not to be offered; None if it is not."""
    home = _home(connection, path, rules)
    if home is None:
        return None
    shares.exclude(connection, path, inside=is_folder and home.path != path)
    inside = relative(home.root, path)
    if inside:
        if is_folder:
            store.set_folder_closed(connection, Place(home.id, inside), now)
        elif not shares.withhold_name(connection, Place(home.id, os.path.dirname(inside)), os.path.basename(inside)):
            return None
    return _decided(connection, rules, now)


def unshare(connection: sqlite3.Connection, file_id: str, now: float) -> News:
    """This content is not to be offered."""
    shares.withhold(connection, file_id)
    return review(connection, now)


def edit(
    connection: sqlite3.Connection, file_id: str, tags: Iterable[str] | None, audience: str | None, now: float
) -> News:
    """Tags and audience of a content; None leaves as it is."""
    shares.edit(connection, file_id, tags, audience)
    return review(connection, now)


def _home(connection: sqlite3.Connection, path: bytes, rules: Rules) -> Share | None:
    return home_of(path, shares.load(connection), shares.with_exclusions(connection, rules))


def _decided(connection: sqlite3.Connection, rules: Rules, now: float) -> Decided:
    known = shares.settle(connection, rules, now)
    return Decided(known, shares.exclusions(connection), review(connection, now))
