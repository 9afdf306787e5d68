"""Where this machine shows not files but its own state: /proc, /sys, /dev and whatever else is mounted of their kind.

What lies there has a name and perhaps a size, and is no content: it may change with every look, and may be secret.
"""

import os
from contextlib import suppress
from typing import NamedTuple

_MOUNTS = "/proc/self/mountinfo"
_STATE = frozenset(
    b"""binder binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue
    nsfs proc pstore resctrl rpc_pipefs securityfs selinuxfs smackfs sysfs tracefs""".split()
)


class StateFolders(NamedTuple):
    """The devices of such file systems, and the (device, inode) of the folders where they begin."""

    devices: frozenset[int]
    roots: frozenset[tuple[int, int]]


def state_folders() -> StateFolders:
    """As mounted now. Blocks. None on a system that does not tell."""
    devices: set[int] = set()
    roots: set[tuple[int, int]] = set()
    try:
        with open(_MOUNTS, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return StateFolders(frozenset(), frozenset())
    for line in lines:
        mounted, _, kind = line.partition(b" - ")
        _, _, number, _, path, *_ = mounted.split(b" ")
        if kind.split(b" ")[0] not in _STATE:
            continue
        major, _, minor = number.partition(b":")
        device = os.makedev(int(major), int(minor))
        devices.add(device)
        _add_root(roots, _unescaped(path), device)
    return StateFolders(frozenset(devices), frozenset(roots))


def _add_root(roots: set[tuple[int, int]], path: bytes, device: int) -> None:
    # Out of our sight it is out of any walk's too; and what was mounted over it has another device.
    with suppress(OSError):
        roots.add((device, os.stat(path, follow_symlinks=False).st_ino))


def _unescaped(path: bytes) -> bytes:
    """The kernel writes a blank as \\040, and so on."""
    first, *rest = path.split(b"\\")
    return first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in rest)
