"""Daemons and rivals as processes of their own, on loopback, with all they write in one temporary folder."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 120.0


class Missing(Exception):
    """A rival that is not installed; the message says how to get it."""


def tool(name: str, package: str) -> str:
    """The path of a program. Raises Missing."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise Missing(f"{name} is not installed (Debian: apt install {package}); skipped")
    return found


_ports = iter(range(15_000, 30_000))


def free_port() -> int:
    """A port that nothing listens on, another each time: below those that the system gives to whoever dials."""
    for port in _ports:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                return port
    raise RuntimeError("no port is free")


@contextmanager
def running(*command: str, log: Path, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process for as long as the block runs."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(url: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
    """The JSON that a GET, or a POST of `body`, is answered with."""
    data = None if body is None else json.dumps(body).encode()
    sent = {**(headers or {}), **({"Content-Type": "application/json"} if data else {})}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=sent), timeout=60) as answer:
        return json.load(answer)


def wait_for(url: str, *, any_answer: bool = False) -> None:
    """Until `url` answers 200, or answers at all."""
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if any_answer and isinstance(error, urllib.error.HTTPError):
                return
            if time.monotonic() - began > PATIENCE:
                raise
            time.sleep(0.05)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the daemon serves. Raises RuntimeError with what it said last when it ended instead."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"a daemon does not get ready: {' '.join(log.read_text().splitlines()[-3:])}")


@contextmanager
def super_peer(
    folder: Path, environment: dict[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A super-peer; its address and its process."""
    port = free_port()
    command = (sys.executable, "-m", "superpeer", "--port", str(port), "--data", str(folder / "superpeer"))
    with running(*command, log=folder / "superpeer.log", environment=environment) as process:
        wait_until_ready(f"http://127.0.0.1:{port}", process, folder / "superpeer.log")
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def starting_peer(
    folder: Path, super_peer_url: str, *shares: Path, name: str = "bench", environment: dict[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A peer that shares `shares`, not ready yet; its address and its process."""
    port = free_port()
    own = folder / f"{name}-shared"
    own.mkdir(exist_ok=True)
    options = [part for share in (shares or (own,)) for part in ("--share", str(share))]
    where = ("--port", str(port), "--data", str(folder / name), "--super-peer", super_peer_url.removeprefix("http://"))
    command = (sys.executable, "-m", "peer", "run", "--name", name, *where, *options)
    with running(*command, log=folder / f"{name}.log", environment=environment) as process:
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def peer(
    folder: Path, super_peer_url: str, *shares: Path, name: str = "bench", environment: dict[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A peer that shares `shares`; its address and its process."""
    with starting_peer(folder, super_peer_url, *shares, name=name, environment=environment) as (url, process):
        wait_until_ready(url, process, folder / f"{name}.log")
        yield url, process


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """The processor time that a process and its threads have used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_megabytes(process: subprocess.Popen[bytes]) -> float:
    """The proportional set size (10^6 bytes)."""
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("this system does not tell the proportional set size")


def wait_until_indexed(hub: str, url: str, data: Path) -> int:
    """Until the peer has read its shares and the super-peer knows all of it; how many entries that are."""
    token = (data / "owner-token").read_text().strip()
    while True:
        shares = ask(f"{url}/api/v1/shares", headers={"Authorization": f"Bearer {token}"})
        info = ask(f"{url}/api/v1/info")
        if info["is_registered"] and all(share["state"] == "online" for share in shares):
            known = ask(f"{hub}/api/v1/peers/{info['id']}")
            if known["shared_files"] == info["shared_files"] > 0:
                return int(known["shared_files"])
        time.sleep(0.05)
