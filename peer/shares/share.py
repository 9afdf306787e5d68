"""What a share is, which shares count, and how they are called. Pure.

A share inside another adds nothing while the other one covers it: each file is offered once, under the outermost
label. It is remembered all the same, and stands for itself as soon as nothing covers it (the outer one went, or leaves
it out).
"""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from common.content.names import FALLBACK_NAME, display_path, free_name, safe_name, same_name_key
from peer.shares.tree import Rules, join


@dataclass(frozen=True, slots=True)
class Share:
    """A row of the table `share`; `path` is absolute and without links."""

    id: int
    path: bytes
    label: str
    is_folder: bool
    configured: bool
    requested: bool
    unshared: bool
    active: bool
    tags: tuple[str, ...] = ()
    audience: str | None = None
    identity: tuple[int, int] | None = None
    """(file system, inode) of the root when it was last read."""

    @property
    def wanted(self) -> bool:
        """Whether it is to be offered, by itself or by a share that covers it."""
        return (self.configured or self.requested) and not self.unshared

    @property
    def root(self) -> bytes:
        """The folder that paths of its entries are relative to."""
        return self.path if self.is_folder else os.path.dirname(self.path)

    @property
    def name(self) -> bytes:
        """What a single file is called in its root."""
        return os.path.basename(self.path)


def relative(root: bytes, path: bytes) -> bytes | None:
    """`path` as seen from `root`: empty for the root itself, None when it lies elsewhere."""
    if path == root:
        return b""
    below = root.rstrip(b"/") + b"/"
    return path[len(below) :] if path.startswith(below) else None


def covers(outer: Share, path: bytes, rules: Rules) -> bool:
    """Whether a scan of `outer` comes past `path`: it lies below and nothing on the way is left out."""
    below = relative(outer.path, path) if outer.is_folder else None
    if not below:
        return False
    at = outer.path.rstrip(b"/")
    for name in below.split(b"/"):
        at += b"/" + name
        if rules.objection(name) or at in rules.closed:
            return False
    return True


def active_ids(shares: Collection[Share], rules: Rules) -> set[int]:
    """The shares that stand for themselves."""
    wanted = [share for share in shares if share.wanted]
    return {
        share.id
        for share in wanted
        if not any(covers(other, share.path, rules) for other in wanted if other is not share)
    }


def home_of(path: bytes, shares: Iterable[Share], rules: Rules) -> Share | None:
    """The active share that offers `path`, if one does."""
    active = (share for share in shares if share.active)
    return next((share for share in active if share.path == path or covers(share, path, rules)), None)


def label_for(path: bytes, taken: Iterable[str]) -> str:
    """A name for a share of `path` that no other has, whatever disk it is saved to."""
    keys = {same_name_key(label) for label in taken}
    name = safe_name(os.path.basename(path)) if path != b"/" else FALLBACK_NAME
    return free_name(name, lambda candidate: same_name_key(candidate) in keys)


def catalogue_path(label: str, is_folder: bool, folder: bytes, name: bytes) -> str:
    """How an entry of a share is called in the catalogue, before any other has taken that path."""
    return f"{label}/{display_path(join(folder, name))}" if is_folder else label
