"""The tables: what was found is there, in its place, under a name of its own."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.shares import listing, offers, store
from peer.shares.agenda import Place
from peer.shares.offers import review
from peer.shares.schema import State
from tests.peer.shares.tables import NOW, add, ids, offered, proof, record, rows, tables

ROOT = Place(1, b"")
FOLDERS = st.lists(st.text(st.sampled_from(["a", "b", "-", "0", ".", "!", "~"]), min_size=1, max_size=2), max_size=4)


@pytest.fixture
def connection() -> sqlite3.Connection:
    return tables(b"/music", b"/books")


def test_what_is_proven_is_offered(connection: sqlite3.Connection) -> None:
    news = record(connection, proof("jazz/tune.mp3"), proof("tune.mp3", "bb", share=2, size=5))
    assert offered(connection) == ["books/tune.mp3", "music/jazz/tune.mp3"]
    assert [each.filename for each in news.added] == ["tune.mp3", "tune.mp3"]
    assert (news.files, news.bytes, news.is_dirty, news.removed, news.leaving_at) == (2, 15, True, [], None)


def test_rows_come_back_as_they_were_written(connection: sqlite3.Connection) -> None:
    record(connection, proof("jazz/tune.mp3", size=7, mtime_ns=8, inode=9, device=3))
    found = store.rows_in(connection, Place(1, b"jazz"))
    assert list(found) == [b"tune.mp3"]
    assert found[b"tune.mp3"][1:] == (b"tune.mp3", 7, 8, 9, 3, State.HERE, True)
    assert store.rows_named(connection, Place(1, b"jazz"), [b"tune.mp3", b"absent"]) == found
    assert store.rows_in(connection, ROOT) == {}


def test_another_content_under_the_same_name_takes_its_place(connection: sqlite3.Connection) -> None:
    record(connection, proof("tune.mp3", "aa", size=10))
    news = record(connection, proof("tune.mp3", "bb", size=20, mtime_ns=2000), now=NOW + 5)
    assert [each.id[:2] for each in news.removed] == ["aa"]
    assert [each.id[:2] for each in news.added] == ["bb"]
    assert (news.files, news.bytes) == (1, 20)
    assert rows(connection, "path, shared_at") == [("music/tune.mp3", NOW)]


def test_the_same_content_with_another_time_is_no_news_but_is_announced(connection: sqlite3.Connection) -> None:
    record(connection, proof("tune.mp3"))
    connection.execute("UPDATE entry SET dirty = 0, announced = 1")
    news = record(connection, proof("tune.mp3", mtime_ns=2000))
    assert (news.added, news.removed, news.is_dirty) == ([], [], True)


def test_names_that_would_look_alike_are_told_apart(connection: sqlite3.Connection) -> None:
    composed, decomposed = "é.txt".encode(), "e\u0301.txt".encode()
    record(connection, proof(composed, "aa"), proof(decomposed, "bb"))
    assert offered(connection) == ["music/é (2).txt", "music/é.txt"]


def test_names_that_are_not_text_are_written_out(connection: sqlite3.Connection) -> None:
    record(connection, proof(b"caf\xe9/a\nb.txt"))
    assert offered(connection) == ["music/caf\\xe9/a\\x0ab.txt"]


def test_the_path_of_what_is_gone_passes_on_and_with_it_what_was_announced(connection: sqlite3.Connection) -> None:
    composed, decomposed = "é.txt".encode(), "e\u0301.txt".encode()
    record(connection, proof(composed, "aa"))
    connection.execute("UPDATE entry SET dirty = 0, announced = 1")
    store.set_absent(connection, State.GONE, ids(connection, composed), NOW)
    review(connection, NOW)
    record(connection, proof(decomposed, "bb"))
    assert rows(connection, "path, announced, offered, dirty") == [(None, 0, 0, 0), ("music/é.txt", 1, 1, 1)]
    # And should the first one come back, it takes another.
    store.set_back(connection, [(1, row) for row in ids(connection, composed)])
    review(connection, NOW)
    assert offered(connection) == ["music/é (2).txt", "music/é.txt"]


def test_what_changed_is_kept_up_for_a_moment_then_withdrawn(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b"])
    store.set_changed(connection, ids(connection, b"a"), NOW)
    news = review(connection, NOW)
    assert (offered(connection), news.leaving_at) == (["music/a", "music/b"], NOW + store.CHANGED_GRACE)
    news = offers.withdraw(connection, NOW + store.CHANGED_GRACE)
    assert ([each.filename for each in news.removed], news.leaving_at) == (["a"], None)
    assert offered(connection) == ["music/b"]


def test_what_is_gone_is_withdrawn_at_once(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b"])
    store.set_absent(connection, State.GONE, ids(connection, b"a"), NOW)
    news = review(connection, NOW)
    assert ([each.filename for each in news.removed], news.files) == (["a"], 1)


def test_what_is_missing_is_withdrawn_after_a_while_and_comes_back_whole(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "sub/b"])
    store.set_folder_closed(connection, ROOT, NOW + store.MISSING_GRACE)
    news = review(connection, NOW)
    assert (news.files, news.leaving_at) == (2, NOW + store.MISSING_GRACE)
    found = listing.search(connection, "", "", 0, 10)
    assert [each.is_available for each in found.results] == [False, False]
    assert offers.withdraw(connection, NOW + store.MISSING_GRACE - 1).files == 2
    assert offers.withdraw(connection, NOW + store.MISSING_GRACE).files == 0
    store.set_back(connection, [(1, row) for row in ids(connection, b"a", b"b")])
    news = review(connection, NOW + 9000)
    assert (news.files, len(news.added)) == (2, 2)


def test_a_folder_that_vanished_takes_what_was_on_its_own_disk_along(connection: sqlite3.Connection) -> None:
    record(
        connection,
        proof("top", "aa", device=1),
        proof("sub/here", "bb", device=1),
        proof("sub/mounted/there", "cc", device=2),
        proof("sub-way/other", "dd", device=1),
    )
    store.set_folder_absent(connection, Place(1, b"sub"), 1, NOW)
    review(connection, NOW)
    assert rows(connection, "name, state") == [
        (b"top", State.HERE),
        (b"here", State.GONE),
        (b"there", State.MISSING),
        (b"other", State.HERE),
    ]
    assert offered(connection) == ["music/sub-way/other", "music/sub/mounted/there", "music/top"]


def test_what_cannot_be_read_any_more_is_withdrawn(connection: sqlite3.Connection) -> None:
    add(connection, ["a", "b"])
    store.set_unreadable(connection, ROOT, b"a")
    assert review(connection, NOW).files == 1
    assert not store.rows_in(connection, ROOT)[b"a"].proven
    record(connection, proof("a", "1"))
    assert offered(connection) == ["music/a", "music/b"]


@given(st.lists(FOLDERS, max_size=12))
def test_subfolders_are_those_of_the_paths(folders: list[list[str]]) -> None:
    connection = tables(b"/music")
    paths = {"/".join(parts) for parts in folders}
    record(connection, *(proof(f"{path}/file" if path else "file") for path in sorted(paths)))
    for at in {"", *paths, *(path.rpartition("/")[0] for path in paths)}:
        prefix = f"{at}/" if at else ""
        expected = {path[len(prefix) :].split("/")[0] for path in paths if path.startswith(prefix) and path != at}
        assert {name.decode() for name in store.subfolders(connection, Place(1, at.encode()))} == expected - {""}
        below = any(path == at or path.startswith(prefix) for path in paths)
        assert store.has_below(connection, Place(1, at.encode())) == below


def test_what_is_gone_has_no_folders(connection: sqlite3.Connection) -> None:
    add(connection, ["sub/a"])
    store.set_folder_absent(connection, Place(1, b"sub"), 1, NOW)
    assert list(store.subfolders(connection, ROOT)) == []
    assert not store.has_below(connection, Place(1, b"sub"))


def test_all_names_of_a_folder_come_in_portions(connection: sqlite3.Connection) -> None:
    names = [f"{number:04}" for number in range(1200)]
    add(connection, names)
    portions = list(store.names_in(connection, ROOT))
    assert [len(portion) for portion in portions] == [500, 500, 200]
    assert [row.name.decode() for portion in portions for row in portion] == names


def test_files_are_known_by_their_inode(connection: sqlite3.Connection) -> None:
    record(connection, proof("a", "aa", inode=5), proof("b", "bb", inode=6), proof("empty", "cc", inode=7, size=0))
    known = list(store.known_by_inode(connection, [5, 7, 8]))
    assert [(each.name, each.file_id[:2], each.stamp) for each in known] == [(b"a", "aa", (10, 1000, 5))]


def test_a_moved_file_stays_what_it_was(connection: sqlite3.Connection) -> None:
    record(connection, proof("a", "aa"))
    (source,) = ids(connection, b"a")
    connection.execute("UPDATE entry SET withheld = 1")
    record(connection, proof("moved", "aa", source=source), now=NOW + 100)
    assert rows(connection, "withheld, shared_at, offered", "name = 'moved' OR name = x'6d6f766564'") == [(1, NOW, 0)]


def test_memory_does_not_grow_for_ever(connection: sqlite3.Connection) -> None:
    add(connection, ["gone", "missing", "withheld", "announced", "here"])
    store.set_absent(connection, State.GONE, ids(connection, b"gone", b"withheld", b"announced"), NOW)
    store.set_absent(connection, State.MISSING, ids(connection, b"missing"), NOW)
    review(connection, NOW)
    connection.execute("UPDATE entry SET withheld = 1 WHERE name = CAST('withheld' AS BLOB)")
    connection.execute("UPDATE entry SET announced = 1 WHERE name = CAST('announced' AS BLOB)")
    offers.withdraw(connection, NOW + store.MISSING_GRACE)
    offers.forget(connection, NOW + offers.REMEMBERED)
    assert len(rows(connection, "id")) == 5
    offers.forget(connection, NOW + offers.REMEMBERED + 1)
    assert {name for (name,) in rows(connection, "name")} == {b"missing", b"withheld", b"announced", b"here"}
    offers.forget(connection, NOW + store.MISSING_GRACE + offers.RETIRED + 1)
    assert {name for (name,) in rows(connection, "name")} == {b"withheld", b"announced", b"here"}


def test_only_some_of_very_many_are_told(connection: sqlite3.Connection) -> None:
    news = add(connection, [f"{number}" for number in range(100)])
    assert (news.files, len(news.added)) == (100, offers.TOLD)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["prove", "gone", "missing", "changed", "back"])),
        max_size=20,
    )
)
def test_the_totals_are_always_those_of_what_is_offered(events: list[tuple[str, str]]) -> None:
    connection = tables(b"/music")
    now = NOW
    for name, event in events:
        now += 1
        rows_of = ids(connection, name.encode())
        if event == "prove":
            record(connection, proof(name, f"{now:.0f}"[-2:], size=int(now) % 7, mtime_ns=int(now)), now=now)
        elif event == "back":
            store.set_back(connection, [(1, row) for row in rows_of])
        elif event == "changed":
            store.set_changed(connection, rows_of, now)
        else:
            store.set_absent(connection, State.GONE if event == "gone" else State.MISSING, rows_of, now)
        review(connection, now)
        news = offers.withdraw(connection, now)
        counted = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM entry WHERE offered").fetchone()
        assert (news.files, news.bytes) == counted
        wrong = "offered <> (withdraw_at IS NULL OR withdraw_at > ?) OR review"
        assert connection.execute(f"SELECT count(*) FROM entry WHERE {wrong}", (now,)).fetchone() == (0,)
