"""An idle peer with 10,000 files: memory and processor time."""

import time
from pathlib import Path

from bench.daemons import cpu_seconds, peer, pss_megabytes, super_peer, wait_until_indexed
from bench.report import line, title
from bench.trees import copied

FILES = 10_000
WATCHED = 60.0


def run(folder: Path) -> None:
    """Prints the figures."""
    title(f"An idle peer with {FILES} files")
    share = copied(folder / "share", FILES)
    with super_peer(folder) as (hub, _), peer(folder, hub, share) as (url, process):
        count = wait_until_indexed(hub, url, folder / "bench")
        time.sleep(10)  # what the scan left behind settles; this is a benchmark, not a test
        before = cpu_seconds(process)
        time.sleep(WATCHED)
        used = (cpu_seconds(process) - before) / WATCHED
        memory = pss_megabytes(process)
        line("entries offered", f"{count:,}", "")
        line("memory (PSS)", f"{memory:.1f} MB", "under 50 MB", memory < 50)
        line(f"of a core, over {WATCHED:g} s", f"{used:.2%}", "under 1 %", used < 0.01)
