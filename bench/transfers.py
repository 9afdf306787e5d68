"""`make bench-transfers [ONLY="part …"] [ARGS=…]`: transfers beside nginx, aria2c, curl and libtorrent.

Each line that has a figure to be reached says whether it was. What a part makes is in memory, but for `memory`, which
is on the disk; it is removed, and every process is ended, however the part ends.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import FrameType

from bench import crowds, fetching, rivals, serving
from bench.daemons import Missing
from bench.scale import MEMORY, WITHOUT_SHA, Scale, TooSmall, check_room, options, sha_instructions


def serve(scale: Scale) -> None:
    """See bench.serving."""
    check_room(scale.folder, 2 * scale.size)
    serving.run(scale.folder, scale.size)


PARTS: dict[str, Callable[[Scale], None]] = {
    "serve": serve,
    "fetch": fetching.fetch,
    "blake3": fetching.blake3,
    "crowd": crowds.crowd,
    "capped": fetching.capped,
    "memory": fetching.memory,
}


def main() -> int:
    """Runs the parts that are named, or all."""
    parser = options()
    chosen = parser.parse_args()
    if unknown := [part for part in chosen.parts if part not in PARTS]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if chosen.without_sha and not WITHOUT_SHA.items() <= os.environ.items():
        # Libraries look at this when they are loaded, this process's too.
        again = [sys.executable, "-m", "bench.transfers", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | WITHOUT_SHA)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    try:
        rivals.prepare()
        print(f"On {os.cpu_count()} cores, {sha_instructions()}; Python {platform.python_version()},")
        print(f"{rivals.versions()}. Medians of paired rounds.")
        for part in chosen.parts or PARTS:
            _run(part, chosen)
    except (Missing, TooSmall) as reason:
        print(f"bench-transfers: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left behind.", file=sys.stderr)
        return 130
    return 0


def _run(part: str, chosen: argparse.Namespace) -> None:
    where = None if part == "memory" else MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=f"shoal-bench-{part}-", dir=where) as folder:
        given = {name.name: getattr(chosen, name.name) for name in fields(Scale) if name.name != "folder"}
        PARTS[part](Scale(Path(folder), **given))


def _end(number: int, frame: FrameType | None) -> None:
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)  # what follows is to come to its end
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
