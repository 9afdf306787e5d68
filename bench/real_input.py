"""Ten thousand real files and more, as they are: two peers that overlap, a third that joins late, changes while it
runs, each process stopped, killed and started again, and whatever was lost found again.

What is expected comes from the system's `find` and `sha256sum`; each step ends with a comparison of everything.
"""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from bench.daemons import pss_megabytes
from bench.network import names_of, opened
from bench.news import follow
from bench.outages import CHANGED, CROWD, ENVIRONMENT, HASHED, INTERVAL, kill, lose, restart
from bench.report import line, percentile, title
from bench.run import MOST_NAMES, SEED, Run
from bench.samples import Source, copy, offer_of, parts, sha256sums, size_of
from common.ids import EMPTY_FILE_ID
from peer.shares.tree import Rules

FILES = 5000  # files of a part; two peers have two parts, one of them in common
FETCHED = 200
SEARCHED = 1000
LARGE = 5  # of them the largest that there are


def run(folder: Path) -> None:
    """Prints the figures. Exits with 1 when anything is not as it is said to be."""
    title(f"Real files (heartbeats every {INTERVAL:g} s instead of 30 s, so that less waiting is in these times)")
    print("  finding and copying them …", flush=True)
    left, common, right, late, *more = parts([FILES] * 4 + [CHANGED * 2, CROWD * 2], SEED)
    extra = [source for source in [*more[0], *more[1]] if _is_offered(source)]
    with opened(folder, **ENVIRONMENT) as network:
        this = Run(network, extra)
        this.roots["one"] = copy(left + common, folder / "shares" / "one")
        this.roots["two"] = copy(common + right, folder / "shares" / "two")
        _begin(this)
        _join(this, copy(late, folder / "shares" / "three"))
        _search(this)
        follow(this)
        restart(this)
        kill(this)
        lose(this)
        _search(this)
        _fetch(this, folder / "fetched")
        _end(this)
    if this.missed:
        sys.exit(f"{len(this.missed)} of these claims are not true")


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
    crowded = sum(len(names) > MOST_NAMES for names in run.network.names().values())
    line("contents with more names than are listed", f"{crowded}", "")
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
    within = ", ".join(f"{percentile(times, share) * 1e3:.1f}" for share in (0.5, 0.99))
    line("  half of the answers, 99 %", f"{within} ms", "")


def _fetch(run: Run, folder: Path) -> None:
    """Files at random, large ones and an empty one, from whoever has them, by the command that people use."""
    large = [file["id"] for file in islice(run.network.find("", sort="size"), LARGE)]
    others = sorted(run.network.sources().keys() - {*large, EMPTY_FILE_ID})
    wanted = [*large, EMPTY_FILE_ID, *run.chance.sample(others, FETCHED - LARGE - 1)]
    print(f"  fetching {FETCHED} files, which takes most of a minute …", flush=True)
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
    run.claim(f"`peer get`, {FETCHED} files: failed", f"{failed}", "none", failed == 0)
    run.claim("  with the right SHA-256", f"{right}", f"{FETCHED}", right == FETCHED)
    line("  size, seconds in all, two at a time", f"{size_of(folder) / 1e6:.0f} MB, {took:.0f} s", "")


def _end(run: Run) -> None:
    """All stop; none has complained."""
    daemons = (*run.network.peers.values(), run.network.super_peer)
    memory = ", ".join(f"{pss_megabytes(daemon.process):.0f}" for daemon in daemons if daemon.process)
    line("memory at the end (PSS, MB): peers, super-peer", memory, "")
    codes = [daemon.end(signal.SIGTERM) for daemon in daemons]
    run.claim("exit codes at the end", " ".join(map(str, codes)), "0", not any(codes))
    flaws = run.network.flaws()
    run.claim("flaws of the super-peer's database", f"{len(flaws)}", "none", not flaws)
    complaints = run.network.errors()
    run.claim("errors in the logs", f"{len(complaints)}", "none", not complaints)
    for complaint in complaints[:10]:
        print(f"    {complaint[:300]}")
