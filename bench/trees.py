"""Real files to measure with: those of this Python and of the system's documentation."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PLACES = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    sys.base_prefix,
    "/usr/share",
    "/usr/lib/python3",
)
SMALL = 1024 * 1024


def real_files() -> Iterator[Path]:
    """Regular files, none twice, whoever may read them."""
    seen: set[tuple[int, int]] = set()
    for place in PLACES:
        for folder, _, names in os.walk(place):
            for name in names:
                path = Path(folder, name)
                try:
                    stat = path.lstat()
                except OSError:
                    continue
                if path.is_file() and not path.is_symlink() and (stat.st_dev, stat.st_ino) not in seen:
                    seen.add((stat.st_dev, stat.st_ino))
                    yield path


def copied(folder: Path, count: int, largest: int = SMALL) -> Path:
    """A tree of `count` real small files, as they lie in their folders."""
    made = 0
    for path in real_files():
        if path.stat().st_size > largest or path.name.startswith(".") or any(p.startswith(".") for p in path.parts):
            continue
        target = folder / Path(*path.parts[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        made += 1
        if made == count:
            return folder
    print(f"  (only {made} real files were found on this machine)")
    return folder
