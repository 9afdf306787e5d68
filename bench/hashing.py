"""Hashing a tree of small real files against `find | xargs -P2 sha256sum`, and large files against bare hashlib."""

import hashlib
import os
import shlex
import subprocess
import threading
import time
from pathlib import Path

from bench.report import line, median, paired, ratio, title
from bench.trees import copied
from peer.shares.hasher import hash_tree

FILES = 20_000
ROUNDS = 7
LARGE = 24
LARGE_SIZE = 32 * 1024 * 1024
BLOCK = 1024 * 1024


def run(folder: Path) -> None:
    """Prints the figures."""
    title("Hashing (two cores, page cache warm)")
    small = copied(folder / "small", FILES)
    count = sum(len(names) for _, _, names in os.walk(small))
    size = sum(path.stat().st_size for path in small.rglob("*") if path.is_file())
    ours, theirs = paired(ROUNDS, lambda: hashed(small), lambda: sha256sum(small))
    line(f"{count} small files, {size / 1e6:.0f} MB: ours", f"{median(ours):.2f} s", "")
    line("find | xargs -P2 sha256sum", f"{median(theirs):.2f} s", "")
    reached = ratio(theirs, ours)
    line("ratio of speeds", f"{reached:.2f}", "at least 1.50", reached >= 1.5)
    large_files(folder / "large")


def large_files(folder: Path) -> None:
    """Files over 1 MiB against what two cores hash of memory."""
    folder.mkdir()
    for number in range(LARGE):
        (folder / f"{number}.bin").write_bytes(os.urandom(BLOCK) * (LARGE_SIZE // BLOCK))
    total = LARGE * LARGE_SIZE
    ours, theirs = paired(ROUNDS, lambda: hashed(folder), lambda: bare(total))
    line(f"{LARGE} files of {LARGE_SIZE >> 20} MiB: ours", f"{total / median(ours) / 1e9:.2f} GB/s", "")
    line("hashlib over memory, two threads", f"{total / median(theirs) / 1e9:.2f} GB/s", "")
    reached = ratio(theirs, ours)
    line("ratio of speeds", f"{reached:.2f}", "at least 0.85", reached >= 0.85)


def hashed(folder: Path) -> float:
    """Seconds that our walk and hash of a tree takes."""
    began = time.perf_counter()
    for _ in hash_tree(os.fsencode(folder)):
        pass
    return time.perf_counter() - began


def sha256sum(folder: Path) -> float:
    """Seconds that the system's tools take for the same."""
    command = f"find {shlex.quote(str(folder))} -type f -print0 | xargs -0 -P2 sha256sum > /dev/null"
    began = time.perf_counter()
    subprocess.run(command, shell=True, check=True)
    return time.perf_counter() - began


def bare(total: int) -> float:
    """Seconds in which two threads hash `total` bytes of memory, 1 MiB at a time."""
    block = os.urandom(BLOCK)

    def work() -> None:
        digest = hashlib.sha256()
        for _ in range(total // BLOCK // 2):
            digest.update(block)

    threads = [threading.Thread(target=work) for _ in range(2)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began
