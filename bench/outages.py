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
ENVIRONMENT = {"SUPERPEER_HEARTBEAT_INTERVAL": f"{INTERVAL:g}s"}
HASHED = "shoal_peer_files_hashed_total"


def restart(run: Run) -> None:
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
    _change_meanwhile(run)


def _change_meanwhile(run: Run) -> None:
    """What happens to the files of a peer that does not run."""
    network, root, peer = run.network, run.roots["two"], run.network.peers["two"]
    peer.end(signal.SIGTERM)
    for prepare in (renames, deletions):
        change = prepare(root, network.offers["two"], CHANGED, run.chance)
        change.make()
        network.offers["two"] = change.after
    began = time.monotonic()
    peer.start()
    run.until_whole(f"{CHANGED} renamed and {CHANGED} deleted while two was stopped", began)
    _nothing_read(run, peer)
    run.is_right("after that")


def _nothing_read(run: Run, peer: Daemon) -> None:
    hashed, read, size = peer.count(HASHED), peer.bytes_read(), size_of(run.roots[peer.name])
    run.claim("  files hashed again", f"{hashed}", "none", hashed == 0)
    line("  bytes read in all, of a share of", f"{read / 1e6:.0f} MB, {size / 1e6:.0f} MB", "")


def kill(run: Run) -> None:
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
    name = f"peer two killed: its own {len(only):,} contents offline"
    run.claim(name, value, f"at most {forgiven:g} s", took < forgiven)
    began = time.monotonic()
    peer.start()
    run.until_whole("  from start to all being back", began)
    _nothing_read(run, peer)
    run.is_right("after that")


def lose(run: Run) -> None:
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
