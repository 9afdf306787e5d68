"""A flash crowd: one has a file, many want it at one moment, and every uplink is capped. Beside it libtorrent.

The measure is the fluid bound, below which no schedule can end.
"""

import filecmp
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import rivals
from bench.daemons import starting_peer, wait_until_ready
from bench.downloads import Downloader, Sample, network, sample_in
from bench.report import line, median, paired, title
from bench.scale import Scale, check_room
from tests.simulation.crowd import Crowd, fluid_bound

MEMORY = 64 * 1024 * 1024
LATENCY = 0.005  # seconds, one way, where the crowd is simulated
CONNECTIONS = "1000"  # a crowd of many comes from one address here


class Crowds:
    """`members` who all want one file; each, and who has it, gives `rate` bytes a second at most."""

    def __init__(self, scale: Scale, sample: Sample, members: int, rate: int) -> None:
        self.scale = scale
        self.sample = sample
        self.members = members
        self.rate = rate
        self.memory = [0.0]
        self.libtorrents_memory = [0.0]

    @property
    def bound(self) -> float:
        return fluid_bound(self.members, self.sample.size, self.rate)

    def ours(self) -> float:
        """Seconds until the last one has it: new daemons each time."""
        limits = {"PEER_UPLOAD_LIMIT": str(self.rate), "SECURITY_MAX_CONNECTIONS": CONNECTIONS}
        with (
            TemporaryDirectory(prefix="crowd-", dir=self.scale.folder) as folder,
            network(Path(folder), self.sample, 1, **limits) as net,
            ExitStack() as stack,
        ):
            peers = []
            for number in range(self.members):
                name = f"peer-{number}"
                made = starting_peer(Path(folder), net.hub, name=name, environment=limits)
                url, process = stack.enter_context(made)
                peers.append(Downloader(url, process, Path(folder) / name, self.sample.small))
            for peer in peers:
                wait_until_ready(peer.url, peer.process, peer.data.with_suffix(".log"))
            return self._together(peers)

    def _together(self, peers: list[Downloader]) -> float:
        with ThreadPoolExecutor(self.members) as pool, _ended_early(peers):
            list(pool.map(Downloader.get_ready, peers))
            began = time.time()
            downloads = list(pool.map(lambda peer: peer.begin(self.sample.id), peers))
            time.sleep(self.bound * 0.9)  # nobody can have it before: they are left alone meanwhile
            ended = [peer.finish(download) for peer, download in zip(peers, downloads, strict=True)]
        self.memory += [float(peer.memory()) for peer in peers]
        for path, _ in ended:
            self._compare(path)
        return max(at for _, at in ended) - began

    def libtorrent(self) -> float:
        with (
            TemporaryDirectory(prefix="crowd-", dir=self.scale.folder) as folder,
            rivals.torrent(self.sample, Path(folder), 1, self.rate) as torrent,
        ):
            took, memory, paths = rivals.by_libtorrent(torrent, Path(folder), self.members, self.rate)
            self.libtorrents_memory.append(memory)
            for path in paths:
                self._compare(path)
        return took

    def _compare(self, path: Path) -> None:
        if not filecmp.cmp(path, self.sample.path, shallow=False):
            raise RuntimeError(f"{path} came out wrong")

    def tell(self, name: str, seconds: float, wanted: float | None = None) -> None:
        found = seconds / self.bound
        aim = "" if wanted is None else f"at most {wanted:.2f}"
        line(f"{name}: the last one done", f"{seconds:.2f} s, {found:.3f} of it", aim, wanted and found <= wanted)


@contextmanager
def _ended_early(peers: list[Downloader]) -> Iterator[None]:
    """When the block fails the peers end at once, so that no thread waits for them."""
    try:
        yield
    except BaseException:
        for peer in peers:
            peer.process.terminate()
        raise


def crowd(scale: Scale) -> None:
    """Eight, and as many as the machine can."""
    check_room(scale.folder, (scale.many + 2) * scale.crowd_size)
    sample = sample_in(scale.folder, scale.crowd_size)
    _measure(Crowds(scale, sample, 8, scale.crowd_rate), scale.rounds, 1.1)
    # So many peers on a few cores prove no faster than the cores hash: their uplinks are smaller.
    _measure(Crowds(scale, sample, scale.many, scale.many_rate), 1, 1.2)
    simulated = Crowds(scale, sample, scale.many, scale.crowd_rate)
    title(f"The same crowd of {scale.many} in virtual time, {LATENCY * 1000:g} ms apart")
    ended = Crowd(scale.many, sample.size, scale.crowd_rate, LATENCY).run()
    simulated.tell(f"simulated, {scale.crowd_rate / 1e6:g} MB/s up each", ended, 1.2)


def _measure(crowds: Crowds, rounds: int, wanted: float) -> None:
    size, rate = crowds.sample.size / 2**20, crowds.rate / 1e6
    title(f"A flash crowd: 1 seed and {crowds.members} peers, {rate:g} MB/s up each, {size:g} MiB")
    line("fluid bound max(F/u_s, N·F/(u_s + Σu_i))", f"{crowds.bound:.2f} s", "")
    ours, libtorrent = paired(rounds, crowds.ours, crowds.libtorrent)
    crowds.tell("ours", median(ours), wanted)
    crowds.tell("libtorrent", median(libtorrent))
    most = max(crowds.memory)
    line("memory above idle, the most of any peer", f"{most / 2**20:.1f} MiB", "under 64 MiB", most < MEMORY)
    line("  libtorrent", f"{max(crowds.libtorrents_memory) / 2**20:.1f} MiB", "")
