"""What the owner decides stays decided."""

import sqlite3

import pytest

from peer.shares import decisions, listing, share_store, store
from peer.shares.offers import forget, review
from peer.shares.schema import State
from peer.shares.tree import Rules
from tests.peer.shares.tables import NOW, ids, offered, proof, record, rows, tables

RULES = Rules()
SONG, BOOK = "a1".ljust(64, "0"), "b1".ljust(64, "0")


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = tables(b"/music")
    record(connection, proof("jazz/song.mp3", "a1"), proof("rock/song.mp3", "a1"), proof("book.txt", "b1"))
    return connection


def share(
    connection: sqlite3.Connection, path: bytes, is_folder: bool, *tags: str, audience: str | None = None
) -> None:
    decisions.share(connection, path, is_folder, tags, audience, RULES, NOW)


def tags(connection: sqlite3.Connection, file_id: str = SONG) -> list[str]:
    found = listing.find(connection, file_id, public_only=False)
    return found.tags if found else []


def test_an_unshared_content_is_withheld_under_all_its_names(connection: sqlite3.Connection) -> None:
    news = decisions.unshare(connection, SONG, NOW)
    assert (offered(connection), len(news.removed)) == (["music/book.txt"], 2)
    record(connection, proof("another copy.mp3", "a1"))
    assert offered(connection) == ["music/book.txt"]


def test_an_unshared_name_is_withheld_whatever_is_in_it(connection: sqlite3.Connection) -> None:
    decisions.unshare(connection, SONG, NOW)
    record(connection, proof("jazz/song.mp3", "cc", mtime_ns=2000))
    assert offered(connection) == ["music/book.txt"]
    record(connection, proof("the same elsewhere.mp3", "cc"))
    assert offered(connection) == ["music/book.txt", "music/the same elsewhere.mp3"]


def test_it_stays_unshared_when_it_is_gone_for_long_and_comes_back(connection: sqlite3.Connection) -> None:
    decisions.unshare(connection, SONG, NOW)
    store.set_absent(connection, State.GONE, ids(connection, b"song.mp3"), NOW)
    review(connection, NOW)
    forget(connection, NOW + 10**8)
    record(connection, proof("jazz/song.mp3", "dd", mtime_ns=9))
    assert offered(connection) == ["music/book.txt"]


def test_sharing_a_path_again_lifts_it(connection: sqlite3.Connection) -> None:
    decisions.unshare(connection, SONG, NOW)
    share(connection, b"/music/jazz/song.mp3", False)
    assert offered(connection) == ["music/book.txt", "music/jazz/song.mp3"]
    record(connection, proof("another copy.mp3", "a1"))
    assert "music/another copy.mp3" in offered(connection)
    assert [each.path for each in share_store.load(connection)] == [b"/music"]


def test_sharing_a_folder_again_lifts_all_in_it(connection: sqlite3.Connection) -> None:
    decisions.unshare(connection, SONG, NOW)
    decisions.unshare(connection, BOOK, NOW)
    share(connection, b"/music/jazz", True)
    assert offered(connection) == ["music/jazz/song.mp3"]
    share(connection, b"/music", True)
    assert offered(connection) == ["music/book.txt", "music/jazz/song.mp3", "music/rock/song.mp3"]


def test_a_folder_in_a_share_can_be_left_out_and_taken_in_again(connection: sqlite3.Connection) -> None:
    decided = decisions.unshare_path(connection, b"/music/jazz", True, RULES, NOW)
    assert decided is not None
    assert decided.excluded == {b"/music/jazz"}
    assert offered(connection) == ["music/book.txt", "music/rock/song.mp3"]
    share(connection, b"/music/jazz", True)
    assert share_store.exclusions(connection) == frozenset()


def test_a_file_in_a_folder_that_is_left_out_can_be_shared_by_itself(connection: sqlite3.Connection) -> None:
    decisions.unshare_path(connection, b"/music/jazz", True, RULES, NOW)
    share(connection, b"/music/jazz/song.mp3", False)
    alone = share_store.load(connection)[-1]
    assert (alone.path, alone.active, alone.label) == (b"/music/jazz/song.mp3", True, "song.mp3")
    assert share_store.exclusions(connection) == {b"/music/jazz"}


def test_one_name_can_be_left_out_while_its_copy_stays(connection: sqlite3.Connection) -> None:
    assert decisions.unshare_path(connection, b"/music/jazz/song.mp3", False, RULES, NOW) is not None
    assert offered(connection) == ["music/book.txt", "music/rock/song.mp3"]
    assert decisions.unshare_path(connection, b"/music/jazz/song.mp3", False, RULES, NOW) is None


