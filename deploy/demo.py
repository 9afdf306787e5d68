"""The demonstration of `make demo`: one super-peer, two peers with overlapping folders, a search, a proven download.

Everything runs on this machine and listens on loopback only; all that is written goes below ./data/demo, away from the
folders that daemons take by default. The two peers share folders of the Python that runs this: real files, many of them
equal.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.database.folder_lock import FolderInUse, FolderLock
from common.runtime.obstacles import StartError

DATA = Path("data/demo")
PATIENCE = 120.0  # seconds for any one step
SHARED = {"peer-one": ("asyncio", "email", "json"), "peer-two": ("asyncio", "http", "xml")}
WORDS = "base events"


class Failed(Exception):
    """The demonstration cannot go on; the message says what to look at."""


class Processes:
    """What was started here, and nothing else, is stopped again."""

    def __init__(self) -> None:
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, *command: str) -> None:
        """Starts a daemon that writes nowhere but to its log, NAME.log."""
        log = _log_of(name)
        log.unlink(missing_ok=True)
        environment = {**os.environ, "LOGGING_OUTPUT": str(log)}
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                process_group=0,  # a Ctrl-C is for the demonstration, which ends them in order
            )
        self._started.append((name, process))

    def check(self) -> None:
        """Raises Failed when one has ended."""
        for name, process in self._started:
            if process.poll() is not None:
                said = _log_of(name).read_text(errors="replace").splitlines()[-1:]
                raise Failed("; ".join((f"{name} ended with {process.returncode}", *said, f"see {_log_of(name)}")))

    def stop(self) -> None:
        """Ends all, the last one first: peers say goodbye while there is a super-peer to hear it."""
        for _, process in reversed(self._started):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _log_of(name: str) -> Path:
    return DATA / f"{name}.log"


def say(text: str = "") -> None:
    """Tells the person in front of it."""
    print(text, flush=True)


def say_wrong(text: str) -> None:
    """The one line about what did not work."""
    print(f"demo: {text}", file=sys.stderr, flush=True)


def free_port(wanted: int, taken: set[int]) -> int:
    """`wanted` if nobody listens there, else any other."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
            if found not in taken:
                taken.add(found)
                return found
    raise Failed("no free port was found on this machine")


