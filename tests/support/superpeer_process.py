"""A super-peer in a process of its own, as a person or a service manager runs it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.support.network import free_port
from tests.support.waiting import PATIENCE, until


@dataclass(frozen=True)
class Ended:
    """A process that has ended by itself."""

    code: int
    out: str
    err: str


@dataclass
class Running:
    """One that answers. Its log is in `log`."""

    process: asyncio.subprocess.Process
    port: int
    log: Path

    @property
    def url(self) -> str:
        return url_of(self.port)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits; the exit code, negative for a signal that nobody caught."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


def url_of(port: int) -> str:
    """Where one on this machine answers."""
    return f"http://127.0.0.1:{port}"


async def _process(
    module: str,
    folder: Path,
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    out: int | None,
    err: int | None,
    stdin: int = asyncio.subprocess.DEVNULL,
) -> asyncio.subprocess.Process:
    root = Path(__file__).resolve().parents[2]
    known = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERPEER_", "PORT", "DEBUG"))}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=folder,
        env={**known, "PYTHONPATH": str(root), **environment},
        stdin=stdin,
        stdout=out,
        stderr=err,
    )


async def ended(folder: Path, *arguments: str, **environment: str) -> Ended:
    """Runs `python -m superpeer` to its end, which comes by itself."""
    pipe = asyncio.subprocess.PIPE
    process = await _process("superpeer", folder, arguments, environment, pipe, pipe)
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def running(folder: Path, *arguments: str, port: int | None = None, **environment: str) -> AsyncIterator[Running]:
    """Starts it in `folder` and waits until it is ready; kills it in the end if it still runs."""
    port = port or free_port()
    log = folder / "log"
    with log.open("ab") as file:
        number = file.fileno()
        given = ("--port", str(port), *arguments)
        process = await _process("superpeer", folder, given, environment, number, number)
    try:
        made = Running(process, port, log)
        await _ready(port, process.pid, log)
        yield made
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Forks:
    """Starts super-peers that answer within moments; see `superpeer_forks`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def start(self, port: int) -> int:
        """Starts one in the folder, waits until it is ready; its process id."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b'["--port", "%d"]\n' % port)
        pid = int(await asyncio.wait_for(self._process.stdout.readline(), PATIENCE))
        await _ready(port, pid, self._log)
        return pid

    async def kill(self, pid: int) -> None:
        """Kills one of them, and waits until it is no more."""
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not _alive(pid))


@asynccontextmanager
async def forks(folder: Path) -> AsyncIterator[Forks]:
    """What starts super-peers in `folder`."""
    log, pipe = folder / "log", asyncio.subprocess.PIPE
    with log.open("ab") as file:
        module = "tests.support.superpeer_forks"
        environment = {"LOGGING_OUTPUT": str(log)}
        process = await _process(module, folder, (), environment, pipe, file.fileno(), stdin=pipe)
    try:
        yield Forks(process, log)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), PATIENCE)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _ready(port: int, pid: int, log: Path) -> None:
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        while True:
            assert _alive(pid), log.read_text()
            try:
                async with session.get(f"{url_of(port)}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)
