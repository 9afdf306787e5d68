"""Registering 10,000 hashed files, and searching among them."""

import hashlib
import random
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from bench.daemons import ask, super_peer
from bench.report import line, median, percentile, title
from bench.trees import real_files

FILES = 10_000
BATCH = 1000
ROUNDS = 5
QUERIES = 2000
SORTS = ("relevance", "name", "size", "downloads", "date")


def run(folder: Path) -> None:
    """Prints the figures."""
    title(f"Registering {FILES} hashed files, searching over them (one asker, whole HTTP round trips)")
    entries = [entry(path) for path, _ in zip(real_files(), range(FILES), strict=False)]
    took = []
    for number in range(ROUNDS):
        part = folder / str(number)
        part.mkdir()
        with super_peer(part) as (url, _):
            took.append(registered(url, entries))
            if number == ROUNDS - 1:
                times = [asked(url + query) for query in queries(entries)]
    seconds = median(took)
    line(f"registered, {len(entries)} entries", f"{seconds:.2f} s", "under 2 s", seconds < 2)
    line(f"search p50, {len(times)} queries of 9 kinds", f"{percentile(times, 0.5) * 1000:.1f} ms", "")
    worst = percentile(times, 0.99) * 1000
    line("search p99", f"{worst:.1f} ms", "under 10 ms", worst < 10)


def entry(path: Path) -> dict[str, object]:
    """A real file's path with an id of its own: what is measured here is the index, not hashing."""
    name = str(path).lstrip("/").encode(errors="replace").decode()
    return {"path": name, "id": hashlib.sha256(name.encode()).hexdigest(), "size": path.stat().st_size}


def registered(url: str, entries: list[dict[str, object]]) -> float:
    """Seconds from the first call until the last file can be found."""
    token = ask(f"{url}/api/v1/peers/register", {"port": 9001, "id": "bench"})["token"]
    headers = {"X-Peer-ID": "bench", "Authorization": f"Bearer {token}"}
    began = time.perf_counter()
    for start in range(0, len(entries), BATCH):
        delta = {"catalogue_id": "bench", "base_version": start // BATCH, "add": entries[start : start + BATCH]}
        delta["complete"] = start + BATCH >= len(entries)
        ask(f"{url}/api/v1/files/register", delta, headers)
    assert ask(f"{url}/api/v1/files/{entries[-1]['id']}")["id"] == entries[-1]["id"]
    return time.perf_counter() - began


def queries(entries: list[dict[str, object]]) -> Iterator[str]:
    """Searches of every kind, in an order that is the same each time."""
    chance = random.Random(1)
    names = [str(entry["path"]).rpartition("/")[2] for entry in entries]
    for _ in range(QUERIES):
        name = chance.choice(names)
        other = chance.choice(names)
        kinds = (
            f"q={quote(name)}",
            f"q={quote(name[:5])}",
            f"q={quote(name[1:4])}",
            f"q={quote(name[:2])}",
            f"q={quote(name[:4] + ' ' + other[-4:])}",
            "q=py&category=code",
            "q=test",
            "",
            f"ext=py&min_size=1000&q={quote(name[:3])}",
        )
        yield f"/api/v1/files/search?{chance.choice(kinds)}&sort={chance.choice(SORTS)}&limit=50"


def asked(url: str) -> float:
    """Seconds that an answer takes."""
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=30) as answer:
        answer.read()
    return time.perf_counter() - began