def ask(url: str, token: str = "") -> Any:
    """The JSON behind `url`, or None while nobody answers."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except (OSError, urllib.error.URLError, ValueError):
        return None


def wait(what: str, processes: Processes, happened: Callable[[], object]) -> None:
    """Until `happened` says so; shows the time that it took."""
    began = time.monotonic()
    print(f"  {what} …", end="", flush=True)
    took = ""
    try:
        while not happened():
            processes.check()
            if time.monotonic() - began > PATIENCE:
                raise Failed(f"waited {PATIENCE:g} s in vain until {what}; see the logs in {DATA}")
            time.sleep(0.05)
        took = f" {time.monotonic() - began:.1f} s"
    finally:
        say(took)


def indexed(super_peer: str, peer: str, folder: Path) -> bool:
    """Whether the super-peer knows all that this peer shares."""
    token = folder / "owner-token"
    shares = ask(f"{peer}/api/v1/shares", token.read_text().strip()) if token.exists() else None
    info = ask(f"{peer}/api/v1/info")
    if not shares or not info or not info["is_registered"] or any(share["state"] != "online" for share in shares):
        return False
    known = ask(f"{super_peer}/api/v1/peers/{info['id']}")
    return bool(known) and known["shared_files"] == info["shared_files"] > 0


def start_all(processes: Processes) -> tuple[str, dict[str, str]]:
    """Starts the three daemons; returns the super-peer's address and each peer's."""
    taken: set[int] = set()
    port = free_port(8080, taken)
    super_peer = f"http://127.0.0.1:{port}"
    processes.start("superpeer", "superpeer", "--port", str(port), "--data", str(DATA / "superpeer"))
    wait("the super-peer is ready", processes, lambda: ask(f"{super_peer}/readyz"))
    library = Path(sysconfig.get_path("stdlib"))
    peers = {}
    for number, (name, folders) in enumerate(SHARED.items()):
        port_of_peer = free_port(9001 + number, taken)
        peers[name] = f"http://127.0.0.1:{port_of_peer}"
        own = DATA / f"{name}-shared"
        own.mkdir(parents=True, exist_ok=True)
        shares = [part for folder in (own, *(library / each for each in folders)) for part in ("--share", str(folder))]
        options = ["--port", str(port_of_peer), "--data", str(DATA / name), "--name", name, *shares]
        processes.start(name, "peer", "run", "--super-peer", f"127.0.0.1:{port}", *options)
    for name, address in peers.items():
        wait(f"{name} is indexed", processes, lambda n=name, a=address: indexed(super_peer, a, DATA / n))  # type: ignore[misc]
    return super_peer, peers


def fetch(super_peer: str, peer: str) -> dict[str, Any]:
    """Searches, fetches a file that both peers hold, and checks it; returns the file."""
    here = super_peer.removeprefix("http://")
    say(f"\n$ peer search {WORDS} --super-peer {here}")
    run_peer("search", *WORDS.split(), "--super-peer", here)
    found = ask(f"{super_peer}/api/v1/files/search?q={WORDS.replace(' ', '+')}")["results"]
    both = [file for file in found if file["sources"] >= len(SHARED)]
    if not both:
        raise Failed("no file was found that both peers hold")
    file: dict[str, Any] = both[0]
    folder = DATA / "fetched"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    say(f"\n$ peer get {file['id']} -o {folder}/ --super-peer {here}")
    run_peer("get", file["id"], "-o", f"{folder}/", "--super-peer", here)
    path = folder / file["filename"]
    say(f"\n$ sha256sum {path}")
    digest = sha256sum(path)
    say(f"{digest}  {path}")
    if digest != file["id"]:
        raise Failed("the file's SHA-256 is not its id")
    say("The file is what it says it is: its SHA-256 is its id.")
    return file


def run_peer(*arguments: str) -> None:
    """Runs the command `peer` as a person would."""
    ended = subprocess.run([sys.executable, "-m", "peer", *arguments], check=False)
    if ended.returncode:
        raise Failed(f"`peer {arguments[0]}` ended with {ended.returncode}")


def sha256sum(path: Path) -> str:
    """The file's SHA-256 by the system's own tool, or by Python where there is none."""
    tool = shutil.which("sha256sum")
    if tool:
        return subprocess.run([tool, str(path)], check=True, capture_output=True, text=True).stdout.split()[0]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def link_of(peer: str, address: str) -> str:
    """A link with which this peer's page lets its visitor manage it, as `peer open` prints it."""
    command = [sys.executable, "-m", "peer", "open", "--json", *_own(peer, address)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise Failed(f"`peer open` ended with {ended.returncode}: {ended.stderr.strip()}")
    return str(json.loads(ended.stdout)["url"])


def _own(peer: str, address: str) -> list[str]:
    return ["--data", str(DATA / peer), "--peer", address.removeprefix("http://")]


def show(super_peer: str, peers: dict[str, str], file: dict[str, Any]) -> None:
    """What to look at, and the same steps for a terminal."""
    name = shlex.quote(file["filename"])
    say(f"\nDashboard   {super_peer}/")
    for peer, address in peers.items():
        say(f"{peer:11} {address}/")
    say("\nTo manage a peer, open its link. Each works once, within ten minutes:")
    for peer, address in peers.items():
        say(f"{peer:11} {link_of(peer, address)}")
    peer, address = next(iter(peers.items()))
    say(f"Another one for {peer}: .venv/bin/peer open {shlex.join(_own(peer, address))}")
    say("\nThe same with curl:")
    say(f"  curl '{super_peer}/api/v1/stats'")
    say(f"  curl '{super_peer}/api/v1/files/search?q={WORDS.replace(' ', '+')}&limit=3'")
    say(f"  curl '{super_peer}/api/v1/files/{file['id']}/sources'")
    say(f"  curl -fL -o {name} '{super_peer}/api/v1/download/{file['id']}'")
    say(f"  sha256sum {name}")


def main() -> int:
    """Runs it; 0 when the round trip succeeded."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--once", action="store_true", help="end after the round trip")
    once = given.parse_args().once
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        lock = FolderLock.acquire(DATA)
    except FolderInUse as error:
        say_wrong(f"A demo is running already (process {error.pid}) in {Path.cwd()}: stop it with Ctrl-C there")
        return 2
    except StartError as error:
        say_wrong(str(error))
        return 2
    try:
        return run(once)
    finally:
        lock.release()


def run(once: bool) -> int:
    """The demonstration from start to end; returns the exit code."""
    processes = Processes()
    try:
        say(f"Starting a super-peer and two peers; all of it stays on this machine, data in ./{DATA}")
        super_peer, peers = start_all(processes)
        file = fetch(super_peer, next(iter(peers.values())))
        show(super_peer, peers, file)
        if not once:
            say("\nEverything goes on running until Ctrl-C.")
            while True:
                time.sleep(1)
                processes.check()
        say("\nStopping.")
    except Failed as error:
        say_wrong(str(error))
        return 1
    except KeyboardInterrupt:
        say("\nStopping.")
    finally:
        processes.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
