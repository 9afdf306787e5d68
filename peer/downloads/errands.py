"""What a thread is sent to fetch, how it is called back, and what it tells. Shared by threads and the event loop."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field

from yarl import URL

from common import errors
from peer.downloads.requests import Request
from peer.downloads.standing import SourceTrouble


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer begins; with the piece that the source chose, if it was to choose."""

    request: Request
    piece: int


@dataclass(frozen=True, slots=True)
class Proven:
    """This piece is on the disk and is what it should be."""

    request: Request
    piece: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The thread has let go of the request."""

    request: Request
    trouble: SourceTrouble | None


@dataclass(frozen=True, slots=True)
class DiskFailed:
    """The disk does not take what comes. The request has ended."""

    request: Request
    refusal: errors.Refusal


News = Begun | Proven | Ended | DiskFailed


@dataclass(slots=True, eq=False)
class Errand:
    """The thread's side of a request. `last` may be lowered; `received` is read by others while it grows.

    `granted`: the piece that the source chose may be written; nobody else fetches it.
    """

    request: Request
    url: URL
    first: int
    last: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    granted: threading.Event = field(default_factory=threading.Event)
    why: SourceTrouble | None = None
    at: int = -1
    received: int = 0
    connection: socket.socket | None = None

    def enter(self, piece: int) -> bool:
        """Whether this piece may be begun."""
        with self.lock:
            if piece > self.last or self.stop.is_set():
                return False
            self.at = piece
            return True

    def trim(self, last: int) -> int:
        """The last piece that will be fetched: `last`, or the one on its way if that is later."""
        with self.lock:
            self.last = min(self.last, max(self.at, last))
            return self.last

    def cancel(self, why: SourceTrouble | None) -> None:
        with self.lock:
            self.why = self.why or why
            self.stop.set()
            self.granted.set()
            if self.connection is not None:
                # Under the lock, so that it is not closed, and its number another's, before this is done.
                with contextlib.suppress(OSError):  # it has ended by itself
                    self.connection.shutdown(socket.SHUT_RDWR)

    def hold(self, connection: socket.socket) -> bool:
        """Works on this connection from now on, which `cancel` breaks off; False when it is to stop."""
        with self.lock:
            self.connection = connection
            return not self.stop.is_set()

    def release(self) -> bool:
        """Lets go of the connection; False when it was broken off."""
        with self.lock:
            self.connection = None
            return not self.stop.is_set()
