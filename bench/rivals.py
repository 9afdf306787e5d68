"""The rivals: where they come from, and how each of them fetches a file.

nginx, aria2c and curl are Debian's, installed here when they are missing and this runs as root; libtorrent is a package
in build/interop, where `make` puts it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from bench.daemons import Missing, tool
from bench.downloads import Sample

PACKAGES = {
    "nginx": "nginx-light",
    "aria2c": "aria2",
    "curl": "curl",
    "taskset": "util-linux",
    "sha256sum": "coreutils",
}
INTEROP = Path(__file__).resolve().parent.parent / "build" / "interop"
NO_SERVICE = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # installing nginx is not to start it


def prepare() -> None:
    """Installs what is missing. Raises Missing."""
    if packages := [package for name, package in PACKAGES.items() if not _is_there(name, package)]:
        if os.geteuid() != 0:
            raise Missing(f"{', '.join(packages)} must be installed (Debian: apt install {' '.join(packages)})")
        print(f"Installing {', '.join(packages)} …", flush=True)
        for step in (("update",), ("install", "--yes", "--no-install-recommends", *packages)):
            subprocess.run(["apt-get", "--quiet", *step], env=os.environ | NO_SERVICE, stdout=subprocess.DEVNULL)
    for name, package in PACKAGES.items():
        tool(name, package)
    if not (INTEROP / "libtorrent").is_dir():
        raise Missing("libtorrent is not in build/interop: run this as `make bench-transfers`")


def _is_there(name: str, package: str) -> bool:
    try:
        return bool(tool(name, package))
    except Missing:
        return False


def versions() -> str:
    """Which they are."""
    told = [subprocess.run([tool(name, PACKAGES[name]), "-v"], capture_output=True, text=True) for name in PACKAGES][:2]
    nginx, aria2 = told[0].stderr.split("/")[-1].strip(), told[1].stdout.split()[2]
    curl = subprocess.run([tool("curl", "curl"), "-V"], capture_output=True, text=True).stdout.split()[1]
    libtorrent = next(INTEROP.glob("libtorrent-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    return f"nginx {nginx}, aria2 {aria2}, curl {curl}, libtorrent {libtorrent}"


# Each fetches into a folder of its own; seconds, and where the file is


def aria2c(sample: Sample, urls: Sequence[str], folder: Path) -> tuple[float, Path]:
    """Eight connections, the SHA-256 checked."""
    command = [tool("aria2c", "aria2"), "--no-conf", "--quiet", "-x8", "-s8", "-k1M", "--file-allocation=none"]
    command += [f"--checksum=sha-256={sample.id}", "--allow-overwrite=true", "-d", str(folder), "-o", "aria2c.bin"]
    return _ran([[*command, *urls]]), folder / "aria2c.bin"


def curl(url: str, folder: Path) -> tuple[float, Path]:
    """Without any check."""
    return _ran([_curl(url, folder / "curl.bin")]), folder / "curl.bin"


def curl_and_sha256sum(url: str, folder: Path) -> tuple[float, Path]:
    """One after the other."""
    path = folder / "curl.bin"
    return _ran([_curl(url, path), [tool("sha256sum", "coreutils"), str(path)]]), path


def _curl(url: str, path: Path) -> list[str]:
    return [tool("curl", "curl"), "-sf", "-o", str(path), url]


def _ran(commands: list[list[str]]) -> float:
    began = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


# libtorrent


@dataclass(frozen=True)
class Torrent:
    """A torrent of the sample, and those who have it."""

    file: Path
    sample: Sample
    seeds: list[int]


@contextmanager
def torrent(sample: Sample, folder: Path, seeds: int, rate: int = 0) -> Iterator[Torrent]:
    """Makes it and starts sessions that have the file, each with an uplink of `rate`."""
    file = folder / "sample.torrent"
    _run_torrents("make", str(file), str(sample.path))
    with ExitStack() as stack:
        where = ("seed", str(file), str(sample.path.parent), str(rate))
        sessions = [stack.enter_context(_session(folder, *where)) for _ in range(seeds)]
        yield Torrent(file, sample, [_port(session) for session in sessions])


def by_libtorrent(torrent: Torrent, folder: Path, leeches: int = 1, rate: int = 0) -> tuple[float, float, list[Path]]:
    """A crowd of sessions that begin at one moment. Seconds until the last one has it, the most memory above idle that
    one of them needed, the files."""
    targets = [folder / f"leech-{number}" for number in range(leeches)]
    with ExitStack() as stack:
        sessions = []
        for target in targets:
            target.mkdir(exist_ok=True)
            sessions.append(stack.enter_context(_session(folder, "leech", str(torrent.file), str(target), str(rate))))
        ports = [*torrent.seeds, *(_port(session) for session in sessions)]
        began = time.perf_counter()
        for session, own in zip(sessions, ports[len(torrent.seeds) :], strict=True):
            _tell(session, " ".join(str(port) for port in ports if port != own))
        memory = [float(_answer(session)) for session in sessions]
        took = time.perf_counter() - began
    return took, max(memory), [target / torrent.sample.path.name for target in targets]


def _torrents(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "bench.torrents", *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(INTEROP)}


def _run_torrents(*arguments: str) -> None:
    subprocess.run(_torrents(*arguments), env=_environment(), check=True)


@contextmanager
def _session(folder: Path, *arguments: str) -> Iterator["Popen[str]"]:
    pipe = subprocess.PIPE
    with (folder / "libtorrent.log").open("a") as log:
        process = Popen(_torrents(*arguments), stdin=pipe, stdout=pipe, stderr=log, text=True, env=_environment())
    try:
        yield process
    finally:
        process.kill()  # what it would still do is to take leave of trackers that it does not have
        process.communicate()


def _tell(session: "Popen[str]", text: str) -> None:
    assert session.stdin is not None
    session.stdin.write(f"{text}\n")
    session.stdin.flush()


def _answer(session: "Popen[str]") -> str:
    assert session.stdout is not None
    if not (told := session.stdout.readline()):
        raise RuntimeError("libtorrent ended before its time")
    return told


def _port(session: "Popen[str]") -> int:
    return int(_answer(session))
