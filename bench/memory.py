"""The memory of a process, as the system counts it: resident, and the highest that it was. In bytes."""

import re
from pathlib import Path


def resident(pid: int | str = "self") -> int:
    """What it has now."""
    return _status(pid, "VmRSS")


def peak(pid: int | str = "self") -> int:
    """The most that it had since `reset_peak`, which the system notes without gaps."""
    return _status(pid, "VmHWM")


def reset_peak(pid: int | str = "self") -> None:
    """Forgets what the highest was."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def children(pid: int) -> list[int]:
    """The processes that it started."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def _status(pid: int | str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"this system does not tell {name}")
    return int(found[1]) * 1024
