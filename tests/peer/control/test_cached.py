"""`peer cache`: what is offered on is listed for people and for programs, and dropped."""

from pathlib import Path

import pytest

from common.wire.cache import Cache, CachedFile
from tests.peer.control.conftest import TOKEN, WHEN, Command, FakePeer
from tests.peer.control.test_cli_terminal import on_terminal, plain

ID = "ab" * 32


@pytest.fixture
def own(own_peer: FakePeer, folder: Path) -> list[str]:
    """How commands find that peer and its token."""
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "owner-token").write_text(TOKEN)
    return ["--peer", own_peer.address, "--data", "data"]


async def test_it_is_a_table_with_sums(peer: Command, own_peer: FakePeer, own: list[str]) -> None:
    file = CachedFile(ID, "a\x1b]0;evil\x07[bold]b", 1_500_000, WHEN, WHEN)
    own_peer.cache = Cache([file], 1200, 9_000_000, 10_000_000)
    code, sent = await on_terminal(peer, "cache", *own)
    assert code == 0
    lines = plain(sent).splitlines()
    assert "[bold]b" in plain(sent)
    assert not set(plain(sent)) & set("\x1b\x07")
    assert [line.strip() for line in lines[-2:]] == [ID, "1200 files, 9.0 MB of at most 10 MB"]


@pytest.mark.parametrize(("cap", "told"), [(5, "Nothing is offered on.\n"), (0, "the configuration says so")])
async def test_that_there_is_nothing_is_told(
    peer: Command, own_peer: FakePeer, own: list[str], cap: int, told: str
) -> None:
    own_peer.cache = Cache([], 0, 0, cap)
    code, sent = await on_terminal(peer, "cache", *own)
    assert (code, told in plain(sent).replace("\r", "")) == (0, True)


async def test_programs_get_a_line_for_each_file(peer: Command, own_peer: FakePeer, own: list[str]) -> None:
    own_peer.cache = Cache([CachedFile(ID, "a.txt", 1, WHEN, WHEN)] * 2, 2, 2, 3)
    ran = await peer("cache", *own)
    assert [line["filename"] for line in ran.lines] == ["a.txt", "a.txt"]


async def test_some_are_dropped_or_all(peer: Command, own_peer: FakePeer, own: list[str]) -> None:
    assert (await peer("cache", "drop", ID.upper(), "cd" * 32, *own)).code == 0
    assert (await peer("cache", "clear", *own)).code == 0
    assert [asked[:2] for asked in own_peer.asked] == [
        ("DELETE", f"/api/v1/cache/{ID}"),
        ("DELETE", f"/api/v1/cache/{'cd' * 32}"),
        ("DELETE", "/api/v1/cache"),
    ]


@pytest.mark.parametrize("wrong", [["drop"], ["clear", ID], ["drop", "abc"], ["keep"]])
async def test_what_makes_no_sense_is_refused_before_anything_is_done(
    peer: Command, own_peer: FakePeer, own: list[str], wrong: list[str]
) -> None:
    ran = await peer("cache", *wrong, *own)
    assert (ran.code, own_peer.asked) == (2, [])
