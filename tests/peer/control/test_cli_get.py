"""`peer get` as a process: proven or not there, resumed after Ctrl-C and kill -9, and never outside its folder."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from peer.downloads.part_file import part_name
from tests.peer.control.conftest import Command, FakePeer, FakeSuperPeer, problem
from tests.support.sources import Content, Handler, flipped, honest, source, whole_only


async def test_by_id(peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path) -> None:
    ran = await peer("get", shared.id, "--super-peer", super_peer.address)
    assert (ran.code, ran.err) == (0, "")
    assert ran.events == ["started", "verified", "finished"]
    assert ran.lines[-1] == {
        "event": "finished",
        "path": "./blue danube.flac",
        "id": shared.id,
        "size": len(shared.data),
        "already_there": False,
    }
    assert (folder / shared.name).read_bytes() == shared.data


@pytest.mark.parametrize("asked", ["blue danube.flac", "Blue Danube.FLAC", "danube", "walzer.flac"])
async def test_by_name(peer: Command, super_peer: FakeSuperPeer, content: Content, folder: Path, asked: str) -> None:
    await super_peer.announce(content, honest(content), names=["walzer.flac"])
    ran = await peer("get", asked, "--super-peer", super_peer.address)
    assert ran.code == 0
    saved = "walzer.flac" if asked == "walzer.flac" else "blue danube.flac"
    assert (folder / saved).read_bytes() == content.data


async def test_the_exact_name_wins_over_those_that_merely_hold_its_words(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    other = Content(b"other", "another blue danube.flac")
    await super_peer.announce(other, honest(other))
    assert (await peer("get", "blue danube.flac", "--super-peer", super_peer.address)).code == 0
    assert os.listdir(folder) == ["blue danube.flac"]


async def test_a_name_of_several_contents_asks_for_an_id(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    other = Content(b"other", shared.name)
    await super_peer.announce(other, honest(other))
    ran = await peer("get", shared.name, "--super-peer", super_peer.address)
    assert ran.code == 2
    assert {line.get("id") for line in ran.lines[:-1]} == {shared.id, other.id}
    assert ran.lines[-1]["code"] == "ambiguous"
    assert ran.err == "peer: 2 files go by “blue danube.flac”: name one by its id.\n"
    assert os.listdir(folder) == []


async def test_of_several_the_one_that_is_online_is_meant(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    await super_peer.announce(Content(b"other", shared.name))
    assert (await peer("get", shared.name, "--super-peer", super_peer.address)).code == 0
    assert (folder / shared.name).read_bytes() == shared.data


@pytest.mark.parametrize("asked", ["ab" * 32, "no such file"])
async def test_what_nobody_shares_is_not_found(peer: Command, super_peer: FakeSuperPeer, asked: str) -> None:
    ran = await peer("get", asked, "--super-peer", super_peer.address)
    assert ran.code == 3
    assert len(ran.err.splitlines()) == 1
    assert ran.lines == [
        {"event": "failed", "code": "file_not_found", "detail": ran.err[6:-1], "exit_code": 3},
    ]


async def test_nobody_online(peer: Command, super_peer: FakeSuperPeer, content: Content, folder: Path) -> None:
    await super_peer.announce(content)
    ran = await peer("get", content.name, "--super-peer", super_peer.address)
    assert ran.code == 4
    assert ran.lines[-1]["code"] == "no_source_online"
    assert os.listdir(folder) == []


async def test_a_lie_is_a_failed_proof(
    peer: Command, super_peer: FakeSuperPeer, content: Content, folder: Path
) -> None:
    await super_peer.announce(content, whole_only(flipped(content.data)))
    ran = await peer("get", content.id, "--super-peer", super_peer.address)
    assert ran.code == 5
    assert ran.events == ["started", "source_failed", "failed"]
    assert os.listdir(folder) == []


async def test_done_before_is_done_at_once(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    (folder / shared.name).write_bytes(shared.data)
    ran = await peer("get", shared.id, "--super-peer", super_peer.address)
    assert ran.code == 0
    assert ran.lines[0]["already_there"] is True


async def test_the_target_may_be_a_file_or_a_folder(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    (folder / "sub").mkdir()
    for target, path in [("own.name", "own.name"), ("sub", f"sub/{shared.name}"), ("sub/ö", "sub/ö")]:
        ran = await peer("get", shared.id, "-o", target, "--super-peer", super_peer.address)
        assert ran.code == 0
        assert (folder / path).read_bytes() == shared.data


@pytest.mark.parametrize("target", ["-", "nowhere/x", "nowhere/", "pipe", "link", "x" * 256, "a\nb", b"\xff"])
async def test_targets_that_cannot_be(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path, target: str | bytes
) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("elsewhere")
    ran = await peer("get", shared.id, "-o", target, "--super-peer", super_peer.address)
    assert ran.code == 2
    assert ran.lines[-1]["code"] == "invalid_path"
    assert sorted(os.listdir(folder)) == ["link", "pipe"]


async def test_a_configured_folder_is_used(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    config = f"peer:\n  super_peer_address: {super_peer.address}\n  downloads: got/here\n"
    (folder / "config.yaml").write_text(config)
    assert (await peer("get", shared.id, "--peer", "127.0.0.1:1")).code == 0
    assert (folder / "got/here" / shared.name).read_bytes() == shared.data


HOSTILE = {
    "../../x": "x",
    "/etc/passwd": "passwd",
    "a\\..\\b": "a_.._b",
    "CON": "_CON",
    "\x1b[2J\u202egpj.exe": "[2Jgpj.exe",
    "..": "file",
    "é" * 200: "é" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_stay_in_the_folder(
    peer: Command, super_peer: FakeSuperPeer, content: Content, folder: Path, name: str
) -> None:
    content.name = name
    await super_peer.announce(content, honest(content))
    ran = await peer("get", content.id, "--super-peer", super_peer.address)
    assert ran.code == 0
    assert os.listdir(folder) == [HOSTILE[name]]
    assert os.listdir(folder.parent) == [folder.name]
    assert "\x1b" not in ran.out and "\u202e" not in ran.out


async def test_a_super_peer_cannot_send_us_elsewhere(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, own_peer: FakePeer
) -> None:
    url = f"http://{own_peer.address}/api/v1/files/unshare/{shared.id}"
    super_peer.sources[shared.id] = [source(url)]
    ran = await peer("get", shared.id, "--super-peer", super_peer.address)
    assert ran.code == 1
    assert own_peer.asked == []


@pytest.mark.parametrize("lie", [{"id": "../../../../x"}, {"id": "CD" * 32}, {"id": ""}, {"size": -1}])
async def test_a_super_peer_cannot_name_what_is_no_file(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path, lie: dict[str, Any]
) -> None:
    super_peer.files[shared.id] = msgspec.structs.replace(super_peer.files[shared.id], **lie)
    super_peer.sources[super_peer.files[shared.id].id] = super_peer.sources[shared.id]
    ran = await peer("get", shared.name, "--super-peer", super_peer.address)
    assert (ran.code, ran.lines[-1]["code"]) == (1, "invalid_body")
    assert os.listdir(folder) == []


async def test_only_the_bytes_of_the_id_that_was_asked_for_are_taken(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    other = Content(b"other", shared.name)
    await super_peer.announce(other, honest(other))
    super_peer.files[shared.id] = super_peer.files[other.id]
    ran = await peer("get", shared.id, "--super-peer", super_peer.address)
    assert ran.code == 1
    assert os.listdir(folder) == []


def held_halfway(content: Content, held: asyncio.Event) -> Handler:
    """Three quarters of the content, the last one late enough to be told of; then nothing more, the first time."""
    times = iter(range(10))

    async def handle(request: web.Request) -> web.StreamResponse:
        if "/manifest/" in request.path:
            return problem(404, "not_found", "There is nothing here.")
        if next(times):
            return await honest(content)(request)
        response = web.StreamResponse(headers={"Content-Length": str(len(content.data))})
        await response.prepare(request)
        await response.write(content.data[: len(content.data) // 2])
        await asyncio.sleep(0.3)
        await response.write(content.data[len(content.data) // 2 : len(content.data) * 3 // 4])
        await held.wait()
        return response

    return handle


async def test_a_source_that_dies_amid_the_file_is_nobody_online_and_what_came_is_kept(
    peer: Command, super_peer: FakeSuperPeer, folder: Path
) -> None:
    content = Content(os.urandom(800_000), "big.bin")

    async def dies(request: web.Request) -> web.StreamResponse:
        if "/manifest/" in request.path:
            return problem(404, "not_found", "There is nothing here.")
        response = web.StreamResponse(headers={"Content-Length": str(len(content.data))})
        await response.prepare(request)
        await response.write(content.data[:600_000])
        listening.close()  # nobody answers from now on
        assert request.transport is not None
        request.transport.close()
        return response

    runner = web.ServerRunner(web.Server(dies), shutdown_timeout=0.1)
    await runner.setup()
    super_peer.stack.push_async_callback(runner.cleanup)
    listening = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    await super_peer.announce(content)
    super_peer.sources[content.id] = [source(f"http://127.0.0.1:{port}/api/v1/download/{content.id}")]

    ran = await peer("get", content.id, "--super-peer", super_peer.address)
    assert (ran.code, ran.lines[-1]["code"]) == (4, "no_source_online")
    assert ran.err == (
        "peer: No source of this file answers. Try again when one is online. "
        "What came so far is kept: the same command goes on from there.\n"
    )
    assert content.data.startswith(content.part(folder).read_bytes()[:600_000])
    assert content.part(folder).stat().st_size >= 600_000


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
async def test_what_was_begun_is_taken_up_after(
    peer: Command, super_peer: FakeSuperPeer, folder: Path, how: signal.Signals
) -> None:
    content, held = Content(os.urandom(8_000_000), "big.bin"), asyncio.Event()
    await super_peer.announce(content, held_halfway(content, held))
    process = await peer.start("get", content.id, "--super-peer", super_peer.address)
    assert process.stdout is not None
    async for line in process.stdout:
        if json.loads(line).get("received", 0) >= 1_500_000:
            break
    process.send_signal(how)
    _, err = await process.communicate()
    held.set()

    part = folder / part_name(content.name, content.id)
    assert os.listdir(folder) == [part.name]
    assert content.data.startswith(part.read_bytes())
    begun = part.stat().st_size
    assert begun >= 1_000_000
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert err.decode().startswith(f"peer: Stopped. What came so far is in ./{part.name}; ")

    ran = await peer("get", content.id, "--super-peer", super_peer.address)
    assert ran.code == 0
    (taken_up,) = [line["received"] for line in ran.lines if line["event"] == "resumed"]
    assert 1_000_000 <= taken_up <= begun
    assert os.listdir(folder) == [content.name]
    assert (folder / content.name).read_bytes() == content.data


async def test_a_disk_that_is_full_is_said_before_anything_is_fetched(
    peer: Command, super_peer: FakeSuperPeer, shared: Content, folder: Path
) -> None:
    super_peer.files[shared.id] = msgspec.structs.replace(super_peer.files[shared.id], size=1 << 52)
    ran = await peer("get", shared.id, "--super-peer", super_peer.address)
    assert ran.code == 1
    assert ran.lines[-1]["code"] == "disk_full"
    assert "Free some space" in ran.err
    assert os.listdir(folder) == []
