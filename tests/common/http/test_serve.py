import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from common.http import serve
from common.http.serve import LAST_RESORT, STOP_MARKS, listen, start
from common.runtime.obstacles import StartError
from tests.support.daemon import at, running, tiny_daemon
from tests.support.listeners import HAS_IPV6
from tests.support.waiting import until
from tests.support.wire import alive, asked, connected

ROOT = Path(__file__).parents[3]
WITHIN = 10.0  # seconds: a promise to whoever stops a daemon


@pytest.fixture
def taken_port() -> Any:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


async def test_a_daemon_gets_a_free_port_and_tells_which() -> None:
    daemon = tiny_daemon()
    async with running(daemon) as served:
        assert served.port > 0
        assert (served.address, served.url) == ("127.0.0.1", f"http://127.0.0.1:{served.port}")
        assert await alive(served.port)


async def test_its_steps_come_in_their_order() -> None:
    daemon = tiny_daemon()
    async with running(daemon):
        assert daemon.steps == ["open", "listening"]
    assert daemon.steps == ["open", "listening", "stopping", "close"]


async def test_after_the_end_nobody_answers() -> None:
    async with running(tiny_daemon()) as served, connected(served.port) as idle:
        idle.request()
        assert (await idle.answer()).status == 200
        await served.stop()
        assert await idle.ended()
        with pytest.raises(ConnectionRefusedError):
            await asked(served.port)


def reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return False
    return True


def test_all_interfaces_are_those_of_both_kinds() -> None:
    with listen("::", 0) as listener:
        assert listener.family == socket.AF_INET6
        assert [reaches(host, listener.getsockname()[1]) for host in ("127.0.0.1", "::1")] == [True, True]


def test_without_ipv6_all_interfaces_are_those_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_has_ipv6", lambda: False)
    with listen("::", 0) as listener:
        assert listener.family == socket.AF_INET
        assert reaches("127.0.0.1", listener.getsockname()[1])


async def test_a_port_in_use_is_told_in_words_and_nothing_is_opened(taken_port: int) -> None:
    daemon = tiny_daemon()
    with pytest.raises(StartError, match=f"^port {taken_port} on 127.0.0.1 is in use by another program; .*--port$"):
        await start(daemon, "127.0.0.1", taken_port)
    assert daemon.steps == []


async def test_two_daemons_do_not_share_a_port() -> None:
    async with running(tiny_daemon()) as served:
        with pytest.raises(StartError, match="in use"):
            await start(tiny_daemon(), "127.0.0.1", served.port)
        assert await alive(served.port)


async def test_a_port_is_free_again_at_once() -> None:
    async with running(tiny_daemon()) as served, connected(served.port) as wire:
        wire.request()
        await wire.answer()
        port = served.port
    listen("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ("256.1.1.1", "cannot listen on 256.1.1.1"),
        ("no such host", "cannot listen on no such host"),
        ("x" * 70 + ".example", "cannot listen on x"),
        ("a..example", "cannot listen on a..example"),
        ("é" * 300, "cannot listen on é"),
    ],
)
def test_a_wrong_host_is_told_in_words(host: str, words: str) -> None:
    with pytest.raises(StartError) as refused:
        listen(host, 0)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(not HAS_IPV6, reason="needs IPv6")
async def test_it_listens_on_ipv6_and_writes_its_url_right() -> None:
    served = await start(tiny_daemon(), "::1", 0)
    try:
        assert served.url == f"http://[::1]:{served.port}"
        _, writer = await asyncio.open_connection("::1", served.port)
        writer.close()
        await writer.wait_closed()
    finally:
        await served.stop()


async def test_a_daemon_that_cannot_open_is_closed_and_its_port_free(taken_port: int) -> None:
    daemon = tiny_daemon()
    daemon.failing = frozenset({"open"})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="open fails"):
        await start(daemon, "127.0.0.1", port)
    assert daemon.steps == ["open", "close"]
    assert asyncio.all_tasks() == before
    listen("127.0.0.1", port).close()


async def test_a_daemon_that_fails_when_it_listens_is_ended_in_order() -> None:
    daemon = tiny_daemon()
    daemon.failing = frozenset({"listening"})
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="listening fails"):
        await start(daemon, "127.0.0.1", 0)
    assert daemon.steps == ["open", "listening", "stopping", "close"]
    assert asyncio.all_tasks() == before


async def test_a_step_of_the_end_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    daemon = tiny_daemon()
    daemon.failing = frozenset({"stopping", "close"})
    async with running(daemon) as served:
        pass
    assert daemon.steps == ["open", "listening", "stopping", "close"]
    with pytest.raises(ConnectionRefusedError):
        await asked(served.port)
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "a step of the shutdown failed"
    ] * 2


async def test_a_request_at_work_is_finished_before_the_end() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        begun.set()
        await go_on.wait()
        return web.Response(text="done")

    daemon = tiny_daemon(at("/api/v1/work", handle))
    async with running(daemon) as served, connected(served.port) as wire:
        wire.request("/api/v1/work")
        await begun.wait()
        stopping = asyncio.ensure_future(served.stop())
        await until(lambda: "stopping" in daemon.steps)
        go_on.set()
        assert (await wire.answer()).body == b"done"
        await stopping
        assert daemon.steps[-1] == "close"


def test_the_end_comes_within_its_time() -> None:
    assert list(STOP_MARKS) == sorted(STOP_MARKS)
    assert STOP_MARKS[-1] < LAST_RESORT < WITHIN


@asynccontextmanager
async def script(kind: str, share: float = 0.1) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A daemon in a process of its own, and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.script_daemon",
        kind,
        str(share),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def end_of(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Its exit code and what it still said, within the promised time."""
    async with asyncio.timeout(WITHIN):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_daemon_in_order(number: signal.Signals) -> None:
    async with script("quick") as (process, port), connected(port) as idle:
        idle.request()
        assert (await idle.answer()).status == 200
        process.send_signal(number)
        assert await end_of(process) == (0, "stopping\nclosed\n", "")
        assert await idle.ended()


async def test_a_request_that_will_not_end_does_not_hold_up_the_end() -> None:
    async with script("stubborn") as (process, port), connected(port) as wire:
        wire.request("/api/v1/endless")
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGTERM)
        code, out, err = await end_of(process)
    assert code == 1
    assert "closed" in out.splitlines()
    assert "did not end in time" in err


async def test_steps_that_hang_do_not_hold_up_the_end() -> None:
    async with script("hanging") as (process, _):
        process.send_signal(signal.SIGTERM)
        code, out, err = await end_of(process)
    assert (code, out) == (0, "stopping\nclosed\n")
    assert err.count("a step of the shutdown failed") == 2


async def test_a_signal_ends_a_daemon_that_is_still_starting() -> None:
    async with script("slow") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert await end_of(process) == (0, "closed\n", "")


async def test_a_second_signal_ends_it_at_once() -> None:
    async with script("hanging", share=1) as (process, _):
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert await process.stdout.readline() == b"stopping\n"
        process.send_signal(signal.SIGINT)
        assert await end_of(process) == (128 + signal.SIGINT, "", "")
