"""What happens to files while their peer runs, and when everybody can find what came of it, and no more what was."""

import hashlib
import time

from bench.changes import Change, additions, deletions, edits, folder_deletion, folder_rename, overwritings, renames
from bench.network import Network, names_of, until
from bench.outages import CHANGED, CROWD, HASHED
from bench.run import Run

SETTLE, PROMPT = 0.5, 2.0  # seconds: until a file counts, and from then until a search shows it
WRITTEN = 3.0  # seconds in which a file grows
STEP = 0.2
PROBES = 20


def follow(run: Run) -> None:
    """One kind of change after the other at peer one."""
    root, chance = run.roots["one"], run.chance

    def offer() -> dict[str, str]:
        return run.network.offers["one"]

    _watch(run, edits(root, offer(), CHANGED, chance), SETTLE + PROMPT)
    _watch(run, renames(root, offer(), CHANGED, chance), SETTLE + PROMPT)
    _watch(run, overwritings(root, offer(), CHANGED, chance), SETTLE + PROMPT)
    _watch(run, folder_rename(root, offer(), CROWD), SETTLE + PROMPT)
    _watch(run, deletions(root, offer(), CHANGED, chance), PROMPT)
    _watch(run, additions(root, offer(), run.take(CHANGED), "added"), SETTLE + PROMPT)
    _watch(run, folder_deletion(root, offer(), CROWD), PROMPT)
    _watch_growing(run)


def _watch(run: Run, change: Change, at_most: float) -> None:
    """Makes a change and waits for the moment from which searches show it."""
    network, peer = run.network, run.network.peers["one"]
    before, hashed = network.pairs(), peer.count(HASHED)
    network.offers["one"] = change.after
    after = network.pairs()
    touched = sorted(before ^ after)
    some = set(run.chance.sample(touched, min(PROBES, len(touched))))
    change.make()
    began = time.monotonic()
    # Searching for hundreds would take longer than the news: some are searched for until they are right, then all.
    told = until(lambda: network.announced("one")["one"] == change.after and not _wrong(network, some, after))
    took = time.monotonic() - began
    run.claim(change.what, f"{took:.2f} s" if told else "never", f"at most {at_most:g} s", took <= at_most)
    wrong = _wrong(network, set(touched), after)
    run.claim(f"  wrong, of {len(touched):,} names then searched for", f"{wrong}", "none", not wrong)
    run.is_right("after that")
    more = peer.count(HASHED) - hashed
    run.claim("  files hashed for it", f"{more}", f"{change.hashed}", more == change.hashed)


def _wrong(network: Network, touched: set[tuple[str, str]], wanted: set[tuple[str, str]]) -> int:
    """How many of the touched (name, id) pairs a search finds that are not wanted, or does not find that are."""
    names = {name for name, _ in touched}
    found = {(name, file["id"]) for name in names for file in network.find(name) if name in names_of(file)}
    return len((found ^ wanted) & touched)


def _watch_growing(run: Run) -> None:
    """A file that is being written cannot be found; once it is whole, it can."""
    file = run.roots["one"] / "a growing file.bin"
    digest, pause, early = hashlib.sha256(), 0.0, 0
    began = last = time.monotonic()
    while time.monotonic() - began < WRITTEN:
        more = b"%f" % last * 50_000
        digest.update(more)
        with file.open("ab") as growing:
            growing.write(more)
        pause, last = max(pause, time.monotonic() - last), time.monotonic()
        early += sum(1 for _ in run.network.find(file.name))
        time.sleep(STEP)
    if pause < SETTLE:  # else something held this bench up, and the file had time to settle
        run.claim(f"a file written to for {WRITTEN:g} s: found meanwhile", f"{early}", "never", not early)
    wanted = digest.hexdigest()
    found = until(lambda: [each["id"] for each in run.network.find(file.name)] == [wanted])
    took = time.monotonic() - last
    value = f"{took:.2f} s" if found else "never"
    run.claim("  found after it was whole", value, f"at most {SETTLE + PROMPT:g} s", took <= SETTLE + PROMPT)
    run.is_right("after that")
