"""How large a run of `make bench-transfers` is, and on what it runs: the same for all that is compared."""

import argparse
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

MEMORY = Path("/dev/shm")
UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
WITHOUT_SHA = {
    "OPENSSL_ia32cap": ":~0x20000000",  # all that hashes with OpenSSL
    "NETTLE_FAT_OVERRIDE": "aesni,pclmul",  # aria2c
}


class TooSmall(Exception):
    """There is no room for what is to be measured; the message says how much is needed."""


@dataclass(frozen=True)
class Scale:
    """`folder`: the part's own, in memory. Sizes in bytes, rates in bytes a second."""

    folder: Path
    size: int
    large: int
    crowd_size: int
    crowd_rate: int
    many: int
    many_rate: int
    rounds: int

    @property
    def gigabytes(self) -> float:
        return self.size / 1e9


def options() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="bench.transfers", description="Transfers beside their rivals.")
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--size", type=size, default=size("2GiB"), help="of what is served and fetched (2GiB)")
    parser.add_argument("--large", type=size, default=size("16GiB"), help="of the sparse file on the disk (16GiB)")
    parser.add_argument("--crowd-size", type=size, default=size("128MiB"), help="of what a crowd fetches (128MiB)")
    parser.add_argument("--crowd-rate", type=size, default=size("20MB"), help="uplink of 1 + 8 peers (20MB a second)")
    parser.add_argument("--many", type=int, default=32, help="peers of the larger crowd (32)")
    parser.add_argument("--many-rate", type=size, default=size("2500kB"), help="their uplink (2500kB a second)")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison (3)")
    parser.add_argument("--without-sha", action="store_true", help="takes the SHA instructions away from all alike")
    return parser


def size(text: str) -> int:
    """Bytes, from `64MiB` or `20MB`."""
    found = re.fullmatch(r"(\d+)([kMG]?i?)B?", text)
    if found is None or found[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"{text} is no size: write 256MiB or 20MB")
    return int(found[1]) * UNITS[found[2]]


def check_room(folder: Path, needed: int) -> None:
    """Raises TooSmall."""
    free = shutil.disk_usage(folder).free
    if folder.is_relative_to(MEMORY):
        free = min(free, available_memory())
    if free < needed:
        told = f"{folder} has room for {free / 1e9:.1f} GB, {needed / 1e9:.1f} GB are needed"
        raise TooSmall(f"{told}: free some, or ask for less (ARGS=--size=256MiB)")


def available_memory() -> int:
    """Bytes that this machine can still give."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def sha_instructions() -> str:
    """Whether those of this run hash with the processor's own instructions for SHA."""
    if not re.search(r"^flags\s*:.*\bsha_ni\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
        return "this machine has no SHA instructions"
    if all(os.environ.get(name) == value for name, value in WITHOUT_SHA.items()):
        return "SHA instructions taken away from all alike (--without-sha)"
    return "with SHA instructions (--without-sha takes them away)"
