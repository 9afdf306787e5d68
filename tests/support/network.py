"""A network of real processes on loopback: one super-peer, some peers, the command line.

All they write is in one folder.
"""

import asyncio
import hashlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

PATIENCE = 60.0  # seconds until a test fails instead of hanging
QUICK = {"SUPERPEER_HEARTBEAT_INTERVAL": "500ms"}


@dataclass
class Process:
    """One daemon. `log` is where it writes, `inside` the command that it is run by, if any."""

    name: str
    port: int
    command: list[str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    host: str = "127.0.0.1"
    inside: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def stop(self) -> int:
        """Ends it as a service manager does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 15)

    async def kill(self) -> None:
        """Ends it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()


@dataclass
class Ran:
    """A command that has ended."""

    code: int
    lines: list[dict[str, Any]]
    err: str


@dataclass
class Network:
    """The processes of one test. `settings` are in the environment of each daemon that is started."""

    folder: Path
    session: aiohttp.ClientSession
    settings: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    super_peer: Process = field(init=False)
    peers: dict[str, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        port = free_port()
        command = ["superpeer", "--host", self.host, "--port", str(port), "--data", str(self.folder / "superpeer")]
        self.super_peer = Process("superpeer", port, command, self.folder / "superpeer.log", host=self.host)

    async def start(self, daemon: Process) -> None:
        """Starts a daemon (again) and waits until it is ready."""
        await self.launch(daemon)
        await self.until(lambda: self.get(f"{daemon.url}/readyz"))

    async def launch(self, daemon: Process) -> None:
        """Starts a daemon that may be out of reach."""
        with daemon.log.open("ab") as log:
            daemon.process = await asyncio.create_subprocess_exec(
                *daemon.inside,
                sys.executable,
                "-m",
                *daemon.command,
                env={**os.environ, **QUICK, **self.settings},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def add_peer(self, name: str, *shares: Path) -> Process:
        """A peer that shares folders, started."""
        port = free_port()
        options = [part for share in shares for part in ("--share", str(share))]
        where = ["--port", str(port), "--data", str(self.folder / name), "--super-peer", self.super_peer.address]
        peer = Process(name, port, ["peer", "run", "--name", name, *where, *options], self.folder / f"{name}.log")
        self.peers[name] = peer
        await self.start(peer)
        return peer

    async def get(self, url: str) -> Any:
        """The JSON behind `url`; None while nobody answers or it is refused."""
        try:
            async with self.session.get(url) as answer:
                return await answer.json() if answer.status == 200 else None
        except (aiohttp.ClientError, OSError):
            return None

    async def until(self, happened: Callable[[], Any]) -> Any:
        """What `happened` answers once that is something; asks again and again, and fails in the end."""
        async with asyncio.timeout(PATIENCE):
            while not (answer := await happened()):
                await asyncio.sleep(0.02)
        return answer

    async def find(self, words: str, **parameters: str) -> dict[str, Any]:
        """What the super-peer finds, by id."""
        query = {"q": words, **parameters}
        async with self.session.get(f"{self.super_peer.url}/api/v1/files/search", params=query) as answer:
            assert answer.status == 200
            return {found["id"]: found for found in (await answer.json())["results"]}

    async def until_found(self, words: str, *ids: str, **parameters: str) -> dict[str, Any]:
        """Once a search finds exactly these ids."""

        async def exactly() -> dict[str, Any] | None:
            found = await self.find(words, **parameters)
            return (found or {"": ""}) if set(found) == set(ids) else None

        return dict(await self.until(exactly))

    async def run(self, *arguments: str) -> Ran:
        """Runs the command `peer` to its end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "peer",
            *arguments,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        lines = [json.loads(line) for line in out.decode().splitlines()]
        return Ran(process.returncode or 0, lines, err.decode())

    async def close(self) -> None:
        """Ends whatever still runs."""
        for daemon in (*self.peers.values(), self.super_peer):
            if daemon.process is not None and daemon.process.returncode is None:
                await daemon.stop()


@asynccontextmanager
async def network(folder: Path, **settings: str) -> AsyncIterator[Network]:
    """A network with a running super-peer."""
    async with aiohttp.ClientSession() as session:
        made = Network(folder, session, settings)
        try:
            await made.start(made.super_peer)
            yield made
        finally:
            await made.close()


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(path: Path, content: bytes) -> str:
    """Writes a file as careful programs do, under another name first; its id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(content)
    half.rename(path)
    return id_of(content)


def id_of(content: bytes) -> str:
    """The id of these bytes."""
    return hashlib.sha256(content).hexdigest()
