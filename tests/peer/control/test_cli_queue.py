"""The command line and the queue of the owner's own peer, with real daemons: added, followed, paused, taken up."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tests.support.network import Network, Process, Ran, id_of, network, write

MB = 1_000_000


@dataclass
class Owner:
    """Somebody whose own peer runs here."""

    net: Network
    own: Process

    @property
    def options(self) -> list[str]:
        return ["--peer", self.own.address, "--data", str(self.net.folder / "own")]

    async def __call__(self, *arguments: str) -> Ran:
        return await self.net.run(*arguments, *self.options)

    async def states(self) -> dict[str, str]:
        """The state of each download, by its name."""
        return {line["filename"]: line["state"] for line in (await self("downloads")).lines}

    async def until(self, name: str, state: str) -> None:
        async def reached() -> bool:
            return (await self.states()).get(name) == state

        await self.net.until(reached)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """A command that may not end by itself."""
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "peer", *arguments, *self.options]
        return await asyncio.create_subprocess_exec(*command, cwd=self.net.folder, stdout=pipe, stderr=pipe)


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path) as made:
        yield made


@pytest.fixture
async def owner(net: Network, tmp_path: Path) -> Owner:
    """With an own peer, and one that shares the folder `there`."""
    (tmp_path / "there").mkdir()
    (tmp_path / "mine").mkdir()
    await net.add_peer("study", tmp_path / "there")
    return Owner(net, await net.add_peer("own", tmp_path / "mine"))


def events(ran: Ran) -> list[str]:
    return [line["event"] for line in ran.lines if line["event"] not in ("idle", "progress", "resumed", "sources")]


async def shared(owner: Owner, name: str, content: bytes) -> str:
    """Puts a file into the folder of the other peer; its id, once it is found."""
    file_id = write(owner.net.folder / "there" / name, content)
    await owner.net.until_found(name.rpartition("/")[2], file_id)
    return file_id


async def test_get_goes_through_the_queue_and_again_proves_what_is_there(owner: Owner, tmp_path: Path) -> None:
    content = os.urandom(MB)
    file_id = await shared(owner, "walzer.flac", content)
    ran = await owner("get", "walzer.flac")
    assert ran.code == 0, ran.err
    assert events(ran) == ["started", "verified", "finished"]
    assert ran.lines[-1]["path"] == str(tmp_path / "walzer.flac")
    assert (tmp_path / "walzer.flac").read_bytes() == content
    (listed,) = (await owner("downloads")).lines
    assert (listed["id"], listed["state"]) == (ran.lines[-1]["download"], "finished")

    again = await owner("get", file_id)
    assert (again.code, again.lines[-1]["already_there"]) == (0, True)
    (tmp_path / "walzer.flac").write_bytes(b"spoilt since")
    mended = await owner("get", file_id)
    assert (mended.code, mended.lines[-1]["already_there"]) == (0, False)
    assert Path(mended.lines[-1]["path"]).read_bytes() == content

    output = tmp_path / "else"
    output.mkdir()
    assert (await owner("get", file_id, "-o", "else/own name.bin", "-v", "--sequential")).code == 0
    assert (output / "own name.bin").read_bytes() == content


async def test_a_named_super_peer_means_without_the_queue(owner: Owner, tmp_path: Path) -> None:
    file_id = await shared(owner, "a.txt", b"content")
    ran = await owner("get", file_id, "--super-peer", owner.net.super_peer.address)
    assert ran.code == 0, ran.err
    assert "download" not in ran.lines[-1]
    assert await owner.states() == {}


async def test_where_the_token_is_not_ours_the_command_fetches_by_itself(owner: Owner, tmp_path: Path) -> None:
    file_id = await shared(owner, "a.txt", b"content")
    (tmp_path / "no data").mkdir()
    ran = await owner.net.run("get", file_id, "--peer", owner.own.address, "--data", str(tmp_path / "no data"))
    assert ran.code == 0, ran.err
    assert (tmp_path / "a.txt").read_bytes() == b"content"
    later = await owner.net.run("get", file_id, "--later", "--peer", owner.own.address, "--data", "no data")
    assert (later.code, later.lines[-1]["code"]) == (2, "token_required")
    assert await owner.states() == {}


async def test_several_at_once_and_what_is_not_there_fails_alone(owner: Owner, tmp_path: Path) -> None:
    one = await shared(owner, "one.txt", b"1")
    two = await shared(owner, "two.txt", b"2")
    ran = await owner("get", one, "two.txt")
    assert ran.code == 0, ran.err
    assert {(tmp_path / name).read_bytes() for name in ("one.txt", "two.txt")} == {b"1", b"2"}

    missing = id_of(b"nobody has this")
    (tmp_path / "list").write_text(f"{one}  deep/er/first.txt\n{missing}  gone.txt\n{two} *../../second.txt\n")
    ran = await owner("get", "--list", "list", "-o", "mine")
    assert (ran.code, ran.lines[-1]["code"]) == (3, "file_not_found")
    assert ran.lines[-1]["detail"].startswith("1 of 3 files could not be fetched.")
    assert [line["name"] for line in ran.lines if line["event"] == "file_failed"] == ["gone.txt"]
    assert (tmp_path / "mine/deep/er/first.txt").read_bytes() == b"1"
    assert (tmp_path / "mine/second.txt").read_bytes() == b"2"


@pytest.mark.parametrize("queue", [True, False])
async def test_a_whole_folder_of_one_peer_keeps_its_structure(owner: Owner, tmp_path: Path, queue: bool) -> None:
    inside = {"cd1/a.flac": b"a", "cd2/a.flac": b"b", "again.flac": b"a", "cover.jpg": b""}
    for name, content in inside.items():
        write(tmp_path / "there/Strauss" / name, content)
    write(tmp_path / "there/Strauss 2/not this.flac", b"c")
    study = owner.net.peers["study"]

    async def all_there() -> bool:
        return len(await owner.net.get(f"{study.url}/api/v1/files?prefix=/") or []) == len(inside) + 1

    await owner.net.until(all_there)
    await owner.net.until_found("a.flac", id_of(b"a"), id_of(b"b"))
    await owner.net.until_found("cover", id_of(b""))

    way = owner.options if queue else ["--super-peer", owner.net.super_peer.address]
    ran = await owner.net.run("get", "--from", "Study", "there/Strauss/", "-o", "mine", *way)
    assert ran.code == 0, ran.err
    found = [path for path in (tmp_path / "mine").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "mine/Strauss")): path.read_bytes() for path in found} == inside

    ran = await owner.net.run("get", "--from", "Study", "there/nothing", *way)
    assert (ran.code, ran.lines[-1]["code"]) == (3, "file_not_found")


async def test_a_folder_that_is_asked_for_wrongly_is_refused(net: Network) -> None:
    (net.folder / "there").mkdir()
    study = await net.add_peer("study", net.folder / "there")
    for query, code in (
        ("prefix=there&q=a", "invalid_parameter"),
        ("prefix=there&category=audio", "invalid_parameter"),
        ("prefix=there&cursor=WyJmaWxlcyIsMV0", "invalid_cursor"),  # of another list
        ("prefix=there&limit=0", "invalid_limit"),
    ):
        async with net.session.get(f"{study.url}/api/v1/files?{query}") as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, code)
    for odd in ("%ED%A0%80", "%00", "..%2F..", "%FF", "%25"):
        async with net.session.get(URL(f"{study.url}/api/v1/files?prefix={odd}", encoded=True)) as answer:
            assert answer.status in (200, 400)
            assert answer.status == 400 or await answer.json() == []


async def test_what_nobody_online_has_ends_with_4_and_waits_in_the_queue(owner: Owner) -> None:
    file_id = await shared(owner, "gone.bin", os.urandom(MB))
    await owner.net.peers["study"].stop()

    async def offline() -> bool:
        return not await owner.net.find("gone")

    await owner.net.until(offline)
    ran = await owner("get", file_id)
    assert (ran.code, ran.lines[-1]["code"]) == (4, "no_source_online")
    assert "peer cancel" in ran.err
    assert await owner.states() == {"gone.bin": "stalled"}
    await owner.net.start(owner.net.peers["study"])
    await owner.net.until_found("gone", file_id)
    ran = await owner("get", file_id)
    assert ran.code == 0, ran.err


async def begun(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """The first event that tells of bytes."""
    assert process.stdout is not None
    async for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "progress" and event["received"]:
            return event
    raise AssertionError("it ended before")


async def test_ctrl_c_pauses_and_the_same_command_goes_on(owner: Owner, tmp_path: Path) -> None:
    content = os.urandom(8 * MB)
    file_id = await shared(owner, "big.bin", content)
    assert (await owner("limits", "--download", "2MB/s")).lines[0]["download"] == 2 * MB
    process = await owner.start("get", file_id)
    download_id = (await begun(process))["download"]
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert f"`peer resume {download_id}`" in err.decode()
    assert await owner.states() == {"big.bin": "paused"}
    assert not (tmp_path / "big.bin").exists()

    assert (await owner("limits", "--download", "0", "--lan-exempt", "yes")).lines[0]["lan_exempt"] is True
    ran = await owner("get", file_id)
    assert ran.code == 0, ran.err
    assert ran.lines[-1]["download"] == download_id
    assert (tmp_path / "big.bin").read_bytes() == content


async def test_a_restart_of_the_peer_meanwhile_is_waited_for(owner: Owner, tmp_path: Path) -> None:
    content = os.urandom(6 * MB)
    file_id = await shared(owner, "big.bin", content)
    await owner("limits", "--download", "2MB/s")
    process = await owner.start("get", file_id)
    await begun(process)
    await owner.own.kill()
    await owner.net.start(owner.own)
    _, err = await process.communicate()
    assert process.returncode == 0, err
    assert (tmp_path / "big.bin").read_bytes() == content


async def test_downloads_are_listed_paused_resumed_and_cancelled(owner: Owner, tmp_path: Path) -> None:
    file_id = await shared(owner, "big.bin", os.urandom(8 * MB))
    await owner("limits", "--download", "1MB/s")
    (added,) = (await owner("get", file_id, "--later", "--priority", "5")).lines
    assert (added["priority"], added["size"]) == (5, 8 * MB)
    await owner.until("big.bin", "running")
    (paused,) = (await owner("pause", added["id"])).lines
    assert paused["state"] == "paused"
    assert (await owner("resume", added["id"][:6])).code == 0
    await owner.until("big.bin", "running")
    assert (await owner("cancel", added["id"])).code == 0
    assert await owner.states() == {}
    assert not list(tmp_path.glob("*.part"))
    for command in ("pause", "resume", "cancel"):
        for unknown in (added["id"], "abcd"):
            ran = await owner(command, unknown)
            assert (ran.code, ran.lines[-1]["code"]) == (3, "download_not_found")


async def test_limits_are_shown_and_set_one_by_one(owner: Owner) -> None:
    line = "Mon-Fri 08:00-18:00 up 1MB/s"
    assert (await owner("limits", "--upload", "2MB/s", "--schedule", line)).code == 0
    assert (await owner("limits", "--download-per-peer", "500kB")).code == 0
    (limits,) = (await owner("limits")).lines
    assert (limits["upload"], limits["download_per_peer"], limits["schedule"]) == (2 * MB, 500_000, [line])
    assert limits["now"]["download"] == 0
    (limits,) = (await owner("limits", "--schedule", "")).lines
    assert (limits["upload"], limits["schedule"]) == (2 * MB, [])
    ran = await owner("limits", "--schedule", "whenever 1MB/s")
    assert (ran.code, ran.lines[-1]["code"]) == (2, "invalid_body")
