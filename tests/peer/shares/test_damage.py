"""What checks have found, in the tables: whom it concerns, what moves along, what is listed."""

import sqlite3

import pytest

from peer.shares.damage import Finding, Made, apply, count, due, listed
from peer.shares.schema import Damage
from tests.peer.shares.tables import NOW, add, ids, offered, proof, record, rows, tables


@pytest.fixture
def connection() -> sqlite3.Connection:
    return tables(b"/music")


def lose(connection: sqlite3.Connection, name: bytes, now: float = NOW) -> None:
    [suspect] = [suspect for suspect in due(connection, NOW, 10) if suspect.kept.name == name]
    apply(connection, [Finding(suspect, Damage.DIFFERS, 7)], now)


def test_a_damaged_file_is_withdrawn_told_once_and_listed(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b"])
    suspects = due(connection, NOW, 10)
    judged = apply(connection, [Finding(suspects[0], Damage.UNREADABLE, 7)], NOW)
    assert [file.filename for file in judged.damaged] == [file.filename for file in judged.news.removed] == ["a"]
    assert (judged.total, offered(connection)) == (1, ["music/b"])
    again = apply(connection, [Finding(suspects[0], Damage.DIFFERS, 8)], NOW + 1)
    assert (again.damaged, again.total) == ([], 1)
    assert [(file.path, file.why.split()[0]) for file in listed(connection)] == [("/music/a", "Its")]


def test_what_was_found_of_another_version_does_not_count(connection: sqlite3.Connection) -> None:
    add(connection, ["a"])
    [suspect] = due(connection, NOW, 10)
    record(connection, proof("a", "ff", mtime_ns=2000))
    assert apply(connection, [Finding(suspect, Damage.DIFFERS, 7)], NOW).total == 0
    apply(connection, [Finding(suspect, made=Made(b"x" * 16), is_sound=True)], NOW)
    assert offered(connection) == ["music/a"]
    assert [(again.checked_at, again.xxh3) for again in due(connection, NOW, 10)] == [(None, None)]


def test_a_damaged_file_stays_so_under_the_name_of_another(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b"])
    lose(connection, b"a")
    record(connection, proof("b", "1", source=ids(connection, b"a")[0], inode=99))
    assert rows(connection, "damage", "name = x'62'") == [(Damage.DIFFERS,)]
    assert offered(connection) == []
    record(connection, proof("b", "1", mtime_ns=3000))
    assert offered(connection) == ["music/b"]


def test_a_sound_file_is_due_again_after_its_time(connection: sqlite3.Connection) -> None:
    add(connection, ["a"])
    [suspect] = due(connection, NOW, 10)
    apply(connection, [Finding(suspect, made=Made(b"x" * 16), is_sound=True)], NOW)
    assert due(connection, NOW - 1, 10) == []
    [again] = due(connection, NOW, 10)
    assert (again.xxh3, again.checked_at) == (b"x" * 16, NOW)


def test_it_takes_a_sound_reading_to_offer_a_damaged_file_again(connection: sqlite3.Connection) -> None:
    add(connection, ["a"])
    lose(connection, b"a")
    [suspect] = due(connection, NOW, 10)
    apply(connection, [Finding(suspect)], NOW)
    assert (offered(connection), count(connection)) == ([], 1)
    judged = apply(connection, [Finding(suspect, is_sound=True)], NOW)
    assert ([file.filename for file in judged.news.added], judged.total) == (["a"], 0)
