"""The command `superpeer` as a process: how it starts, why it does not, how it ends, what a kill leaves."""

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.network import free_port
from tests.support.peers import entry
from tests.support.superpeer_process import Ended, Forks, ended, forks, running, url_of


def check_refused(result: Ended, *words: str) -> None:
    """Exit 2 with one line that says why."""
    assert result.code == 2, result
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("superpeer: ")
    assert "Traceback" not in result.out
    for word in words:
        assert word in lines[0], lines[0]


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_it_starts_serves_and_ends_on_a_signal(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        async with running(tmp_path) as made:
            assert (await get(f"{made.url}/readyz"))["status"] == "ready"
            assert await get(f"{made.url}/api/v1/files") == []
            assert await made.end(number) == 0
    assert (tmp_path / "data" / "superpeer" / "superpeer.sqlite").is_file()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["message"] for line in lines] == ["listening", "stopping"] * 2
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_an_end_in_the_middle_of_things_is_in_order(tmp_path: Path) -> None:
    """Listeners are told, requests are answered, nothing is logged that went wrong."""
    async with running(tmp_path) as made, aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"{made.url}/ws") for _ in range(5)]
        reading = [asyncio.create_task(_read(each)) for each in sockets]
        asking = [asyncio.create_task(_ask(session, made.url)) for _ in range(20)]
        await asyncio.sleep(0)
        assert await made.end() == 0
        assert await asyncio.gather(*reading) == [1001] * 5
        assert set(await asyncio.gather(*asking)) <= {200, 0}
        log = made.log.read_text()
    assert '"level":"error"' not in log
    assert "Traceback" not in log


async def _read(listener: aiohttp.ClientWebSocketResponse) -> int | None:
    async for _ in listener:
        pass
    return listener.close_code


async def _ask(session: aiohttp.ClientSession, url: str) -> int:
    try:
        async with session.get(f"{url}/api/v1/files/search") as answer:
            await answer.read()
            return answer.status
    except aiohttp.ClientError:
        return 0


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as made:
        made.process.send_signal(signal.SIGTERM)
        made.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(made.process.wait(), 10) in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)


async def test_help_and_version_need_no_daemon(tmp_path: Path) -> None:
    told = await ended(tmp_path, "--help")
    assert told.code == 0
    for flag in ("--config", "--host", "--lan", "--port", "--data", "-v"):
        assert flag in told.out
    version = await ended(tmp_path, "--version")
    assert (version.code, version.out.split()[0]) == (0, "superpeer")
    assert list(tmp_path.iterdir()) == []


