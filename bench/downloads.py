"""A network with sources of one file, and downloads from it by daemons that are new each time, timed and measured.

A source is ready when the super-peer lists it and its manifest is made. A download takes from the moment that it is
asked for (`POST /api/v1/downloads`) to the moment that its daemon notes as its end.
"""

import hashlib
import os
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from subprocess import Popen

from blake3 import blake3

from bench.daemons import ask, cpu_seconds, peer, super_peer
from bench.memory import children, peak, reset_peak, resident

BLOCK = 1024 * 1024
PATIENCE = 900.0
PAUSE = 0.1  # seconds between two looks at a download
SETTLE = 1.5  # seconds after which a new daemon is idle
ALGORITHMS: dict[str, Callable[[], "hashlib._Hash | blake3"]] = {"sha256": hashlib.sha256, "blake3": blake3}


@dataclass(frozen=True)
class Sample:
    """A file to be fetched, and the id of a small one beside it, for a daemon's first download."""

    path: Path
    size: int
    id: str
    small: str


@dataclass(frozen=True)
class Fetched:
    """What a download took: seconds, bytes of memory above idle, seconds of processor time here and at the sources."""

    path: Path
    seconds: float
    memory: int
    processor: float
    sources: float


@dataclass
class Downloader:
    """A peer that fetches."""

    url: str
    process: "Popen[bytes]"
    data: Path
    small: str
    idle: int = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.data / 'owner-token').read_text().strip()}"}

    def get_ready(self) -> None:
        """Registered and idle, a small download behind it: the one that is measured is not the first of its life."""
        until(lambda: ask(f"{self.url}/api/v1/info")["is_registered"])
        time.sleep(SETTLE)
        self.idle = resident(self.process.pid)
        reset_peak(self.process.pid)
        self.finish(self.begin(self.small))

    def begin(self, file_id: str) -> str:
        """Asks for a file; the download's id."""
        return str(ask(f"{self.url}/api/v1/downloads", {"file_id": file_id}, self.headers)["id"])

    def finish(self, download: str) -> tuple[Path, float]:
        """Waits for the end: where the file is, and the time (seconds since 1970). Raises RuntimeError."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            told = ask(f"{self.url}/api/v1/downloads/{download}", headers=self.headers)
            if told["state"] == "finished":
                return Path(told["path"]), datetime.fromisoformat(told["finished"]).timestamp()
            if told["state"] == "failed":
                break
            time.sleep(PAUSE)
        raise RuntimeError(f"the download did not end: {told['state']}, {told['why']}")

    def memory(self) -> int:
        """The most that it had above idle, with what it started."""
        return peak(self.process.pid) - self.idle + sum(peak(child) for child in children(self.process.pid))


@dataclass
class Net:
    """A super-peer and sources of `sample`, each with the environment given."""

    folder: Path
    sample: Sample
    hub: str
    stack: ExitStack
    environment: dict[str, str]
    sources: list[tuple[str, "Popen[bytes]"]] = field(default_factory=list)
    _count: int = 0

    def add_sources(self, count: int, **more: str) -> None:
        """So many more."""
        environment = self.environment | more
        for number in range(len(self.sources), len(self.sources) + count):
            shared = self.sample.path.parent
            made = peer(self.folder, self.hub, shared, name=f"source-{number}", environment=environment)
            self.sources.append(self.stack.enter_context(made))
        until(lambda: self._listed() == len(self.sources))
        for url, _ in self.sources:
            wait_for_manifest(url, self.sample.id)

    def _listed(self) -> int:
        listed = ask(f"{self.hub}/api/v1/files/{self.sample.id}/sources")
        return sum(source["complete"] and source["direct"] for source in listed)

    def urls(self) -> list[str]:
        """Where the file is, for other programs."""
        return [f"{url}/api/v1/download/{self.sample.id}" for url, _ in self.sources]

    @contextmanager
    def downloader(self) -> Iterator[Downloader]:
        """A new peer that shares nothing."""
        self._count += 1
        name = f"downloader-{self._count}"
        with peer(self.folder, self.hub, name=name, environment=self.environment) as (url, process):
            downloader = Downloader(url, process, self.folder / name, self.sample.small)
            downloader.get_ready()
            yield downloader

    def fetch(self) -> Fetched:
        """One download; its file is the caller's to remove."""
        with self.downloader() as downloader:
            used, given = cpu_seconds(downloader.process), self.used_by_sources()
            began = time.time()
            path, ended = downloader.finish(downloader.begin(self.sample.id))
            used = cpu_seconds(downloader.process) - used
            return Fetched(path, ended - began, downloader.memory(), used, self.used_by_sources() - given)

    def used_by_sources(self) -> float:
        """Seconds of processor time."""
        return sum(cpu_seconds(process) for _, process in self.sources)


@contextmanager
def network(folder: Path, sample: Sample, sources: int, **environment: str) -> Iterator[Net]:
    """A network as long as the block runs."""
    with ExitStack() as stack:
        hub, _ = stack.enter_context(super_peer(folder, environment))
        net = Net(folder, sample, hub, stack, environment)
        net.add_sources(sources)
        yield net


def sample_in(folder: Path, size: int, algorithm: str = "sha256", *, sparse: bool = False) -> Sample:
    """A file of random bytes, or of none at all."""
    (folder / "sample").mkdir()
    path = folder / "sample" / "large.bin"
    with path.open("wb") as file:
        for at in range(0, 0 if sparse else size, BLOCK):
            file.write(os.urandom(min(BLOCK, size - at)))
        file.truncate(size)
    if not sparse:
        _break_in(folder, size)
    small = folder / "sample" / "first" / "small.bin"
    small.parent.mkdir()
    small.write_bytes(os.urandom(BLOCK))
    return Sample(path, size, hashed(path, algorithm)[0], hashed(small, algorithm)[0])


def _break_in(folder: Path, size: int) -> None:
    """A virtual machine may get memory from its host slowly the first time: nobody who is measured should pay that."""
    path, block = folder / "broken-in", bytes(BLOCK)
    with path.open("wb", buffering=0) as file:
        for _ in range(-(-size // BLOCK)):
            file.write(block)
    path.unlink()


def hashed(path: Path, algorithm: str = "sha256") -> tuple[str, float]:
    """The hash of a file by one thread that reads it in blocks of 1 MiB, and the seconds that it took."""
    began = time.perf_counter()
    digest, block = ALGORITHMS[algorithm](), bytearray(BLOCK)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(memoryview(block)[:count])
    return digest.hexdigest(), time.perf_counter() - began


def proven(path: Path, sample: Sample, algorithm: str = "sha256") -> float:
    """Removes a file that was fetched, and tells the seconds in which it was hashed. Raises RuntimeError if wrong."""
    found, took = hashed(path, algorithm)
    path.unlink()
    if found != sample.id:
        raise RuntimeError(f"{path.name} came out wrong: {found}, not {sample.id}")
    return took


def wait_for_manifest(url: str, file_id: str) -> None:
    """Until the source has made it."""
    until(lambda: bool(ask(f"{url}/api/v1/manifest/{file_id}")))


def until(happened: Callable[[], bool]) -> None:
    """Waits until it came true. Raises RuntimeError."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            if happened():
                return
        except urllib.error.HTTPError:
            pass  # not there yet
        time.sleep(PAUSE)
    raise RuntimeError(f"still not ready after {PATIENCE:g} s")
