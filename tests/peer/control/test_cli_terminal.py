"""The command `peer` on a terminal: tables and bars for a person, and nothing from outside that drives the terminal."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from pathlib import Path
from typing import Any

import pytest

from common.wire.files import DamagedFile, Share
from tests.peer.control.conftest import TOKEN, WHEN, Command, FakePeer, FakeSuperPeer
from tests.support.sources import Content, honest, source, whole_only

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


async def on_terminal(peer: Command, *arguments: str, columns: int = 80, **environment: Any) -> tuple[int, str]:
    """(exit code, all that a terminal of this width was sent)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    process = await peer.start(*arguments, stdout=theirs, stderr=theirs, env={"TERM": "xterm", **environment})
    os.close(theirs)
    sent = await asyncio.to_thread(read_all, ours)
    os.close(ours)
    return await process.wait(), sent.decode()


def read_all(terminal: int) -> bytes:
    sent = b""
    while True:
        try:
            sent += (more := os.read(terminal, 65536))
        except OSError:  # how a terminal says that nobody writes to it any more
            return sent
        if not more:
            return sent


def plain(sent: str) -> str:
    return _CONTROL.sub("", sent)


@pytest.mark.parametrize("columns", [80, 120])
async def test_search_is_a_table_whose_ids_can_be_copied(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, columns: int
) -> None:
    code, sent = await on_terminal(peer, "search", "blue", "--super-peer", super_peer.address, columns=columns)
    assert code == 0
    lines = [line.rstrip() for line in plain(sent).splitlines()]
    assert any(re.match(r"Name +Size +From", line) for line in lines)
    assert any(re.match(r"blue danube\.flac +1\.0 MB +1", line) for line in lines)
    assert any(line.startswith(shared.id) for line in lines)
    assert ("one, two" in sent) is (columns == 120)
    assert max(map(len, lines)) <= columns


async def test_get_ends_with_where_it_is(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    code, sent = await on_terminal(peer, "get", shared.name, "--super-peer", super_peer.address)
    assert code == 0
    assert "100%" in sent
    assert plain(sent).splitlines()[-1] == "Saved, 1.0 MB, proven by its id: ./blue danube.flac"
    assert (folder / shared.name).read_bytes() == shared.data


async def test_what_fails_is_one_line_after_the_bar(peer: Command, super_peer: FakeSuperPeer, content: Content) -> None:
    await super_peer.announce(content)
    code, sent = await on_terminal(peer, "get", content.id, "--super-peer", super_peer.address)
    assert code == 4
    assert plain(sent).splitlines()[-1] == "peer: No source of this file answers. Try again when one is online."


async def test_json_is_json_on_a_terminal_too(peer: Command, super_peer: FakeSuperPeer, shared: Content) -> None:
    code, sent = await on_terminal(peer, "search", "--json", "--super-peer", super_peer.address)
    assert (code, sent.startswith("{")) == (0, True)


async def test_nothing_found_and_nothing_shared_say_so(
    peer: Command, super_peer: FakeSuperPeer, own_peer: FakePeer
) -> None:
    _, sent = await on_terminal(peer, "search", "blue", "--super-peer", super_peer.address)
    assert "No file that is online fits “blue”." in sent
    _, sent = await on_terminal(peer, "ls", "--peer", own_peer.address)
    assert "peer share PATH" in sent


async def test_names_are_shown_without_what_would_drive_it(
    peer: Command, super_peer: FakeSuperPeer, own_peer: FakePeer, content: Content
) -> None:
    content.name = "a\x1b]0;evil\x07\x9b31m\u202e[bold]b\r\n"
    await super_peer.announce(content, honest(content))
    own_peer.share(content)
    commands = [["search", "--super-peer", super_peer.address], ["ls", "--peer", own_peer.address]]
    commands += [["get", content.id, "--super-peer", super_peer.address], ["status", "--peer", own_peer.address]]
    for command in commands:
        code, sent = await on_terminal(peer, *command)
        assert code == 0
        assert not set(plain(sent)) & set("\x1b\x07\x9b\u202e")
        assert "\x1b[2J" not in sent
        if command[0] != "status":
            assert "[bold]b" in plain(sent)


async def test_status_in_a_few_lines(peer: Command, own_peer: FakePeer) -> None:
    code, sent = await on_terminal(peer, "status", "--peer", own_peer.address, NO_COLOR="1")
    assert code == 0
    assert re.search(r"Super-peer +127\.0\.0\.1:\d+ \(registered\)", plain(sent))


async def test_status_says_what_is_wrong_below_the_super_peer_and_lists_what_is_shared(
    peer: Command, own_peer: FakePeer, folder: Path
) -> None:
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "owner-token").write_text(TOKEN)
    own_peer.trouble = "It cannot be reached."
    own_peer.shares = [Share("m", "/srv/m", "scanning", 1, 1), Share("a", "/nowhere/a", "missing", 2, 2)]
    own_peer.damaged = [DamagedFile("ab" * 32, "/srv/m/lost", 5, "It is lost.", "Restore it.", WHEN)]
    code, sent = await on_terminal(peer, "status", "--peer", own_peer.address, "--data", "data", columns=120)
    assert code == 0
    lines = [line.rstrip() for line in plain(sent).splitlines()]
    where = next(number for number, line in enumerate(lines) if line.endswith("(not registered)"))
    assert re.fullmatch(r"Trouble +It cannot be reached\.", lines[where + 1])
    where = next(number for number, line in enumerate(lines) if line.startswith("Shared paths"))
    assert lines[where].endswith(" /srv/m (1 file, scanning)")
    assert lines[where + 1].endswith(" /nowhere/a (2 files, missing: No such file or directory)")
    assert re.fullmatch(r"Damaged +/srv/m/lost", lines[where + 2])
    assert lines[where + 3].endswith("   It is lost. Restore it.")