async def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check_refused(await ended(tmp_path, "--port", str(port)), str(port), "in use", "--port")
    assert not (tmp_path / "data" / "superpeer" / "superpeer.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "0x50"], ["super_peer.port", "0x50"]),
        (["--port", "70000"], ["super_peer.port", "70000"]),
        (["--port", "-1"], ["super_peer.port"]),
        (["--config", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--host", "192.0.2.1"], ["192.0.2.1", "--host"]),
        (["--host", "not a host"], ["not a host"]),
        (["--data", ""], ["super_peer.data"]),
    ],
    ids=str,
)
async def test_a_wrong_flag_is_told_in_one_line(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    check_refused(await ended(tmp_path, *arguments), *words)


async def test_flags_that_exclude_each_other_are_wrong_use(tmp_path: Path) -> None:
    for arguments in (["--lan", "--host", "127.0.0.1"], ["--unheard-of"], ["word"]):
        told = await ended(tmp_path, *arguments)
        assert (told.code, "usage:" in told.err) == (2, True)


async def test_a_wrong_configuration_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("super_peer:\n  port: 8080\n  max_peers: many\n")
    check_refused(await ended(tmp_path), "config.yaml, line 3", "super_peer.max_peers", "many")
    (tmp_path / "config.yaml").write_text("super_peer:\n  prot: 8080\n")
    check_refused(await ended(tmp_path), "config.yaml, line 2", "prot")
    (tmp_path / "config.yaml").write_text("logging:\n  output: /dev/null/x\n")
    check_refused(await ended(tmp_path), "/dev/null/x")
    (tmp_path / "config.yaml").unlink()
    check_refused(await ended(tmp_path, SUPERPEER_PORT="many"), "SUPERPEER_PORT", "many")
    check_refused(await ended(tmp_path, SUPERPEER_DATABASE="postgresql://x"), "SUPERPEER_DATABASE")


async def test_the_environment_and_flags_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("super_peer:\n  port: 1\n  heartbeat_interval: 7s\n  data: elsewhere\n")
    async with running(tmp_path, SUPERPEER_DATA="here") as made, aiohttp.ClientSession() as session:
        async with session.post(f"{made.url}/api/v1/peers/register", json={"port": 9001}) as answer:
            assert (await answer.json())["heartbeat_interval"] == 7
        assert await made.end() == 0
    assert (tmp_path / "here").is_dir()
    assert not (tmp_path / "elsewhere").exists()


async def test_a_setting_that_is_not_built_yet_is_a_warning(tmp_path: Path) -> None:
    async with running(tmp_path, SECURITY_ENABLE_ENCRYPTION="true") as made:
        assert "enable_encryption" in made.log.read_text()
        assert await made.end() == 0


async def test_a_second_daemon_on_one_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as made:
        check_refused(await ended(tmp_path, "--port", "0"), "in use by process", str(made.process.pid))
        assert (await get(f"{made.url}/readyz"))["status"] == "ready"
        made.process.kill()
        await made.process.wait()
        async with running(tmp_path) as again:
            assert await again.end() == 0


def data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "superpeer"
    folder.mkdir(parents=True)
    return folder


async def test_a_file_that_is_no_database_is_refused_and_left(tmp_path: Path) -> None:
    path = data_folder(tmp_path) / "superpeer.sqlite"
    path.write_bytes(b"a letter to my aunt " * 1000)
    check_refused(await ended(tmp_path, "--port", "0"), str(Path("data/superpeer/superpeer.sqlite")), "not a database")
    assert path.read_bytes() == b"a letter to my aunt " * 1000


async def test_a_database_of_a_newer_or_another_program_is_refused_and_left(tmp_path: Path) -> None:
    path = data_folder(tmp_path) / "superpeer.sqlite"
    for statements, words in (
        (["CREATE TABLE aunts (name TEXT)"], "another program"),
        (
            ["CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('9999')"],
            "newer version",
        ),
    ):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        before = path.read_bytes()
        check_refused(await ended(tmp_path, "--port", "0"), words)
        assert path.read_bytes() == before


async def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_refused(await ended(tmp_path, "--port", "0", "--data", "file"), "file")
    check_refused(await ended(tmp_path, "--port", "0", "--data", "file/below"), "file")
    check_refused(await ended(tmp_path, "--port", "0", "--data", "/proc/nowhere"), "/proc/nowhere")
    (data_folder(tmp_path) / "superpeer.sqlite").mkdir()
    check_refused(await ended(tmp_path, "--port", "0"), "it is not a file")


async def test_a_fifo_in_its_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(data_folder(tmp_path) / "superpeer.sqlite")
    check_refused(await ended(tmp_path, "--port", "0"), "it is not a file")


# Killed

KILLS = 20
WRITERS = 4


class Writer:
    """Registers peers and announces files, one after the other, and remembers what was acknowledged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.registered: set[str] = set()
        self.announced: dict[str, int] = {}

    async def write(self, session: aiohttp.ClientSession, url: str, acknowledged: asyncio.Queue[None]) -> None:
        """Until the connection breaks."""
        try:
            while True:
                peer = f"{self.name}-{len(self.registered)}"
                await _post(session, f"{url}/api/v1/peers/register", {"port": 9001, "id": peer}, peer)
                self.registered.add(peer)
                acknowledged.put_nowait(None)
                for version in range(3):
                    add = [entry(f"{peer}/{version}/{n}.txt") for n in range(5)]
                    delta = {"catalogue_id": "c", "base_version": version, "add": add}
                    await _post(session, f"{url}/api/v1/files/register", delta, peer)
                    self.announced[peer] = version + 1
                    acknowledged.put_nowait(None)
        except (aiohttp.ClientError, ConnectionError):
            return


async def _post(session: aiohttp.ClientSession, url: str, body: Any, peer: str) -> None:
    async with session.post(url, json=body, headers={"X-Peer-ID": peer}) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def _kill_while_writing(forked: Forks, writers: list[Writer], after: int) -> None:
    port = free_port()
    pid = await forked.start(port)
    acknowledged: asyncio.Queue[None] = asyncio.Queue()
    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(writer.write(session, url_of(port), acknowledged)) for writer in writers]
        for _ in range(after):
            await acknowledged.get()
        await forked.kill(pid)
        await asyncio.gather(*tasks)


def _check_all_there(path: Path, writers: list[Writer]) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        versions = dict(connection.execute("SELECT id, catalogue_version FROM peers"))
        paths = {path for (path,) in connection.execute("SELECT path FROM entries")}
        listed = {name for (name,) in connection.execute("SELECT count(*) FROM listings")}
    for writer in writers:
        assert writer.registered <= set(versions)
        for peer, version in writer.announced.items():
            assert versions[peer] >= version
            assert {f"{peer}/{v}/{n}.txt" for v in range(version) for n in range(5)} <= paths
    assert listed == {len(paths)}, "whole transactions only"


@pytest.mark.timeout(300)
async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(11)
    writers = [Writer(f"w{n}") for n in range(WRITERS)]
    path = tmp_path / "data" / "superpeer" / "superpeer.sqlite"
    async with forks(tmp_path) as forked:
        for kill in range(KILLS):
            for writer in writers:
                writer.name = f"{writer.name.partition('.')[0]}.{kill}"
            await _kill_while_writing(forked, writers, after=chance.randint(1, 60))
            _check_all_there(path, writers)
    async with running(tmp_path) as made:
        everyone = {peer for writer in writers for peer in writer.registered}
        assert everyone <= {peer["id"] for peer in await get(f"{made.url}/api/v1/peers")}
        assert await made.end() == 0
    assert len(everyone) > KILLS
