"""Ten thousand real files and more, as they are: two peers that overlap, a third that joins late, changes while it runs,
each process stopped, killed and started again, and whatever was lost found again.

What is expected comes from the system's `find` and `sha256sum`; each step ends with a comparison of everything.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.changes import Change, additions, deletions, edits, folder_rename, renames
from bench.daemons import pss_megabytes
from bench.network import PATIENCE, Daemon, Network, names_of, opened, pages, until
from bench.report import line, percentile, title
from bench.samples import Source, copy, offer_of, parts, sha256sums, size_of
from common.ids import EMPTY_FILE_ID
from peer.shares.tree import Rules

FILES = 5000  # files of a part; two peers have two parts, one of them in common
CHANGED = 100
CROWD = 1000
FETCHED = 200
SEARCHED = 1000
SEED = 7

INTERVAL = 2.0
ENVIRONMENT = {"SUPERPEER_HEARTBEAT_INTERVAL": f"{INTERVAL:g}s"}
SETTLE, PROMPT = 0.5, 2.0  # seconds: until a file counts, and from then until search shows it
MOST_NAMES = 65  # that a content is listed under
HASHED = "shoal_peer_files_hashed_total"


class Run:
    """The network, what it is to be, and what was claimed and did not hold."""

    def __init__(self, network: Network, extra: list[Source]) -> None:
        self.network = network
        self.roots: dict[str, Path] = {}
        self.extra = extra
        self.chance = random.Random(SEED)
        self.missed: list[str] = []

    def claim(self, name: str, value: str, wanted: str, holds: bool) -> None:
        """One figure, and whether it is as it is said to be."""
        line(name, value, wanted, holds)
        if not holds:
            self.missed.append(name)

    def is_right(self, after: str) -> None:
        """Compares everything: with what lies on the disk, path by path, and with what is listed, file by file."""
        for name, root in self.roots.items():
            self.network.offers[name] = offer_of(root)
        until(lambda: not self._differences())
        found = self._differences()
        self.claim(f"  all is right {after}", found[0] if found else "yes", "as sha256sum says", not found)
        for more in found[1:10]:
            print(f"    {more}")

    def _differences(self) -> list[str]:
        announced = self.network.announced()
        told = []
        for name, offer in self.network.offers.items():
            there = announced.get(name, {})
            wrong = sorted(path for path, file_id in offer.items() if there.get(path) != file_id)
            told += [f"{name}: {there.get(path, 'nothing')[:8]} at {path}" for path in wrong]
            told += [f"{name}: too much, {path}" for path in sorted(there.keys() - offer.keys())]
        return told or self._differences_of_list()

    def _differences_of_list(self) -> list[str]:
        listed, sources = self.network.listed(), self.network.sources()
        told = [f"not listed: {file_id}" for file_id in sources.keys() - listed.keys()]
        told += [
            f"listed: {found['filename']} {file_id}" for file_id, found in listed.items() if file_id not in sources
        ]
        told += [
            f"{found['sources']} sources: {found['filename']} {file_id}"
            for file_id, found in listed.items()
            if file_id in sources and found["sources"] != len(sources[file_id])
        ]
        return told

    def until_whole(self, name: str, began: float, *peers: str) -> None:
        """Waits until all is there again and prints how long it took."""
        whole = until(lambda: self.network.is_whole(*peers))
        took = time.monotonic() - began
        self.claim(name, f"{took:.2f} s" if whole else "never", f"within {PATIENCE:g} s", whole)


def run(folder: Path) -> None:
    """Prints the figures. Exits with 1 when anything is not as it is said to be."""
    title(f"Real files (heartbeats every {INTERVAL:g} s instead of 30 s, so that less waiting is in these times)")
    left, common, right, late, *more = parts([FILES] * 4 + [CHANGED * 2, CROWD * 2], SEED)
    extra = [source for source in [*more[0], *more[1]] if _is_offered(source)]
    with opened(folder, **ENVIRONMENT) as network:
        this = Run(network, extra)
        this.roots = {
            "one": copy(left + common, folder / "shares" / "one"),
            "two": copy(common + right, folder / "shares" / "two"),
        }
        _begin(this)
        _join(this, copy(late, folder / "shares" / "three"))
        _search(this)
        _change(this)
        _restart(this)
        _kill(this)
        _lose(this)
        _fetch(this, folder / "fetched")
        _end(this)
    if this.missed:
        sys.exit(f"not as it is said to be: {', '.join(this.missed)}")


def _is_offered(source: Source) -> bool:
    return not any(Rules().objection(part.encode("utf-8", "surrogateescape")) for part in source[1].parts)


def _begin(run: Run) -> None:
    """Two peers start together."""
    network = run.network
    network.super_peer.start()
    network.super_peer.ready()
    for name, root in run.roots.items():
        network.offers[name] = offer_of(root)
        network.add_peer(name, root)
    began = time.monotonic()
    for peer in network.peers.values():
        peer.start()
    for name in network.peers:
        run.until_whole(f"peer {name}: from start to indexed", began, name)
    for name in network.peers:
        _tell_of(run, name)
    run.is_right("after the start")


def _tell_of(run: Run, name: str) -> None:
    """What a peer shares, and that each of its files was read once, except the empty ones, which need not be."""
    offer, root = run.network.offers[name], run.roots[name]
    files = len(sha256sums(root))
    empty = list(offer.values()).count(EMPTY_FILE_ID)
    line(f"peer {name}: files, of which left out by their names", f"{files:,}, {files - len(offer)}", "")
    line("  size", f"{size_of(root) / 1e6:,.0f} MB", "")
    line("  entries, different contents, empty", f"{len(offer):,}, {len(set(offer.values())):,}, {empty:,}", "")
    hashed = run.network.peers[name].count(HASHED)
    run.claim("  files hashed", f"{hashed:,}", "each once that is not empty", hashed == len(offer) - empty)


def _join(run: Run, root: Path) -> None:
    """A third peer comes late."""
    run.roots["three"] = root
    run.network.offers["three"] = offer_of(root)
    peer = run.network.add_peer("three", root)
    began = time.monotonic()
    peer.start()
    run.until_whole("peer three, later: from start to indexed", began, "three")
    _tell_of(run, "three")
    run.is_right("after that")
    entries = sum(map(len, run.network.offers.values()))
    line("the network: entries, different contents", f"{entries:,}, {len(run.network.sources()):,}", "")


def _search(run: Run) -> None:
    """Names at random, each with all that it is to find."""
    pairs = sorted(run.network.pairs())
    crowded = _crowded(pairs)
    line("contents with more names than are listed", f"{len(crowded)}", "")
    found, on_first, times = 0, 0, []
    for name, file_id in run.chance.sample(pairs, SEARCHED):
        began = time.perf_counter()
        answer = list(run.network.find(name, sort="relevance"))
        times.append(time.perf_counter() - began)
        fits = [at for at, file in enumerate(answer) if file["id"] == file_id and name in names_of(file)]
        found += bool(fits)
        on_first += any(at < 50 for at in fits)
        if not fits:
            print(f"    not found: {name} {file_id}, {len(answer)} others")
    run.claim(f"found, of {SEARCHED:,} names at random", f"{found:,}", "all", found == SEARCHED)
    line("  among the first 50 results", f"{on_first:,}", "")
    line(
        "  half of the answers, 99 %", f"{percentile(times, 0.5) * 1e3:.1f}, {percentile(times, 0.99) * 1e3:.1f} ms", ""
    )


def _crowded(pairs: list[tuple[str, str]]) -> set[str]:
    names: dict[str, int] = {}
    for _, file_id in pairs:
        names[file_id] = names.get(file_id, 0) + 1
    return {file_id for file_id, count in names.items() if count > MOST_NAMES}


def _change(run: Run) -> None:
    """Edits, renames, deletions, additions, one kind after the other."""
    root, chance = run.roots["one"], run.chance

    def offer() -> dict[str, str]:
        return run.network.offers["one"]

    _watch(run, edits(root, offer(), CHANGED, chance), SETTLE + PROMPT)
    _watch(run, renames(root, offer(), CHANGED, chance), SETTLE + PROMPT)
    _watch(run, folder_rename(root, offer(), CROWD), SETTLE + PROMPT)
    _watch(run, deletions(root, offer(), CHANGED, chance), PROMPT)
    _watch(run, additions(root, offer(), _take(run, CHANGED), "added"), SETTLE + PROMPT)


def _take(run: Run, count: int) -> list[Source]:
    taken, run.extra = run.extra[:count], run.extra[count:]
    return taken


def _watch(run: Run, change: Change, at_most: float) -> None:
    """Makes a change at peer one, and waits until search shows it, and the catalogue is that of the disk."""
    network, peer = run.network, run.network.peers["one"]
    before, hashed = network.pairs(), peer.count(HASHED)
    network.offers["one"] = change.after
    after = network.pairs()
    began = time.monotonic()
    change.make()
    made = time.monotonic() - began
    shown = until(_shows(network, before ^ after, after))
    took = time.monotonic() - began
    written = until(lambda: network.announced()["one"] == change.after)
    took = took if before ^ after else time.monotonic() - began
    wanted = f"at most {at_most:g} s"
    run.claim(change.what, f"{took:.2f} s" if shown and written else "never", wanted, took <= at_most and written)
    line("  the change itself took", f"{made:.2f} s", "")
    run.is_right("after that")
    more = peer.count(HASHED) - hashed
    run.claim("  files hashed for it", f"{more}", f"{change.hashed}", more == change.hashed)


def _shows(network: Network, touched: set[tuple[str, str]], wanted: set[tuple[str, str]]) -> Callable[[], bool]:
    """Whether searches show of the touched (name, id) pairs those that are wanted and no other."""
    pending: dict[str, set[str]] = {}
    for name, file_id in touched:
        pending.setdefault(name, set()).add(file_id)

    def shows() -> bool:
        for name, ids in list(pending.items()):
            found = {file["id"] for file in network.find(name) if name in names_of(file)}
            if all((file_id in found) == ((name, file_id) in wanted) for file_id in ids):
                del pending[name]
        return not pending

    return shows


def _restart(run: Run) -> None:
    """Each process stops and starts again."""
    network = run.network
    for daemon in (network.super_peer, *network.peers.values()):
        began = time.monotonic()
        code = daemon.end(signal.SIGTERM)
        took = time.monotonic() - began
        run.claim(f"{daemon.name} told to stop", f"{took:.2f} s, exit {code}", "10 s, exit 0", took < 10 and code == 0)
        began = time.monotonic()
        daemon.start()
        daemon.ready()
        line("  from start to ready", f"{time.monotonic() - began:.2f} s", "")
        run.until_whole("  from start to all being back", began)
        if daemon is not network.super_peer:
            _nothing_read(run, daemon)
        run.is_right("after that")


def _nothing_read(run: Run, peer: Daemon) -> None:
    hashed, read, size = peer.count(HASHED), peer.bytes_read(), size_of(run.roots[peer.name])
    run.claim("  files hashed again", f"{hashed}", "none", hashed == 0)
    line("  bytes read in all, of a share of", f"{read / 1e6:.0f} MB, {size / 1e6:.0f} MB", "")


def _kill(run: Run) -> None:
    """kill -9 of the super-peer, at rest and while files arrive, and of a peer."""
    network, hub = run.network, run.network.super_peer
    hub.end(signal.SIGKILL)
    began = time.monotonic()
    hub.start()
    hub.ready()
    line("super-peer killed at rest: from start to ready", f"{time.monotonic() - began:.2f} s", "")
    # At once, before any peer has told it anything again.
    online = {file["id"] for file in pages(f"{hub.url}/api/v1/files?limit=1000&online=true")}
    lost = len(network.sources().keys() - online)
    run.claim("  contents not to be found then", f"{lost}", "none", lost == 0)
    run.until_whole("  from start to all being back", began)
    run.is_right("after that")
    _kill_in_the_middle(run)
    _kill_peer(run)


def _kill_in_the_middle(run: Run) -> None:
    network, hub = run.network, run.network.super_peer
    change = additions(run.roots["two"], network.offers["two"], _take(run, CROWD), "arriving")
    before = len(network.offers["two"])
    network.offers["two"] = change.after
    change.make()
    until(lambda: len(network.announced()["two"]) > before)
    hub.end(signal.SIGKILL)
    arrived = len(network.announced()["two"]) - before
    line(f"super-peer killed while {CROWD:,} files arrive: written by then", f"{arrived:,}", "")
    began = time.monotonic()
    hub.start()
    run.until_whole("  from start to all being there", began)
    run.is_right("after that")


def _kill_peer(run: Run) -> None:
    network, peer = run.network, run.network.peers["two"]
    only = sorted({file_id for file_id, who in network.sources().items() if who == {"two"}})
    online = f"{network.super_peer.url}/api/v1/files?limit=1000&online=true"
    peer.end(signal.SIGKILL)
    began = time.monotonic()
    gone = until(lambda: not {file["id"] for file in pages(online)}.intersection(only))
    took = time.monotonic() - began
    forgiven = 3 * INTERVAL + 2
    value = f"{took:.2f} s" if gone else "never"
    run.claim(
        f"peer two killed: its own {len(only):,} contents offline", value, f"at most {forgiven:g} s", took < forgiven
    )
    began = time.monotonic()
    peer.start()
    run.until_whole("  from start to all being back", began)
    _nothing_read(run, peer)
    run.is_right("after that")


def _lose(run: Run) -> None:
    """The super-peer's database is deleted; then a peer's, which is then killed while it hashes everything anew."""
    network, hub = run.network, run.network.super_peer
    hub.end(signal.SIGKILL)
    for file in hub.folder.glob(f"{network.database.name}*"):
        file.unlink()
    hub.start()
    hub.ready()
    began = time.monotonic()
    known = until(lambda: len(list(_peers(network))) == len(network.peers))
    took = time.monotonic() - began
    value, wanted = f"{took:.2f} s" if known else "never", f"a heartbeat, {INTERVAL:g} s, and 1 s"
    run.claim("super-peer's database deleted: all registered", value, wanted, took <= INTERVAL + 1)
    run.until_whole("  from ready to whole", began)
    run.is_right("after that")
    for name, peer in network.peers.items():
        line(f"  files hashed for it at peer {name}", f"{peer.count(HASHED)}", "")
    _lose_and_kill(run)


def _peers(network: Network) -> list[str]:
    return [peer["name"] for peer in pages(f"{network.super_peer.url}/api/v1/peers?limit=1000") if peer["is_online"]]


def _lose_and_kill(run: Run) -> None:
    peer = run.network.peers["three"]
    peer.end(signal.SIGTERM)
    for file in peer.folder.glob("library.db*"):
        file.unlink()
    peer.start()
    peer.ready()
    until(lambda: peer.count(HASHED) >= CROWD)
    before = peer.count(HASHED)
    peer.end(signal.SIGKILL)
    began = time.monotonic()
    peer.start()
    run.until_whole(f"peer three's database deleted, killed after {before:,} files", began)
    offer = run.network.offers["three"]
    empty = list(offer.values()).count(EMPTY_FILE_ID)
    hashed = peer.count(HASHED)
    most = len(offer) - empty - before
    run.claim("  files hashed after that", f"{hashed:,}", f"at most {most:,}", hashed <= most)
    run.is_right("after that")


def _fetch(run: Run, folder: Path) -> None:
    """Files at random, from whoever has them, by the command that people use."""
    sources = run.network.sources()
    wanted = run.chance.sample(sorted(sources), FETCHED - 1) + [EMPTY_FILE_ID]
    address = run.network.super_peer.url.removeprefix("http://")

    def get(file_id: str) -> int:
        into = folder / file_id
        into.mkdir(parents=True)
        command = [sys.executable, "-m", "peer", "get", file_id, "-o", str(into), "--super-peer", address]
        return subprocess.run(command, stdout=subprocess.DEVNULL).returncode

    began = time.monotonic()
    with ThreadPoolExecutor(2) as two:
        failed = FETCHED - list(two.map(get, wanted)).count(0)
    took = time.monotonic() - began
    right = sum(path.parts[0] == digest for path, digest in sha256sums(folder).items())
    run.claim(f"`peer get`, {FETCHED} files at random: failed", f"{failed}", "none", failed == 0)
    run.claim("  with the right SHA-256", f"{right}", f"{FETCHED}", right == FETCHED)
    line("  size, seconds in all, two at a time", f"{size_of(folder) / 1e6:.0f} MB, {took:.0f} s", "")


def _end(run: Run) -> None:
    """All stop; none has complained."""
    daemons = (*run.network.peers.values(), run.network.super_peer)
    memory = ", ".join(f"{pss_megabytes(daemon.process):.0f}" for daemon in daemons if daemon.process)
    line("memory at the end (PSS, MB): peers, super-peer", memory, "")
    codes = [daemon.end(signal.SIGTERM) for daemon in daemons]
    run.claim("exit codes at the end", " ".join(map(str, codes)), "0", not any(codes))
    complaints = run.network.errors()
    run.claim("errors in the logs", f"{len(complaints)}", "none", not complaints)
    for complaint in complaints[:10]:
        print(f"    {complaint[:300]}")
