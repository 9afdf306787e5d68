"""Shares inside shares, and what they are called."""

import pytest

from common.content.names import same_name_key
from peer.shares.share import Share, active_ids, catalogue_path, covers, home_of, label_for, relative
from peer.shares.tree import Rules

RULES = Rules()


def folder(number: int, path: bytes, **changes: object) -> Share:
    fields = {"configured": False, "requested": True, "unshared": False, "active": True} | changes
    return Share(number, path, f"label {number}", True, **fields)  # type: ignore[arg-type]


def file(number: int, path: bytes) -> Share:
    return Share(number, path, f"label {number}", False, False, True, False, True)


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        (b"/a", b"/a", b""),
        (b"/a", b"/a/b/c", b"b/c"),
        (b"/a", b"/ab", None),
        (b"/a/b", b"/a", None),
        (b"/", b"/a", b"a"),
        (b"/", b"/", b""),
    ],
)
def test_relative(root: bytes, path: bytes, expected: bytes | None) -> None:
    assert relative(root, path) == expected


def test_the_outer_share_covers_the_inner_one() -> None:
    shares = [folder(1, b"/music"), folder(2, b"/music/jazz"), file(3, b"/music/jazz/tune.mp3"), file(4, b"/other.txt")]
    assert active_ids(shares, RULES) == {1, 4}
    assert home_of(b"/music/jazz/tune.mp3", shares[:1], RULES) == shares[0]


def test_the_inner_share_stands_for_itself_where_the_outer_one_does_not_come() -> None:
    outer = folder(1, b"/home")
    hidden, kept_out = folder(2, b"/home/.hidden/music"), folder(3, b"/home/private/music")
    rules = Rules(closed=frozenset({b"/home/private"}))
    assert active_ids([outer, hidden, kept_out], rules) == {1, 2, 3}
    assert active_ids([outer, hidden], Rules(include_hidden=True)) == {1}


def test_a_share_that_is_not_wanted_covers_nothing() -> None:
    inner = folder(2, b"/music/jazz")
    assert active_ids([folder(1, b"/music", unshared=True), inner], RULES) == {2}
    assert active_ids([folder(1, b"/music", requested=False), inner], RULES) == {2}


def test_a_file_covers_nothing_and_no_share_covers_itself() -> None:
    assert not covers(file(1, b"/music"), b"/music/tune", RULES)
    assert not covers(folder(1, b"/music"), b"/music", RULES)


def test_the_root_of_the_disk_covers_all() -> None:
    assert covers(folder(1, b"/"), b"/music/tune", RULES)


@pytest.mark.parametrize(
    ("path", "taken", "expected"),
    [
        (b"/home/me/music", [], "music"),
        (b"/mnt/music", ["music"], "music (2)"),
        (b"/mnt/Music", ["music", "music (2)"], "Music (3)"),
        (b"/home/me/report.pdf", ["report.pdf"], "report (2).pdf"),
        (b"/", [], "file"),
        (b"/home/.config", [], "config"),
        (b"/home/caf\xe9", [], "caf%E9"),
    ],
)
def test_labels_are_unique_and_safe(path: bytes, taken: list[str], expected: str) -> None:
    label = label_for(path, taken)
    assert label == expected
    assert same_name_key(label) not in {same_name_key(each) for each in taken}


def test_paths_in_the_catalogue() -> None:
    assert catalogue_path("music", True, b"jazz/1959", b"tune.mp3") == "music/jazz/1959/tune.mp3"
    assert catalogue_path("music", True, b"", b"tune.mp3") == "music/tune.mp3"
    assert catalogue_path("tune (2).mp3", False, b"", b"tune.mp3") == "tune (2).mp3"
    assert catalogue_path("music", True, b"", b"caf\xe9") == "music/caf\\xe9"
