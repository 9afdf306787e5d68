"""A network of daemons that are stopped, killed and started again, and what can be seen of it from outside."""

import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from bench.daemons import ask, wait_for
from bench.samples import Offer

PATIENCE = 60.0
PAUSE = 0.05  # seconds between two looks: more of them would take the time that the daemons need
LASTING = range(20_000, 30_000)


@dataclass
class Daemon:
    """One daemon, which keeps its port and its folder over restarts."""

    name: str
    port: int
    command: list[str]
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    id: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def start(self) -> None:
        """Returns at once."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def ready(self) -> None:
        """Returns when it is."""
        wait_for(f"{self.url}/readyz")

    def end(self, number: signal.Signals) -> int:
        """Ends it with a signal; its exit code, which is negative for a signal that it did not handle."""
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{self.name} was not running any more: see {self.log}")
        self.process.send_signal(number)
        return self.process.wait(30)

    def count(self, name: str) -> int:
        """A reading of its /metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
        if found is None:
            raise KeyError(name)
        return int(float(found[1]))

    def logged(self, message: str) -> int:
        """How often it has logged this."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return sum(line["message"] == message for line in lines)

    def bytes_read(self) -> int:
        """All that it read since its start, files, database and modules, from the cache too."""
        assert self.process is not None
        found = re.search(r"^rchar: (\d+)$", Path(f"/proc/{self.process.pid}/io").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])


@dataclass
class Network:
    """One super-peer and some peers, and what each peer is to offer. `root` of a peer is the folder it shares."""

    folder: Path
    environment: dict[str, str]
    super_peer: Daemon = field(init=False)
    peers: dict[str, Daemon] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.super_peer = self._daemon("superpeer", "superpeer")

    def _daemon(self, name: str, *command: str) -> Daemon:
        port, data = lasting_port(), self.folder / name
        arguments = [*command, "--port", str(port), "--data", str(data)]
        return Daemon(name, port, arguments, data, self.environment)

    def add_peer(self, name: str, root: Path) -> Daemon:
        """A peer, not started yet."""
        peer = self._daemon(name, "peer", "run")
        address = self.super_peer.url.removeprefix("http://")
        peer.command += ["--name", name, "--super-peer", address, "--share", str(root)]
        self.peers[name] = peer
        return peer

    def close(self) -> None:
        """Kills what still runs."""
        for daemon in (*self.peers.values(), self.super_peer):
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.end(signal.SIGKILL)

    @property
    def database(self) -> Path:
        return self.super_peer.folder / "superpeer.sqlite"

    def announced(self, peer: str = "%") -> dict[str, Offer]:
        """What the super-peer holds of a peer, or of each, from its database: the API shows names, not paths."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            found: dict[str, Offer] = {}
            for name, path, file_id in connection.execute(
                "SELECT peers.name, path, files.id FROM entries"
                " JOIN peers ON peers.n = peer_n JOIN files ON files.n = file_n WHERE peers.name LIKE ?",
                (peer,),
            ):
                found.setdefault(name, {})[path] = file_id
        return found

    def is_whole(self, *names: str, heard_since: float = 0.0) -> bool:
        """Whether these peers, or all, are here, have looked at all that they share and told exactly that, and have had
        an answer of the super-peer since a moment (seconds since 1970)."""
        there = {peer["name"]: peer for peer in ask(f"{self.super_peer.url}/api/v1/peers")}
        chosen = names or tuple(self.peers)
        if not all(self._is_there(self.peers[name], there.get(name, {}), heard_since) for name in chosen):
            return False
        announced = self.announced()
        return all(announced.get(name, {}) == self.offers[name] for name in chosen)

    def _is_there(self, peer: Daemon, shown: dict[str, Any], heard_since: float) -> bool:
        if not shown.get("is_online") or shown["shared_files"] != len(self.offers[peer.name]):
            return False
        token = (peer.folder / "owner-token").read_text().strip()
        shares = ask(f"{peer.url}/api/v1/shares", headers={"Authorization": f"Bearer {token}"})
        info = ask(f"{peer.url}/api/v1/info")
        if not info["is_registered"] or datetime.fromisoformat(info["last_heartbeat"]).timestamp() < heard_since:
            return False
        return all(share["state"] == "online" for share in shares)

    def sources(self) -> dict[str, set[str]]:
        """Who is to have which content."""
        found: dict[str, set[str]] = {}
        for peer, offer in self.offers.items():
            for file_id in offer.values():
                found.setdefault(file_id, set()).add(peer)
        return found

    def pairs(self) -> set[tuple[str, str]]:
        """(name, id) of all that is to be found."""
        return {(path.rpartition("/")[2], file_id) for offer in self.offers.values() for path, file_id in offer.items()}

    def names(self) -> dict[str, set[str]]:
        """The names that each content is to be found under."""
        found: dict[str, set[str]] = {}
        for name, file_id in self.pairs():
            found.setdefault(file_id, set()).add(name)
        return found

    def listed(self) -> dict[str, dict[str, Any]]:
        """All that a search for nothing in particular finds, by id: what somebody has who is online."""
        return {found["id"]: found for found in self.find("")}

    def flaws(self) -> list[str]:
        """What is wrong with the stopped super-peer's database in itself."""
        with closing(sqlite3.connect(self.database)) as connection:
            told = [row[0] for check in ("integrity_check", "foreign_key_check") for row in _pragma(connection, check)]
        return [flaw for flaw in told if flaw != "ok"]

    def find(self, name: str, **more: str) -> Iterator[dict[str, Any]]:
        """All that a search for a name finds."""
        query = urlencode({"q": name, "sort": "name", "limit": "1000", **more}, quote_via=quote)
        return pages(f"{self.super_peer.url}/api/v1/files/search?{query}")

    def errors(self) -> list[str]:
        """What the daemons complained of."""
        daemons = (self.super_peer, *self.peers.values())
        lines = [line for daemon in daemons for line in daemon.log.read_text().splitlines()]
        return [line for line in lines if not line.startswith("{") or json.loads(line)["level"] == "error"]


def _pragma(connection: sqlite3.Connection, name: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"PRAGMA {name}").fetchall()


def lasting_port() -> int:
    """A port that nobody uses, nor will: one that the system gives to outgoing calls may be gone after a restart."""
    while True:
        port = random.choice(LASTING)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def pages(url: str) -> Iterator[dict[str, Any]]:
    """Every file of a list or a search."""
    following: str | None = url
    while following:
        with urllib.request.urlopen(following, timeout=60) as answer:
            body = json.load(answer)
            if isinstance(body, dict):
                yield from body["results"]
                cursor = body["next_cursor"]
            else:
                yield from body
                cursor = _cursor(answer.headers.get("Link", ""))
        following = f"{url}&cursor={quote(cursor)}" if cursor else None


def _cursor(link: str) -> str | None:
    found = re.search(r'[?&]cursor=([^&>]*)[^>]*>; rel="next"', link)
    return urllib.parse.unquote(found[1]) if found else None


def names_of(found: dict[str, Any]) -> set[str]:
    """Every name that a file is listed under."""
    return {found["filename"], *found["names"]}


def until(happened: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Whether it came true in time."""
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        try:
            if happened():
                return True
        except (OSError, KeyError, sqlite3.OperationalError):
            pass  # not there yet, or not there just now
        time.sleep(PAUSE)
    return False


@contextmanager
def opened(folder: Path, **environment: str) -> Iterator[Network]:
    """A network whose daemons end with the block."""
    network = Network(folder, environment)
    try:
        yield network
    finally:
        network.close()