async def test_without_the_owner_s_token_status_says_how_to_see_what_is_shared(
    peer: Command, own_peer: FakePeer
) -> None:
    _, sent = await on_terminal(peer, "status", "--peer", own_peer.address, columns=160)
    assert re.search(r"Shared paths +No owner's token in .* with --data DIR\.", plain(sent))


@pytest.mark.parametrize(("path", "said"), [("a.txt", "Shared {}"), ("a folder", "Shared the folder {}: its files")])
async def test_share_names_what_is_shared(
    peer: Command, own_peer: FakePeer, folder: Path, path: str, said: str
) -> None:
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "owner-token").write_text(TOKEN)
    (folder / "a.txt").touch()
    (folder / "a folder").mkdir()
    code, sent = await on_terminal(peer, "share", path, "--peer", own_peer.address, "--data", "data", columns=40)
    assert code == 0
    assert plain(sent).startswith(said.format(folder / path))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "Nothing is shared yet by anybody who is online. Share a file or a folder with `peer share PATH`."),
        (["--offline"], "Nothing is shared yet. Share a file or a folder with `peer share PATH`."),
        (["a", "b"], "No file that is online fits “a b”."),
        (["--ext", "x"], "No such file is shared by anybody who is online."),
    ],
)
async def test_nothing_found_says_what_was_looked_for(
    peer: Command, super_peer: FakeSuperPeer, asked: list[str], said: str
) -> None:
    code, sent = await on_terminal(peer, "search", *asked, "--super-peer", super_peer.address, columns=120)
    assert (code, plain(sent).strip()) == (0, said)


async def test_what_a_source_did_ends_in_one_full_stop(
    peer: Command, super_peer: FakeSuperPeer, content: Content
) -> None:
    await super_peer.announce(content, whole_only(b""))
    super_peer.sources[content.id] = [source(f"http://127.0.0.1:1/api/v1/download/{content.id}")]
    code, sent = await on_terminal(peer, "get", content.id, "--super-peer", super_peer.address, columns=120)
    assert code != 0
    assert "Source peer: " in plain(sent)
    assert ".." not in plain(sent)
