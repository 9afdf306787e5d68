"""Linux's own notices, folder by folder: no link is followed, names may be any bytes, and a folder is watched from just
before a scan reads it, so that nothing made in between is missed.

Notices are read at most every PAUSE seconds, which lets the kernel join those that repeat. Should it have lost some,
all is swept.
"""

import asyncio
import ctypes
import errno
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterable

from peer.shares.agenda import Place
from peer.shares.tree import join
from peer.shares.watch import Notice

log = logging.getLogger("shoal.shares")

PAUSE = 0.05  # seconds
_BUFFER = 256 * 1024
_HEAD = struct.Struct("iIII")

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED, _IS_FOLDER = 0x2000, 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS, _NOT_UNLINKED = 0x01000000, 0x04000000
_OF_NAMES = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_MASK = _OF_NAMES | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDERS | _NOT_UNLINKED
_LIMITS = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Inotify:
    """A Watch. Made, and closed, in the loop; raises OSError when the system has no more to give."""

    def __init__(self, notice: Notice, on_overflow: Callable[[], None]) -> None:
        if not os.path.isdir("/proc/self/fd"):
            raise OSError(errno.ENOENT, "folders are watched through /proc, which is not there")
        self.is_complete = True
        self.sees_new_folders = True
        self._notice = notice
        self._on_overflow = on_overflow
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._lock = threading.Lock()
        self._places: dict[int, tuple[Place, ...]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def enter(self, place: Place, fd: int) -> None:
        with self._lock:
            if self._fd < 0:
                return
            number = self._libc.inotify_add_watch(self._fd, b"/proc/self/fd/%d" % fd, ctypes.c_uint32(_MASK))
            if number < 0:
                self._cannot_watch(ctypes.get_errno())
                return
            places = self._places.get(number, ())
            if place not in places:
                self._places[number] = (*places, place)

    def leave(self, place: Place) -> None:
        below = place.folder + b"/"
        with self._lock:
            for number, places in list(self._places.items()):
                left = tuple(each for each in places if not _is_within(each, place, below))
                if left:
                    self._places[number] = left
                elif places:
                    del self._places[number]
                    self._libc.inotify_rm_watch(self._fd, number)

    def begin(self, roots: Iterable[tuple[int, bytes]]) -> None:
        """Nothing to do: folders are watched as they are entered."""

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.remove_reader(fd)
            os.close(fd)

    def _cannot_watch(self, code: int) -> None:
        if code not in _LIMITS:
            return  # gone again already
        if self.is_complete:
            log.warning(
                "not every folder can be watched, so shares are swept often; raise fs.inotify.max_user_watches",
                extra={"watched": len(self._places), "error": os.strerror(code)},
            )
        self.is_complete = False

    def _readable(self) -> None:
        self._loop.remove_reader(self._fd)
        try:
            self._understand(os.read(self._fd, _BUFFER))
        except BlockingIOError:
            pass
        finally:
            self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._readable)

    def _understand(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            number, mask, _, length = _HEAD.unpack_from(events, at)
            at += _HEAD.size
            name = events[at : at + length].rstrip(b"\0")
            at += length
            if mask & _OVERFLOW:
                self._on_overflow()
            elif mask & _IGNORED:
                with self._lock:
                    self._places.pop(number, None)
            else:
                self._tell(self._places.get(number, ()), mask, name)

    def _tell(self, places: tuple[Place, ...], mask: int, name: bytes) -> None:
        for place in places:
            if name:
                if mask & _IS_FOLDER and mask & _MOVED_FROM:
                    self.leave(Place(place.share, join(place.folder, name)))
                self._notice(place, name)
            elif not place.folder:
                self._notice(place, b"")


def _is_within(place: Place, outer: Place, below: bytes) -> bool:
    if place.share != outer.share:
        return False
    return not outer.folder or place.folder == outer.folder or place.folder.startswith(below)
