"""What others are shown: one line to a content, newest first, found by name, category and tag."""

import sqlite3

import pytest

from peer.shares import decisions, listing, share_store
from peer.shares.agenda import Place
from peer.shares.offers import review
from peer.shares.tree import Rules
from tests.peer.shares.tables import NOW, ids, proof, record, tables


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = tables(b"/music", b"/books")
    record(connection, proof("Miles Davis/So What.mp3", "a1", size=30), now=NOW)
    record(connection, proof("live/song.flac", "a2", size=20), now=NOW + 1)
    record(connection, proof("novel.txt", "b1", share=2), now=NOW + 2)
    record(connection, proof("copy of novel.txt", "b1", share=2), now=NOW + 3)
    return connection


def names(connection: sqlite3.Connection, q: str = "", category: str = "", **page: int) -> list[str]:
    found = listing.search(connection, q, category, page.get("offset", 0), page.get("limit", 100))
    return [each.filename for each in found.results]


def test_newest_first_and_each_content_once(connection: sqlite3.Connection) -> None:
    assert names(connection) == ["novel.txt", "song.flac", "So What.mp3"]
    assert listing.search(connection, "", "", 0, 1).count == 3


def test_pages(connection: sqlite3.Connection) -> None:
    assert names(connection, limit=2) == ["novel.txt", "song.flac"]
    assert names(connection, limit=2, offset=2) == ["So What.mp3"]
    assert names(connection, offset=3) == []


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("what", ["So What.mp3"]),
        ("WHAT davis", ["So What.mp3"]),
        ("miles novel", []),
        ("audio", ["song.flac", "So What.mp3"]),
        ("music", ["song.flac"]),  # the tag of a song
        ("copy", ["copy of novel.txt"]),  # found by another of its names
        ("%", []),
        ("_", []),
        ("'; DROP TABLE entry", []),
        ("\ud800", []),
        ("\0", []),
        ("  ", ["novel.txt", "song.flac", "So What.mp3"]),
    ],
)
def test_search_by_words(connection: sqlite3.Connection, q: str, expected: list[str]) -> None:
    assert names(connection, q) == expected


def test_search_by_category(connection: sqlite3.Connection) -> None:
    assert names(connection, category="document") == ["novel.txt"]
    assert names(connection, "so", "audio") == ["song.flac", "So What.mp3"]
    assert names(connection, category="nothing") == []


def test_a_search_does_not_care_for_case_or_composition(connection: sqlite3.Connection) -> None:
    record(connection, proof("Ärger.txt".encode(), "c1"), proof("e\u0301te\u0301.txt".encode(), "c2"))
    assert names(connection, "äRGER") == ["Ärger.txt"]
    assert names(connection, "Été") == ["été.txt"]


def test_a_file_is_found_by_its_id(connection: sqlite3.Connection) -> None:
    share_store.count_download(connection, "a1".ljust(64, "0"))
    share_store.count_download(connection, "a1".ljust(64, "0"))
    found = listing.find(connection, "a1".ljust(64, "0"))
    assert found is not None
    assert (found.filename, found.size, found.hash, found.category) == ("So What.mp3", 30, found.id, "audio")
    assert (found.downloads, found.is_available, found.shared_at.timestamp()) == (2, True, NOW)
    assert listing.find(connection, "ff" * 32) is None


def test_what_is_not_for_everybody_is_shown_to_its_owner_alone(connection: sqlite3.Connection) -> None:
    file_id = "a1".ljust(64, "0")
    decisions.edit(connection, file_id, None, "friends", NOW)
    assert "So What.mp3" not in names(connection)
    assert (listing.find(connection, file_id), listing.kept(connection, file_id)) == (None, [])
    assert listing.find(connection, file_id, public_only=False) is not None
    assert listing.search(connection, "what", "", 0, 10, public_only=False).count == 1


def test_where_a_content_lies_the_available_place_first(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE entry SET state = 2, withdraw_at = ? WHERE id = ?", (NOW + 99, *ids(connection, b"novel.txt"))
    )
    found = listing.kept(connection, "b1".ljust(64, "0"))
    assert [(each.root, each.place, each.name) for each in found] == [
        (b"/books", Place(2, b""), b"copy of novel.txt"),
        (b"/books", Place(2, b""), b"novel.txt"),
    ]
    assert found[0].stamp[:2] == (10, 1000)


def test_sizes_of_shares_covered_ones_too(connection: sqlite3.Connection) -> None:
    decisions.share(connection, b"/music/live", True, [], None, Rules(), NOW)
    decisions.share(connection, b"/elsewhere", True, [], None, Rules(), NOW)
    review(connection, NOW)
    shares = share_store.load(connection)
    sizes = listing.sizes(connection, shares, Rules())
    assert {share.path: sizes[share.id] for share in shares} == {
        b"/music": (2, 50),
        b"/books": (2, 20),
        b"/music/live": (1, 20),
        b"/elsewhere": (0, 0),
    }


def test_a_page_of_very_many_equal_files_is_found(connection: sqlite3.Connection) -> None:
    record(connection, *(proof(f"{number}/__init__.py", "ee") for number in range(300)))
    assert names(connection, "init") == ["__init__.py"]
    record(connection, proof("last", "ff"), now=NOW + 9)
    assert names(connection, limit=1) == ["last"]


def paths(connection: sqlite3.Connection, path: str = "", after: int = 0, limit: int = 100) -> list[str]:
    return [each.path for each in listing.below(connection, path, after, limit).files]


def test_below_a_folder_each_path_is_told_equal_contents_too(connection: sqlite3.Connection) -> None:
    record(connection, proof("live/song.flac.txt", "a2"), now=NOW)
    record(connection, proof("live 2/other.flac", "a3"), now=NOW)
    assert paths(connection, "books") == ["books/novel.txt", "books/copy of novel.txt"]
    assert paths(connection, "music/live") == ["music/live/song.flac", "music/live/song.flac.txt"]
    assert paths(connection, "music/live/song.flac") == ["music/live/song.flac"]
    assert paths(connection, "music/liv") == []
    assert listing.below(connection, "", 0, 1).total == len(paths(connection)) == 6


def test_pages_of_a_folder_go_on_behind_the_last_path(connection: sqlite3.Connection) -> None:
    first = listing.below(connection, "", 0, 3)
    assert len(first.files) == 3
    assert first.following is not None
    rest = listing.below(connection, "", first.following, 3)
    assert [each.path for each in (*first.files, *rest.files)] == paths(connection)
    assert rest.following is None


@pytest.mark.parametrize("path", ["%", "_", "'; DROP TABLE entry", "\0"])
def test_what_is_no_folder_has_nothing_below(connection: sqlite3.Connection, path: str) -> None:
    assert paths(connection, path) == []


def test_what_is_not_for_everybody_is_not_below_either(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entry SET audience = 'friends' WHERE path = 'music/live/song.flac'")
    assert paths(connection, "music/live") == []
    assert listing.below(connection, "music/live", 0, 9).total == 0
