"""watchfiles as a Watch, for systems without inotify. A thread waits; what it is told is passed on in the loop.

Notices are of whole folders there, and may miss some made just now: each folder is looked at again a little later.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from peer.shares.agenda import Place
from peer.shares.share import relative
from peer.shares.watch import Notice

log = logging.getLogger("shoal.shares")

DEBOUNCE, STEP, PATIENCE = 400, 50, 1000  # milliseconds


class RustWatch:
    """A Watch. Made, and closed, in the loop."""

    def __init__(self, notice: Notice, on_trouble: Callable[[], None]) -> None:
        self.is_complete = True
        self.sees_new_folders = False
        self._notice = notice
        self._on_trouble = on_trouble
        self._loop = asyncio.get_running_loop()
        self._roots: dict[int, bytes] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, place: Place, fd: int) -> None:
        """Nothing to do: a root is watched with all below it."""

    def leave(self, place: Place) -> None:
        """Nothing to do: notices of what is not shared are not heeded."""

    def begin(self, roots: Iterable[tuple[int, bytes]]) -> None:
        there = {share: root for share, root in roots if os.path.isdir(root)}
        if there == self._roots and self._thread is not None:
            return
        self.close()
        self._roots, self._stop = there, threading.Event()
        if there:
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name="watching", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self, stop: threading.Event) -> None:
        from watchfiles._rust_notify import RustNotify

        paths = [os.fsdecode(root) for root in self._roots.values()]
        try:
            with RustNotify(paths, False, False, 300, True, True) as watcher:
                while not stop.is_set():
                    changes = watcher.watch(DEBOUNCE, STEP, PATIENCE, stop)
                    if isinstance(changes, set):
                        self._in_loop(self._tell, {os.fsencode(path) for _, path in changes})
        except (OSError, RuntimeError, UnicodeError) as error:
            self._in_loop(self._fail, str(error))

    def _in_loop(self, call: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *args)

    def _tell(self, paths: set[bytes]) -> None:
        for path in paths:
            for share, root in self._roots.items():
                below = relative(root, path)
                if below is not None:
                    folder, _, name = below.rpartition(b"/")
                    self._notice(Place(share, folder), name)

    def _fail(self, why: str) -> None:
        if self.is_complete:
            log.warning("shares cannot be watched, so they are swept often", extra={"error": why})
        self.is_complete = False
        self._on_trouble()
