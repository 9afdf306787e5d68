"""Each process of a network of real files stopped, killed, bereft of its database, and started again."""

import signal
import time

from bench.changes import additions, deletions, renames
from bench.network import Daemon, Network, pages, until
from bench.report import line
from bench.run import Run
from bench.samples import size_of
from common.ids import EMPTY_FILE_ID

CHANGED, CROWD = 100, 1000  # files
INTERVAL = 2.0
ROUND = INTERVAL + 1  # seconds in which each peer has sent a heartbeat and had its answer
TELLING = 2 / 10_000  # seconds for each entry that is told again: no longer than the first time
ENVIRONMENT = {"SUPERPEER_HEARTBEAT_INTERVAL": f"{INTERVAL:g}s"}
HASHED = "shoal_peer_files_hashed_total"


def restart(run: Run) -> None:
    """Each process stops and starts again."""
    network = run.network
    for daemon in (network.super_peer, *network.peers.values()):
        anew = told_anew(network)
        began = time.monotonic()
        code = daemon.end(signal.SIGTERM)
        took = time.monotonic() - began
        run.claim(f"{daemon.name} told to stop", f"{took:.2f} s, exit {code}", "10 s, exit 0", took < 10 and code == 0)
        _start(run, daemon)
        _told_nothing(run, anew)
        if daemon is not network.super_peer:
            _nothing_hashed(run, daemon)
    _change_meanwhile(run)


def _start(run: Run, daemon: Daemon) -> None:
    """Starts a daemon again; all is back after one round of heartbeats."""
    began = time.monotonic()
    daemon.start()
    daemon.ready()
    line("  from start to ready", f"{time.monotonic() - began:.2f} s", "")
    began = time.monotonic()
    run.until_whole("  from ready to all being back", began, within=ROUND, anew=daemon is run.network.super_peer)
    run.is_right("after that")


def told_anew(network: Network) -> int:
    """How often a peer has told everything again."""
    return sum(peer.logged("announcing everything") for peer in network.peers.values())


def _told_nothing(run: Run, before: int) -> None:
    anew = told_anew(run.network) - before
    run.claim("  catalogues told again from the beginning", f"{anew}", "none", not anew)


def _change_meanwhile(run: Run) -> None:
    """What happens to the files of a peer that does not run."""
    network, root, peer = run.network, run.roots["two"], run.network.peers["two"]
    peer.end(signal.SIGTERM)
    for prepare in (renames, deletions):
        change = prepare(root, network.offers["two"], CHANGED, run.chance)
        change.make()
        network.offers["two"] = change.after
    line(f"{CHANGED} renamed, {CHANGED} deleted while two was stopped", "", "")
    _start(run, peer)
    _nothing_hashed(run, peer)


def _nothing_hashed(run: Run, peer: Daemon) -> None:
    hashed, read, size = peer.count(HASHED), peer.bytes_read(), size_of(run.roots[peer.name])
    run.claim("  files hashed again", f"{hashed}", "none", hashed == 0)
    line("  bytes read in all, of a share of", f"{read / 1e6:.0f} MB, {size / 1e6:.0f} MB", "")


def kill(run: Run) -> None:
    """kill -9 of the super-peer, at rest and while files arrive, and of a peer."""
    network, hub = run.network, run.network.super_peer
    anew = told_anew(network)
    hub.end(signal.SIGKILL)
    began = time.monotonic()
    hub.start()
    hub.ready()
    ready = time.monotonic()
    line("super-peer killed at rest: from start to ready", f"{ready - began:.2f} s", "")
    # At once, before any peer has told it anything again.
    lost = len(network.sources().keys() - network.listed().keys())
    run.claim("  contents not to be found then", f"{lost}", "none", lost == 0)
    run.until_whole("  from ready to all being back", ready, within=ROUND, anew=True)
    run.is_right("after that")
    _told_nothing(run, anew)
    _kill_in_the_middle(run)
    _kill_peer(run)


def _kill_in_the_middle(run: Run) -> None:
    network, hub = run.network, run.network.super_peer
    change = additions(run.roots["two"], network.offers["two"], run.take(CROWD), "arriving")
    before = len(network.offers["two"])
    network.offers["two"] = change.after
    change.make()
    until(lambda: len(network.announced()["two"]) > before)
    hub.end(signal.SIGKILL)
    arrived = len(network.announced()["two"]) - before
    line(f"super-peer killed while {CROWD:,} files arrive: written by then", f"{arrived:,}", "")
    began = time.monotonic()
    hub.start()
    hub.ready()
    ready = time.monotonic()
    line("  from start to ready", f"{ready - began:.2f} s", "")
    run.until_whole("  from ready to all being there", ready, within=ROUND, anew=True)
    run.is_right("after that")


def _kill_peer(run: Run) -> None:
    network, peer = run.network, run.network.peers["two"]
    sources = network.sources()
    others = {file_id for file_id, who in sources.items() if who != {"two"}}
    peer.end(signal.SIGKILL)
    began = time.monotonic()
    gone = until(lambda: network.listed().keys() == others)
    took = time.monotonic() - began
    forgiven = 3 * INTERVAL + 2
    value = f"{took:.2f} s" if gone else "never"
    name = f"peer two killed: {len(sources) - len(others):,} contents offline"
    run.claim(name, value, f"at most {forgiven:g} s", took < forgiven)
    _start(run, peer)
    _nothing_hashed(run, peer)


def lose(run: Run) -> None:
    """The super-peer's database is deleted; then a peer's, which is then killed while it hashes everything anew."""
    network, hub = run.network, run.network.super_peer
    hub.end(signal.SIGKILL)
    flaws = network.flaws()
    run.claim("super-peer killed again: flaws of its database", f"{len(flaws)}", "none", not flaws)
    for file in hub.folder.glob(f"{network.database.name}*"):
        file.unlink()
    hashed, anew = _hashed(network), told_anew(network)
    hub.start()
    hub.ready()
    began = time.monotonic()
    known = until(lambda: len(_online(network)) == len(network.peers))
    took = time.monotonic() - began
    value, wanted = f"{took:.2f} s" if known else "never", f"within {ROUND:g} s"
    run.claim("super-peer's database deleted: all registered", value, wanted, took <= ROUND)
    entries = sum(map(len, network.offers.values()))
    run.until_whole(f"  from ready to all {entries:,} entries", began, within=round(ROUND + TELLING * entries))
    run.is_right("after that")
    times = told_anew(network) - anew
    run.claim("  catalogues told again from the beginning", f"{times}", "each once", times == len(network.peers))
    more = _hashed(network) - hashed
    run.claim("  files hashed for it", f"{more}", "none", more == 0)
    _lose_and_kill(run)


def _hashed(network: Network) -> int:
    return sum(peer.count(HASHED) for peer in network.peers.values())


def _online(network: Network) -> list[str]:
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
