"""What is announced: everything once, changes as they come, nothing for nothing."""

import sqlite3
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.shares import store
from peer.shares.catalogue import Pending, mark_announced, modified_at, pending, restart
from peer.shares.offers import review
from peer.shares.schema import State
from tests.peer.shares.tables import NOW, add, ids, proof, record, tables


@pytest.fixture
def connection() -> sqlite3.Connection:
    return tables(b"/music")


def announce(connection: sqlite3.Connection, version: int = 1, limit: int = 1000, complete: bool = False) -> Pending:
    """One round with the super-peer."""
    sent = pending(connection, limit)
    mark_announced(connection, sent, version, complete)
    return sent


def paths(some: Pending) -> tuple[list[str], list[str]]:
    return [entry.path.removeprefix("music/") for entry in some.add], [
        path.removeprefix("music/") for path in some.remove
    ]


def gone(connection: sqlite3.Connection, *names: bytes) -> None:
    store.set_absent(connection, State.GONE, ids(connection, *names), NOW)
    review(connection, NOW)


def test_everything_is_announced_once(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b", "c"])
    first = announce(connection, 1, limit=2)
    assert (paths(first), first.more) == ((["a", "b"], []), True)
    second = announce(connection, 2, limit=2)
    assert (paths(second), second.more) == ((["c"], []), False)
    assert paths(announce(connection, 3)) == ([], [])


def test_an_entry_tells_all_that_the_wire_knows(connection: sqlite3.Connection) -> None:
    record(connection, proof("Holiday Photos/beach.jpg", "ab", size=1234, mtime_ns=1_600_000_000_123_456_789))
    (entry,) = pending(connection, 10).add
    assert entry.path == "music/Holiday Photos/beach.jpg"
    assert (entry.id[:2], entry.size, entry.mime, entry.category) == ("ab", 1234, "image/jpeg", "image")
    assert entry.modified == datetime(2020, 9, 13, 12, 26, 40, 123000, tzinfo=UTC)
    assert (entry.tags, entry.audience, entry.manifest) == ([], "public", None)


def test_what_goes_is_removed_if_it_was_announced(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b"])
    announce(connection)
    add(connection, ["never told"])
    gone(connection, b"a", b"never told")
    assert paths(announce(connection, 2)) == ([], ["a"])
    assert paths(announce(connection, 3)) == ([], [])


def test_what_changed_replaces_what_was_announced(connection: sqlite3.Connection) -> None:
    record(connection, proof("a", "aa"), proof("b", "bb"))
    announce(connection)
    record(connection, proof("a", "cc", mtime_ns=2000))
    sent = announce(connection, 2)
    assert paths(sent) == (["a"], [])
    assert sent.add[0].id.startswith("cc")


def test_a_change_on_the_way_stays_pending(connection: sqlite3.Connection) -> None:
    record(connection, proof("changed", "aa"), proof("gone", "bb"), proof("same", "dd"))
    sent = pending(connection, 10)
    record(connection, proof("changed", "cc", mtime_ns=2000))
    gone(connection, b"gone")
    mark_announced(connection, sent, 1, False)
    rest = pending(connection, 10)
    assert paths(rest) == (["changed"], ["gone"])
    assert rest.add[0].id.startswith("cc")


def test_what_comes_back_while_its_removal_is_on_the_way_is_announced_again(connection: sqlite3.Connection) -> None:
    add(connection, ["a"])
    announce(connection)
    gone(connection, b"a")
    sent = pending(connection, 10)
    assert paths(sent) == ([], ["a"])
    store.set_back(connection, [(1, row) for row in ids(connection, b"a")])
    review(connection, NOW)
    mark_announced(connection, sent, 2, False)
    assert paths(pending(connection, 10)) == (["a"], [])


def test_a_path_that_passed_to_another_file_on_the_way(connection: sqlite3.Connection) -> None:
    composed, decomposed = "é".encode(), "e\u0301".encode()
    record(connection, proof(composed, "aa"))
    sent = pending(connection, 10)
    gone(connection, composed)
    record(connection, proof(decomposed, "bb"))
    mark_announced(connection, sent, 1, False)
    rest = announce(connection, 2)
    assert ([entry.id[:2] for entry in rest.add], rest.remove) == (["bb"], [])
    gone(connection, decomposed)
    assert paths(announce(connection, 3)) == ([], ["é"])


def test_beginning_anew_announces_what_is_offered_and_nothing_else(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b", "c"])
    announce(connection, 1, complete=True)
    gone(connection, b"b")
    _, version, restarting = restart(connection)
    assert (version, restarting) == (0, 1)
    sent = pending(connection, 10)
    assert paths(sent) == (["a", "c"], [])
    assert mark_announced(connection, sent, 1, True)[1:] == (1, 0)


def test_a_new_catalogue_is_a_beginning(connection: sqlite3.Connection) -> None:
    catalogue_id, version, restarting = restart(connection)
    assert (len(catalogue_id), version, restarting) == (32, 0, 1)
    assert catalogue_id != restart(tables(b"/music"))[0]


def test_times_that_the_wire_does_not_have(connection: sqlite3.Connection) -> None:
    assert modified_at(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert modified_at(-(10**18)) == datetime(1938, 4, 24, 22, 13, 20, tzinfo=UTC)
    assert modified_at(2**63 - 1) is not None
    assert modified_at(10**21) is None


class SuperPeer:
    """What it would hold after the calls that reached it."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def take(self, sent: Pending) -> None:
        for path in sent.remove:
            self.held.pop(path, None)
        self.held |= {entry.path: entry.id for entry in sent.add}


NAMES = st.sampled_from(["a", "b", "c", "é", "e\u0301"])
STEPS = st.one_of(
    st.tuples(st.just("prove"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("gone"), NAMES, st.just(0)),
    st.tuples(st.just("back"), NAMES, st.just(0)),
    st.tuples(st.just("send"), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("arrive"), st.just(""), st.just(0)),
    st.tuples(st.just("restart"), st.just(""), st.just(0)),
)


@given(st.lists(STEPS, max_size=25))
def test_in_the_end_the_super_peer_holds_what_is_offered(steps: list[tuple[str, str, int]]) -> None:
    connection, super_peer, on_the_way = tables(b"/music"), SuperPeer(), None
    for moment, (step, name, number) in enumerate(steps):
        if step == "prove":
            record(connection, proof(name, f"{number}", mtime_ns=moment))
        elif step == "gone":
            gone(connection, name.encode())
        elif step == "back":
            store.set_back(connection, [(1, row) for row in ids(connection, name.encode())])
            review(connection, NOW)
        elif step == "send" and on_the_way is None:
            on_the_way = pending(connection, number)
            super_peer.take(on_the_way)
        elif step == "arrive" and on_the_way is not None:
            mark_announced(connection, on_the_way, 1, False)
            on_the_way = None
        elif step == "restart" and on_the_way is None:
            super_peer.held.clear()
            restart(connection)
    if on_the_way is not None:
        mark_announced(connection, on_the_way, 1, False)
    for _ in range(20):
        super_peer.take(announce(connection, limit=2))
    offered = connection.execute("SELECT path, hash FROM entry WHERE offered").fetchall()
    assert super_peer.held == dict(offered)
    assert connection.execute("SELECT count(*) FROM entry WHERE dirty").fetchone() == (0,)
