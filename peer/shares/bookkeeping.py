"""What a scan has found, written down: one transaction each, which ends with a review of what is offered."""

import sqlite3
from collections.abc import Iterable, Sequence

from peer.shares import share_store, store
from peer.shares.agenda import Place
from peer.shares.offers import News, review
from peer.shares.report import Report
from peer.shares.schema import State
from peer.shares.store import Proof


def apply_report(connection: sqlite3.Connection, report: Report, now: float) -> News:
    """What a look has found."""
    if report.identity is not None:
        share_store.set_identity(connection, report.share, report.identity)
    for place, is_meant in report.closed:
        store.set_folder_closed(connection, place, now if is_meant else now + store.MISSING_GRACE)
    for place, device in report.vanished:
        store.set_folder_absent(connection, place, device, now)
    store.set_absent(connection, State.GONE, report.gone, now)
    store.set_absent(connection, State.MISSING, report.missing, now)
    store.set_changed(connection, report.changed, now)
    store.set_back(connection, report.back)
    return _recorded(connection, report.proven, now)


def apply_outcomes(
    connection: sqlite3.Connection, proofs: Sequence[Proof], unreadable: Iterable[tuple[Place, bytes]], now: float
) -> News:
    """What hashing came to."""
    for place, name in unreadable:
        store.set_unreadable(connection, place, name)
    return _recorded(connection, proofs, now)


def _recorded(connection: sqlite3.Connection, proofs: Sequence[Proof], now: float) -> News:
    replaced = store.record(connection, proofs, now) if proofs else []
    news = review(connection, now)
    return news._replace(removed=replaced + news.removed)