def test_a_whole_share_can_be_left_out_though_the_configuration_names_it(connection: sqlite3.Connection) -> None:
    decisions.unshare_path(connection, b"/music", True, RULES, NOW)
    assert offered(connection) == []
    decisions.configure(connection, [(b"/music", True)], RULES, NOW)
    assert offered(connection) == []
    share(connection, b"/music", True)
    assert len(offered(connection)) == 3


def test_a_share_inside_another_adds_nothing_until_the_outer_one_goes(connection: sqlite3.Connection) -> None:
    share(connection, b"/music/jazz", True)
    assert [(each.label, each.active) for each in share_store.load(connection)] == [("music", True), ("jazz", False)]
    decisions.configure(connection, [], RULES, NOW)
    assert [(each.label, each.active) for each in share_store.load(connection)] == [("music", False), ("jazz", True)]


def test_unsharing_a_folder_drops_the_shares_inside_it(connection: sqlite3.Connection) -> None:
    share(connection, b"/music/jazz", True)
    decisions.unshare_path(connection, b"/music/jazz", True, RULES, NOW)
    assert [each.wanted for each in share_store.load(connection)] == [True, False]
    assert offered(connection) == ["music/book.txt", "music/rock/song.mp3"]


def test_what_is_not_shared_cannot_be_unshared(connection: sqlite3.Connection) -> None:
    assert decisions.unshare_path(connection, b"/elsewhere", True, RULES, NOW) is None
    assert decisions.unshare_path(connection, b"/music/absent.mp3", False, RULES, NOW) is None


def test_a_share_that_is_configured_no_more_is_withdrawn_and_remembered(connection: sqlite3.Connection) -> None:
    decided = decisions.configure(connection, [(b"/other", True)], RULES, NOW)
    assert (offered(connection), decided.news.files) == ([], 0)
    decided = decisions.configure(connection, [(b"/music", True)], RULES, NOW)
    assert decided.news.files == 3
    assert rows(connection, "count(*)", "hash IS NULL") == [(0,)]


def test_what_the_owner_asked_for_outlives_the_configuration(connection: sqlite3.Connection) -> None:
    share(connection, b"/asked", True)
    decisions.configure(connection, [], RULES, NOW)
    assert [each.path for each in share_store.load(connection) if each.active] == [b"/asked"]


def test_tags_and_audience_stay_with_a_content_and_follow_its_edits(connection: sqlite3.Connection) -> None:
    decisions.edit(connection, SONG, ["  cool   jazz ", "live", "live", ""], "friends", NOW)
    assert tags(connection) == ["cool jazz", "live"]
    record(connection, proof("jazz/song.mp3", "cc", mtime_ns=2000))
    assert tags(connection, "cc".ljust(64, "0")) == ["cool jazz", "live"]
    assert rows(connection, "audience", "hash LIKE 'cc%'") == [("friends",)]
    decisions.edit(connection, SONG, [], None, NOW)
    assert (tags(connection), rows(connection, "audience", "hash LIKE 'a1%'")) == ([], [("friends",)])


def test_an_edit_is_announced(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entry SET dirty = 0, announced = 1")
    assert not decisions.edit(connection, SONG, None, "public", NOW).is_dirty
    assert decisions.edit(connection, SONG, ["new"], None, NOW).is_dirty
    assert len(rows(connection, "id", "dirty")) == 2


def test_tags_and_audience_of_a_folder_are_for_all_in_it(connection: sqlite3.Connection) -> None:
    share(connection, b"/music/jazz", True, "cool", audience="friends")
    assert rows(connection, "folder, tags, audience", "category = 'audio'") == [
        (b"jazz", '["music", "cool"]', "friends"),
        (b"rock", '["music"]', "public"),
    ]
    record(connection, proof("jazz/later.mp3", "dd"))
    assert rows(connection, "tags, audience", "hash LIKE 'dd%'") == [('["cool"]', "friends")]


def test_the_innermost_audience_counts(connection: sqlite3.Connection) -> None:
    share(connection, b"/music", True, "all", audience="family")
    share(connection, b"/music/jazz", True, "cool", audience="friends")
    assert rows(connection, "folder, audience, tags", "category = 'audio'") == [
        (b"jazz", "friends", '["music", "all", "cool"]'),
        (b"rock", "family", '["music", "all"]'),
    ]


def test_labels_do_not_change_once_given(connection: sqlite3.Connection) -> None:
    share(connection, b"/mnt/music", True)
    decisions.configure(connection, [], RULES, NOW)
    decisions.configure(connection, [(b"/third/music", True), (b"/music", True)], RULES, NOW)
    assert {each.path: each.label for each in share_store.load(connection)} == {
        b"/music": "music",
        b"/mnt/music": "music (2)",
        b"/third/music": "music (3)",
    }
