"""When a file counts: once its size and its times have been the same for `settle` seconds. Pure.

A time that lies far enough back proves that by itself. One that is recent, or in the future (a wrong clock, an unpacked
archive), proves it only together with how long we have seen it unchanged.
"""

Stamp = tuple[int, int, int]
"""(size, mtime_ns, inode)."""


def settles_in(changed_ns: int, now: float, settle: float, seen_for: float) -> float:
    """Seconds until a file counts, 0 if it does.

    `changed_ns` is the later of its mtime and ctime, `seen_for` how long (s) it has been seen with its present stamp.
    """
    age = now - changed_ns / 1e9
    quiet = max(age, seen_for) if age >= 0 else seen_for
    return max(settle - quiet, 0.0)
