"""The command `peer` as a process: what it asks, what it says, and how it ends."""

import asyncio
import json
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from common.wire.files import DamagedFile, Share
from peer.control.arguments import parser, run_settings
from tests.peer.control.conftest import TOKEN, WHEN, Command, FakePeer, FakeSuperPeer, json_response, problem
from tests.support.sources import Content, honest, serve


@pytest.fixture
def owner(folder: Path, own_peer: FakePeer) -> list[str]:
    """The options of the owner of this peer."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    (data / "owner-token").write_text(TOKEN + "\n")
    return ["--peer", own_peer.address, "--data", str(data)]


def free_address() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["get", "-h"], ["search", "-h"], ["--version"]])
async def test_help_is_at_hand(peer: Command, arguments: list[str]) -> None:
    ran = await peer(*arguments)
    assert ran.code == 0
    assert ran.out.startswith(("usage: peer", "peer "))
    assert not ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["get"],
        ["get", "a", "--list", "b"],
        ["get", "a", "--priority", "high"],
        ["get", "a", "--later", "--super-peer", "127.0.0.1:1"],
        ["get", "--list", "nowhere"],
        ["limits", "--upload", "fast"],
        ["pause"],
        ["run", "--host", "127.0.0.1", "--lan"],
        ["run", "--port", "99999"],
        ["run", "--super-peer", "nonsense"],
        ["search", "x", "--super-peer", "nonsense"],
        ["status", "--peer", "nonsense"],
        ["status", "--config", "nowhere.yaml"],
        ["unshare", "abc", "--delete"],
    ],
)
async def test_wrong_use_ends_with_2_and_says_why(peer: Command, arguments: list[str]) -> None:
    ran = await peer(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert ran.err.splitlines()[-1].startswith("peer")


def test_run_gives_its_flags_the_names_of_settings() -> None:
    flags = "--lan --port 9002 --share a --share b --super-peer h:1 --name n --data d -v"
    given = parser().parse_args(["run", *flags.split(" ")])
    assert run_settings(given) == {
        "peer.host": "::",
        "peer.port": "9002",
        "peer.shared_directory": "a",
        "peer.shares": ["b"],
        "peer.super_peer_address": "h:1",
        "peer.name": "n",
        "peer.data": "d",
        "logging.level": "debug",
    }
    assert set(run_settings(parser().parse_args(["run"])).values()) == {None}


async def test_search_says_one_file_a_line(peer: Command, super_peer: FakeSuperPeer, shared: Content) -> None:
    ran = await peer("search", "blue", "danube", "--super-peer", super_peer.address)
    assert (ran.code, ran.err) == (0, "")
    (found,) = ran.lines
    assert (found["id"], found["filename"], found["upload_time"]) == (shared.id, shared.name, "2026-01-02T03:04:05Z")


async def test_search_hands_on_what_was_asked(peer: Command, super_peer: FakeSuperPeer) -> None:
    options = ["--limit", "7", "--tag", "a b", "--tag", "ü", "--category", "audio", "--ext", "flac", "--sort", "size"]
    ran = await peer("search", "blue", "&", "danube", *options, "--offline", "--super-peer", super_peer.address)
    assert (ran.code, ran.out) == (0, "")
    (asked,) = super_peer.requests
    expected = "/api/v1/files/search?q=blue+%26+danube&limit=7&category=audio&ext=flac&sort=size&tag=a+b"
    assert asked in (f"{expected}&tag=%C3%BC&online=false", f"{expected}&tag=ü&online=false")


async def test_options_may_stand_on_either_side(peer: Command, super_peer: FakeSuperPeer, shared: Content) -> None:
    before = await peer("--super-peer", super_peer.address, "--json", "search", "blue")
    after = await peer("search", "blue", "--json", "--super-peer", super_peer.address)
    assert before.out == after.out != ""


async def test_names_cannot_drive_a_terminal(peer: Command, super_peer: FakeSuperPeer, content: Content) -> None:
    content.name = "a\x1b]0;x\x07\x9b2J\u202eb\u2028\U0001f600ü"
    await super_peer.announce(content, honest(content))
    ran = await peer("search", "--super-peer", super_peer.address)
    assert ran.lines[0]["filename"] == content.name
    assert not set(ran.out) & set("\x1b\x07\x9b\u202e\u2028")
    assert "\U0001f600ü" in ran.out


async def test_lines_are_utf_8_whatever_the_locale(peer: Command, super_peer: FakeSuperPeer, content: Content) -> None:
    content.name = "ü\u2020\U0001f600"
    await super_peer.announce(content, honest(content))
    ran = await peer("search", "--super-peer", super_peer.address, env={"PYTHONIOENCODING": "latin-1"})
    assert ran.lines[0]["filename"] == content.name


async def test_the_super_peer_of_the_running_peer_is_used(
    peer: Command, shared: Content, own_peer: FakePeer, folder: Path
) -> None:
    (folder / "config.yaml").write_text("peer:\n  super_peer_address: 127.0.0.1:1\n")
    ran = await peer("search", "blue", "--peer", own_peer.address)
    assert [line["id"] for line in ran.lines] == [shared.id]


async def test_without_a_peer_the_configured_super_peer_is_used(
    peer: Command, super_peer: FakeSuperPeer, shared: Content
) -> None:
    environment = {"PEER_SUPER_PEER_ADDRESS": super_peer.address}
    ran = await peer("search", "blue", "--peer", free_address(), env=environment)
    assert [line["id"] for line in ran.lines] == [shared.id]


async def test_a_super_peer_that_is_named_wins(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, own_peer: FakePeer
) -> None:
    own_peer.super_peer = "127.0.0.1:1"
    ran = await peer("search", "blue", "--peer", own_peer.address, "--super-peer", super_peer.address)
    assert len(ran.lines) == 1


@pytest.mark.parametrize("form", ["http://{}/", "http://{}", "HTTP://{}/"])
async def test_addresses_may_be_those_that_a_browser_shows(
    peer: Command, super_peer: FakeSuperPeer, own_peer: FakePeer, shared: Content, form: str
) -> None:
    ran = await peer("search", "blue", "--super-peer", form.format(super_peer.address))
    assert (ran.code, len(ran.lines)) == (0, 1)
    assert (await peer("status", "--peer", form.format(own_peer.address))).code == 0
    given = parser().parse_args(["run", "--super-peer", form.format("h:1")])
    assert run_settings(given)["peer.super_peer_address"] == "h:1"


@pytest.mark.parametrize(
    "command", [["search", "x", "--super-peer"], ["status", "--peer"], ["run", "--port", "0", "--super-peer"]]
)
async def test_an_address_with_tls_is_said_to_be_none_yet(peer: Command, command: list[str]) -> None:
    ran = await peer(*command, "https://localhost:8080/")
    assert ran.code == 2
    assert ran.err == (
        f"peer: {command[-1]} is 'https://localhost:8080/', but TLS is not spoken yet: "
        "give http://HOST:PORT or HOST:PORT\n"
    )


async def test_a_category_that_is_none_is_said_to_be_none(peer: Command, super_peer: FakeSuperPeer) -> None:
    ran = await peer("search", "--category", "music", "--super-peer", super_peer.address)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (
        "peer: There is no category “music”: choose one of document, image, video, audio, archive, code, other.\n"
    )
    assert not (await peer("search", "--category", "audio", "--super-peer", super_peer.address)).err


async def test_a_daemon_that_serves_others_only_is_named(peer: Command, stack: AsyncExitStack) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return problem(403, "address_not_allowed", "Not for you.")

    address = await serve(stack, handle)
    ran = await peer("search", "x", "--super-peer", address)
    assert (ran.code, ran.err) == (1, f"peer: The super-peer at {address} refuses: Not for you.\n")


@pytest.mark.parametrize("command", [["search", "x"], ["get", "x"]])
async def test_no_super_peer_there(peer: Command, command: list[str]) -> None:
    address = free_address()
    ran = await peer(*command, "--super-peer", address)
    assert ran.code == 1
    assert ran.err == (
        f"peer: The super-peer at {address} does not answer. Is it running? "
        "Start one with `superpeer`, or name another with --super-peer HOST:PORT.\n"
    )


@pytest.mark.parametrize("command", [["ls"], ["status"], ["share", "."], ["unshare", "ab" * 32]])
async def test_no_peer_there(peer: Command, command: list[str], owner: list[str]) -> None:
    address = free_address()
    ran = await peer(*command, *owner, "--peer", address)
    assert ran.code == 1
    assert ran.err.startswith(f"peer: No peer answers at {address}. Start yours with `peer run`")
    assert len(ran.err.splitlines()) == 1


ANSWERS = {
    "nonsense": lambda: web.Response(body=b"\x00\xff{", content_type="application/json"),
    "a page": lambda: web.Response(text="<html>", content_type="text/html"),
    "another shape": lambda: json_response({"results": None, "count": "many"}),
    "a failure": lambda: web.Response(status=500, text="boom"),
    "a redirect": lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    "packed": lambda: web.Response(body=b"x", headers={"Content-Encoding": "gzip"}),
    "escapes": lambda: problem(503, "shutting_down", "\x1b[2Jlater\n\n"),
    "too much": lambda: web.Response(body=b"[" + b" " * (17 << 20) + b"]", content_type="application/json"),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_answers_that_make_no_sense_are_one_line(peer: Command, stack: AsyncExitStack, answer: str) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return ANSWERS[answer]()

    ran = await peer("search", "x", "--super-peer", await serve(stack, handle))
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "\x1b" not in ran.err + ran.out


async def test_ls_follows_the_pages(peer: Command, owner: list[str], own_peer: FakePeer) -> None:
    own_peer.page = 2
    for number in range(5):
        own_peer.share(Content(b"%d" % number, f"{number}.txt"))
    ran = await peer("ls", *owner)
    assert [line["filename"] for line in ran.lines] == [f"{number}.txt" for number in range(5)]


async def test_ls_does_not_leave_its_peer(
    peer: Command, owner: list[str], own_peer: FakePeer, stack: AsyncExitStack
) -> None:
    visits: list[str] = []

    async def canary(request: web.Request) -> web.StreamResponse:
        visits.append(request.path)
        return json_response([])

    own_peer.page, own_peer.next_host = 1, f"http://{await serve(stack, canary)}"
    own_peer.share(Content(b"a", "a"))
    own_peer.share(Content(b"b", "b"))
    assert len((await peer("ls", *owner)).lines) == 2
    assert visits == []


async def test_status_is_one_object(peer: Command, own_peer: FakePeer) -> None:
    (info,) = (await peer("status", "--peer", own_peer.address)).lines
    assert (info["is_registered"], info["shared_files"], info["trouble"]) == (True, 3, "")


async def test_status_says_why_the_peer_is_not_registered(peer: Command, own_peer: FakePeer) -> None:
    own_peer.trouble = "The super-peer cannot be reached."
    (info,) = (await peer("status", "--peer", own_peer.address)).lines
    assert (info["is_registered"], info["trouble"]) == (False, own_peer.trouble)


async def test_status_names_what_is_shared_by_path(
    peer: Command, owner: list[str], own_peer: FakePeer, folder: Path
) -> None:
    own_peer.shares = [Share("here", str(folder), "online", 3, 30), Share("away", "/nowhere/at all", "missing", 2, 20)]
    (info,) = (await peer("status", *owner)).lines
    assert [(share["path"], share["state"], share["files"], share["why"]) for share in info["shares"]] == [
        (str(folder), "online", 3, ""),
        ("/nowhere/at all", "missing", 2, "No such file or directory"),
    ]


async def test_status_names_what_the_disk_has_lost(peer: Command, owner: list[str], own_peer: FakePeer) -> None:
    lost = DamagedFile("ab" * 32, "/music/a.flac", 5, "Its bytes are not those.", "Restore it.", WHEN)
    own_peer.damaged = [lost]
    (info,) = (await peer("status", *owner)).lines
    assert [(file["path"], file["advice"]) for file in info["damaged"]] == [(lost.path, lost.advice)]


async def test_paths_are_for_the_owner_and_status_for_everybody(peer: Command, own_peer: FakePeer) -> None:
    own_peer.shares = [Share("here", "/here", "online", 3, 30)]
    ran = await peer("status", "--peer", own_peer.address)
    assert (ran.code, ran.lines[0]["shares"], ran.lines[0]["damaged"]) == (0, None, None)


async def test_share_sends_the_whole_path(peer: Command, owner: list[str], own_peer: FakePeer, folder: Path) -> None:
    (folder / "ü.txt").touch()
    ran = await peer("share", "ü.txt", "--tag", "a", "--tag", "b", *owner)
    assert (ran.code, ran.lines[0]["file_id"], ran.lines[0]["path"]) == (0, "ab" * 32, str(folder / "ü.txt"))
    assert own_peer.asked == [
        ("POST", "/api/v1/files/share", {"path": str(folder / "ü.txt"), "tags": ["a", "b"], "audience": "public"})
    ]


async def test_share_of_what_is_not_there(peer: Command, owner: list[str], own_peer: FakePeer) -> None:
    ran = await peer("share", "nowhere", *owner)
    assert ran.code == 3
    assert ran.err.startswith(f"peer: There is no folder {Path(peer.folder, 'nowhere')}, ")
    assert own_peer.asked == []


async def test_unshare(peer: Command, owner: list[str], own_peer: FakePeer) -> None:
    own_peer.share(content := Content(b"a", "a"))
    assert (await peer("unshare", content.id.upper(), *owner)).code == 0
    assert (await peer("unshare", content.id, "--delete", *owner)).code == 0
    assert (await peer("unshare", "cd" * 32, *owner)).code == 3
    path = f"/api/v1/files/unshare/{content.id}"
    assert [asked[:2] for asked in own_peer.asked[:2]] == [("DELETE", path), ("DELETE", f"{path}?delete=true")]


async def test_unshare_of_a_folder_names_its_whole_path(
    peer: Command, owner: list[str], own_peer: FakePeer, folder: Path
) -> None:
    (folder / "music").mkdir()
    assert (await peer("unshare", "music", *owner)).code == 0
    assert own_peer.asked == [("POST", "/api/v1/shares/remove", {"path": str(folder / "music")})]


async def test_open_prints_a_link_with_a_code(peer: Command, owner: list[str], own_peer: FakePeer) -> None:
    ran = await peer("open", *owner)
    assert ran.code == 0
    link = f"http://{own_peer.address}/#code=once"
    assert json.loads(ran.out) == {"message": link, "url": link}


async def test_without_a_token_nothing_is_asked(peer: Command, own_peer: FakePeer, folder: Path) -> None:
    ran = await peer("share", ".", "--peer", own_peer.address, "--data", "nodata")
    assert ran.code == 2
    assert "nodata/owner-token" in ran.err and "--data DIR" in ran.err
    assert own_peer.asked == []


async def test_another_peer_s_token_is_refused(peer: Command, owner: list[str], folder: Path) -> None:
    (folder / "data" / "owner-token").write_text("another")
    ran = await peer("share", ".", *owner)
    assert ran.code == 2
    assert "does not know the token" in ran.err


async def test_a_reader_that_leaves_is_no_trouble(peer: Command, super_peer: FakeSuperPeer) -> None:
    for number in range(300):
        await super_peer.announce(Content(b"%d" % number, f"{number} " + "x" * 200))
    reading, writing = os.pipe()
    process = await peer.start("search", "--offline", "--super-peer", super_peer.address, stdout=writing)
    os.close(writing)
    os.close(reading)
    _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")


async def test_ctrl_c_while_waiting_for_an_answer(peer: Command, stack: AsyncExitStack) -> None:
    asked = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    process = await peer.start("search", "x", "--super-peer", await serve(stack, handle))
    await asked.wait()
    process.send_signal(2)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"peer: Stopped.\n")
