"""Notices of what happens in shares. They save waiting for the next sweep; nothing relies on their coming.

Two kinds: on Linux inotify itself, since watchfiles follows links (one that leads to `/` would have the whole disk
watched) and stops at the first name that is not UTF-8; elsewhere watchfiles.
"""

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

from peer.shares.agenda import Place

log = logging.getLogger("shoal.shares")

HAS_INOTIFY = sys.platform == "linux"

Notice = Callable[[Place, bytes], None]
"""Something happened to a name in a folder; an empty name: to anything in the folder or below."""


class Watch(Protocol):
    """Watches folders from when they are entered until they are left."""

    is_complete: bool
    """False once something could not be watched: sweeps have to come often then."""
    sees_new_folders: bool
    """False if what is put into a folder just made may be missed."""

    def enter(self, place: Place, fd: int) -> None:
        """A scan is about to read the open folder: from now on its changes are noticed. Called by any thread."""

    def leave(self, place: Place) -> None:
        """A folder, and all below, is not of interest any more."""

    def begin(self, roots: Iterable[tuple[int, bytes]]) -> None:
        """Shares, and the folders that they are read from; called by the loop whenever these change."""

    def close(self) -> None:
        """No more notices."""


class NoWatch:
    """Where nothing can be watched."""

    is_complete = False
    sees_new_folders = False

    def enter(self, place: Place, fd: int) -> None: ...

    def leave(self, place: Place) -> None: ...

    def begin(self, roots: Iterable[tuple[int, bytes]]) -> None: ...

    def close(self) -> None: ...


def open_watch(notice: Notice, on_trouble: Callable[[], None]) -> Watch:
    """The watch that this system allows. `on_trouble` is called when notices were lost: all has to be swept."""
    try:
        if HAS_INOTIFY:
            from peer.shares.inotify import Inotify

            return Inotify(notice, on_trouble)
        from peer.shares.rust_watch import RustWatch

        return RustWatch(notice, on_trouble)
    except (OSError, ImportError) as error:
        log.warning("shares cannot be watched, so they are swept often", extra={"error": str(error)})
        return NoWatch()
