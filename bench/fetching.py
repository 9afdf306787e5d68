"""One peer fetches a large file into memory, proven, beside what others take for the same from the same sources."""

from bench import rivals
from bench.downloads import Fetched, Net, network, proven, sample_in
from bench.report import line, median, paired, ratio, title
from bench.scale import Scale, check_room

MEMORY = 64 * 1024 * 1024  # bytes above idle
CAP = 10_000_000  # bytes a second, of each of four sources
CAPPED_SIZE = 512 * 1024 * 1024


class Rounds:
    """The measures of one row: each fetches, proves what came, removes it and tells the seconds."""

    def __init__(self, scale: Scale, net: Net, torrent: rivals.Torrent | None, algorithm: str = "sha256") -> None:
        self.scale = scale
        self.net = net
        self.torrent = torrent
        self.algorithm = algorithm
        self.fetched: list[Fetched] = []
        self.hashed: list[float] = []
        self.libtorrents_memory = [0.0]

    def ours(self) -> float:
        """Notes also how long one thread takes to hash the file that came."""
        fetched = self.net.fetch()
        self.fetched.append(fetched)
        self.hashed.append(proven(fetched.path, self.net.sample, self.algorithm))
        return fetched.seconds

    def aria2c(self) -> float:
        took, path = rivals.aria2c(self.net.sample, self.net.urls(), self.scale.folder)
        path.unlink()
        return took

    def curl_and_sha256sum(self) -> float:
        took, path = rivals.curl_and_sha256sum(self.net.urls()[0], self.scale.folder)
        path.unlink()
        return took

    def curl(self) -> float:
        took, path = rivals.curl(self.net.urls()[0], self.scale.folder)
        path.unlink()
        return took

    def libtorrent(self) -> float:
        assert self.torrent is not None
        took, memory, (path,) = rivals.by_libtorrent(self.torrent, self.scale.folder)
        self.libtorrents_memory.append(memory)
        path.unlink()
        return took

    def tell(self, name: str, seconds: list[float]) -> None:
        line(name, f"{self.net.sample.size / median(seconds) / 1e9:.3f} GB/s", "")

    def tell_memory(self) -> None:
        most = max(fetched.memory for fetched in self.fetched)
        line("memory above idle, the most", f"{most / 2**20:.1f} MiB", "under 64 MiB", most < MEMORY)
        if self.torrent is not None:
            line("  libtorrent", f"{max(self.libtorrents_memory) / 2**20:.1f} MiB", "")

    def tell_bound(self) -> None:
        """How busy the cores were, and who with."""
        here = median(fetched.processor / fetched.seconds for fetched in self.fetched)
        there = median(fetched.sources / fetched.seconds for fetched in self.fetched)
        line("cores in use: the downloader, the sources", f"{here:.2f}, {there:.2f}", "")


def fetch(scale: Scale) -> None:
    """A network whose files are named by SHA-256."""
    check_room(scale.folder, 3 * scale.size)
    sample = sample_in(scale.folder, scale.size)
    with network(scale.folder, sample, 1) as net:
        title(f"Fetching {_told(scale.size)} into memory, SHA-256 proven, from one source")
        _sha256(scale, net, 1)
        net.add_sources(3)
        title(f"Fetching {_told(scale.size)} into memory, SHA-256 proven, from four sources")
        _sha256(scale, net, 4)


def _sha256(scale: Scale, net: Net, sources: int) -> None:
    with rivals.torrent(net.sample, scale.folder, sources) as torrent:
        rounds = Rounds(scale, net, torrent)
        others = [rounds.aria2c, rounds.libtorrent, *([rounds.curl_and_sha256sum] if sources == 1 else [])]
        ours, aria2c, libtorrent, *curl = paired(scale.rounds, rounds.ours, *others)
    rounds.tell("ours", ours)
    rounds.tell("one thread of hashlib over the finished file", rounds.hashed)
    rounds.tell("aria2c -x8, SHA-256 checked", aria2c)
    if curl:
        rounds.tell("curl, then sha256sum", *curl)
    rounds.tell("libtorrent (SHA-1)", libtorrent)
    _compare("of hashlib", ratio(rounds.hashed, ours), 0.95)
    _compare("of aria2c", ratio(aria2c, ours), 2.0)
    rounds.tell_memory()
    rounds.tell_bound()


def blake3(scale: Scale) -> None:
    """A network whose files are named by BLAKE3."""
    check_room(scale.folder, 3 * scale.size)
    title(f"Fetching {_told(scale.size)} into memory on a network of blake3, pieces and whole file proven, one source")
    sample = sample_in(scale.folder, scale.size, "blake3")
    with (
        network(scale.folder, sample, 1, SECURITY_HASH_ALGORITHM="blake3") as net,
        rivals.torrent(sample, scale.folder, 1) as torrent,
    ):
        rounds = Rounds(scale, net, torrent, "blake3")
        ours, curl, libtorrent = paired(scale.rounds, rounds.ours, rounds.curl, rounds.libtorrent)
    rounds.tell("ours", ours)
    rounds.tell("curl -o, without any check", curl)
    rounds.tell("libtorrent (SHA-1), default settings, TCP", libtorrent)
    _compare("of curl", ratio(curl, ours), 1.0)
    _compare("of libtorrent", ratio(libtorrent, ours), 3.0)
    rounds.tell_memory()
    rounds.tell_bound()


def capped(scale: Scale) -> None:
    """Four sources that give little each."""
    size = min(scale.size, CAPPED_SIZE)
    check_room(scale.folder, 3 * size)
    title(f"Fetching {_told(size)} from four sources capped at {CAP / 1e6:g} MB/s each")
    sample = sample_in(scale.folder, size)
    with network(scale.folder, sample, 4, PEER_UPLOAD_LIMIT=str(CAP)) as net:
        rounds = Rounds(scale, net, None)
        ours, aria2c = paired(scale.rounds, rounds.ours, rounds.aria2c)
    for name, seconds in (("ours", ours), ("aria2c -x8, from the same four", aria2c)):
        line(name, f"{size / median(seconds) / 1e6:.1f} MB/s", "")
    _compare(f"of {4 * CAP / 1e6:g} MB/s", size / median(ours) / (4 * CAP), 0.95)
    rounds.tell_memory()


def memory(scale: Scale) -> None:
    """A file far larger than memory, from disk to disk: most of it was never written, so only its size is large."""
    check_room(scale.folder, scale.large + scale.large // 8)
    title(f"Fetching a sparse file of {_told(scale.large)}, disk to disk")
    sample = sample_in(scale.folder, scale.large, sparse=True)
    with network(scale.folder, sample, 1) as net:
        rounds = Rounds(scale, net, None)
        rounds.tell("ours", [rounds.ours()])
    rounds.tell_memory()


def _compare(name: str, found: float, wanted: float) -> None:
    line(f"ours, {name}", f"{found:.2f}", f"at least {wanted:.2f}", found >= wanted)


def _told(size: int) -> str:
    return f"{size / 2**30:g} GiB" if size >= 2**30 else f"{size / 2**20:g} MiB"
