"""`make bench [ONLY="name …"]`: runs the benchmarks one after the other and prints their figures."""

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from bench.daemons import Missing

ALL = ("hashing", "index", "serving", "idle", "heartbeat")
NAMED = ("real_input", "interop")  # take minutes or other programs, and compare with nothing


def main() -> int:
    """Runs those named as arguments, or all but those that are only run when named."""
    chosen = sys.argv[1:] or ALL
    unknown = [name for name in chosen if name not in ALL + NAMED]
    if unknown:
        print(f"bench: unknown: {', '.join(unknown)}; there are {', '.join(ALL + NAMED)}", file=sys.stderr)
        return 2
    print(f"On {os.cpu_count()} cores, Python {sys.version.split()[0]}; medians of paired rounds.")
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix=f"shoal-bench-{name}-") as folder:
            try:
                import_module(f"bench.{name}").run(Path(folder))
            except Missing as missing:
                print(f"  {missing}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
