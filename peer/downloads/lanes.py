"""Requests at work: each in a thread that receives into a buffer, proves and writes piece by piece.

Guarantees: a piece counts as proven only when the bytes that were written are what the manifest says; nothing is
written once `trim` or the end of a request has let go of it; memory is one buffer a thread, whatever the file's size.
Threads spend their time in the kernel and in the hash, where the interpreter's lock is free.
"""

import contextlib
import mmap
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from blake3 import blake3
from yarl import URL

from common import errors
from common.content.grid import Grid, Span
from common.content.manifest import Manifest
from common.http.dialling import ForbiddenAddress, Policy
from common.serving.bandwidth import Bandwidth, Line
from peer.downloads.answer_head import accepted, chosen, read_head
from peer.downloads.connections import Connections
from peer.downloads.errands import Begun, DiskFailed, Ended, Errand, News, Proven
from peer.downloads.part_file import PartFile
from peer.downloads.requests import Request
from peer.downloads.standing import Patience, SourceTrouble

BUFFER = 1 << 20
SMALLEST_READ = 16 * 1024  # bytes
PATIENT = 0.5  # seconds
SHORT, LONG = 0.02, 0.2  # seconds that a read may take before the next one is larger, or smaller
NICE = 5
LIMITED_WINDOW = 256 * 1024  # bytes
A_MOMENT = 0.005  # seconds
MOST_THREADS = 64
NOBODY = Bandwidth(lambda address: False)


class Lanes:
    """The threads of one transfer. `tell` is called by them, with News, in the order in which it happened."""

    def __init__(
        self,
        part: PartFile,
        file_id: str,
        grid: Grid,
        policy: Policy,
        patience: Patience,
        tell: Callable[[News], None],
        bandwidth: Bandwidth | None = None,
        headers: dict[str, str] | None = None,
        has: Callable[[], str] = lambda: "",
        is_ahead: Callable[[], bool] = lambda: False,
    ) -> None:
        """`has` tells the pieces that need not be sent; `is_ahead`, that more would only wait to be hashed."""
        self.manifest: Manifest | None = None
        self._part = part
        self._file_id = file_id
        self._grid = grid
        self.patience = patience
        self._tell = tell
        self._bandwidth = bandwidth or NOBODY
        self._headers = headers or {}
        self._has = has
        self.is_ahead = is_ahead
        self._connections = Connections(policy)
        self._threads = ThreadPoolExecutor(MOST_THREADS, "lane", _stand_back)
        self._buffers = threading.local()
        self._errands: dict[Request, Errand] = {}

    def ask(self, request: Request, url: str) -> None:
        """Begins a request; its end is told in any case."""
        errand = Errand(request, URL(url), request.first, request.last)
        self._errands[request] = errand
        self._threads.submit(self._run, errand)

    def trim(self, request: Request, last: int) -> int:
        """The last piece that the request will bring."""
        return self._errands[request].trim(last)

    def cancel(self, request: Request, why: SourceTrouble | None) -> None:
        """Breaks a request off; its end is told soon."""
        if request in self._errands:
            self._errands[request].cancel(why)

    def grant(self, request: Request) -> None:
        """The piece that the source chose may be written: nobody else fetches it, and it is not proven."""
        if request in self._errands:
            self._errands[request].granted.set()

    def received(self, request: Request) -> int:
        """How many bytes of it have come."""
        errand = self._errands.get(request)
        return request.received if errand is None else errand.received

    def forget(self, request: Request) -> None:
        """Its end was heard of."""
        self._errands.pop(request, None)

    def stop(self) -> None:
        """Breaks everything off."""
        for errand in list(self._errands.values()):
            errand.cancel(None)

    def close(self) -> None:
        """Returns when no thread and no connection is left."""
        self.stop()
        self._threads.shutdown(wait=True)
        self._connections.close()

    # In the threads

    def _run(self, errand: Errand) -> None:
        news: News = Ended(errand.request, None)
        try:
            host, port = errand.url.host or "", errand.url.port or 80
            with self._bandwidth.line(host, self._file_id) as line:
                self._exchange(errand, line, host, port)
        except SourceTrouble as trouble:
            news = Ended(errand.request, trouble)
        except errors.Refusal as refusal:
            news = DiskFailed(errand.request, refusal)
        except ForbiddenAddress:
            news = Ended(errand.request, SourceTrouble("refused", "may not be dialled from here"))
        except (TimeoutError, BlockingIOError):
            silent = f"sent nothing for {self.patience.silence:g} s"
            news = Ended(errand.request, SourceTrouble("timeout" if errand.received else "unreachable", silent))
        except OSError:
            outcome, words = ("broken", "broke off") if errand.received else ("unreachable", "cannot be reached")
            news = Ended(errand.request, SourceTrouble(outcome, words))
        except BaseException as error:
            news = Ended(errand.request, SourceTrouble("broken", f"cannot be read here ({type(error).__name__})"))
            raise
        finally:
            if errand.stop.is_set() and isinstance(news, Ended):
                news = Ended(errand.request, errand.why)
            self._tell(news)

    def _exchange(self, errand: Errand, line: Line, host: str, port: int) -> None:
        for fresh in (False, True):
            connection, used = self._connections.take(host, port, fresh)
            reusable = False
            try:
                if line.buckets:
                    # What the kernel keeps was sent and is lost with us: no more of it than a limit lets in soon.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LIMITED_WINDOW)
                reusable = errand.hold(connection) and self._converse(errand, line, connection)
                return
            except (SourceTrouble, ConnectionError) as error:
                if not (used and not errand.received and _may_be_stale(error)) or errand.stop.is_set():
                    raise
            finally:
                if errand.release() and reusable:
                    self._connections.give(host, port, connection)
                else:
                    connection.close()

    def _converse(self, errand: Errand, line: Line, connection: socket.socket) -> bool:
        """One question and its answer; whether the connection is good for another."""
        is_open = errand.first < 0
        # What is asked for, once and for all: the errand may be trimmed before the answer comes.
        wanted = Span(0, 0) if is_open else self._grid.run(errand.first, errand.last)
        connection.settimeout(self.patience.head)
        connection.sendall(self._question(errand, wanted))
        buffer = self._buffer()
        head, rest = read_head(connection, buffer, time.monotonic() + self.patience.head)
        if is_open:
            span = chosen(head, self._grid.size)
            if span is None:
                errand.request.standing.gives_next = False
                return False
            piece = span.start // self._grid.piece_size
            if self._grid.span(piece) != span:
                raise SourceTrouble("refused", "sends something else than a piece")
            errand.first = errand.last = piece
            wanted = span
        else:
            span = accepted(head, wanted, self._grid.size, whole_too=self.manifest is None)
        self._tell(Begun(errand.request, errand.first))
        if is_open:
            errand.granted.wait()  # until `grant` or `cancel`: one of them answers each Begun
        _let_block(connection)
        done = _Body(self, errand, line, connection, buffer, rest, span.start).read_pieces(wanted)
        return done == span.stop and head.keeps_alive

    def _question(self, errand: Errand, wanted: Span) -> bytes:
        path, headers = errand.url.raw_path_qs, dict(self._headers)
        if errand.first < 0:
            path = path.replace("/download/", "/next/", 1)
            headers["X-Have"] = self._has()
        elif wanted != Span(0, self._grid.size):
            headers |= {"Range": f"bytes={wanted.start}-{wanted.stop - 1}", "If-Range": f'"{self._file_id}"'}
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {errand.url.authority}",
            "Accept-Encoding: identity",
            "User-Agent: shoal",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._buffers, "buffer", None)
        if buffer is None:
            # A map of its own, of which only the pages that are used count.
            buffer = self._buffers.buffer = memoryview(mmap.mmap(-1, BUFFER))
        return buffer

    def judge(self, errand: Errand, piece: int, digest: bytes | None) -> None:
        """Raises SourceTrouble unless the piece is what the manifest says."""
        if digest is not None and self.manifest is not None and digest != self.manifest.piece_hash(piece):
            raise SourceTrouble("corrupt", f"sent bytes that are not piece {piece} of the file")
        self._tell(Proven(errand.request, piece))

    def write(self, view: memoryview, offset: int) -> None:
        self._part.write_at(view, offset)

    def piece_span(self, piece: int) -> Span:
        return self._grid.span(piece)


@dataclass(slots=True)
class _Body:
    """The bytes of an answer as they come; `rest` of them came with the head. `position` is in the file."""

    lanes: Lanes
    errand: Errand
    line: Line
    connection: socket.socket
    buffer: memoryview
    rest: memoryview
    position: int
    read: int = SMALLEST_READ

    def read_pieces(self, wanted: Span) -> int:
        """Takes piece by piece until the errand ends; returns how far it came."""
        while self.position < wanted.start:
            self._next(wanted.start - self.position)
        piece = self.errand.first
        while self.errand.enter(piece):
            self._take(piece)
            piece += 1
        return self.position

    def _take(self, piece: int) -> None:
        stop = self.lanes.piece_span(piece).stop
        digest = blake3() if self.lanes.manifest is not None else None
        while self.position < stop:
            offset = self.position
            data = self._next(stop - offset)
            if digest is not None:
                digest.update(data)
            self.lanes.write(data, offset)
            self.errand.received += len(data)
        self.lanes.judge(self.errand, piece, None if digest is None else digest.digest())

    def _next(self, most: int) -> memoryview:
        """At least one byte and at most `most`, within what the limits allow."""
        while self.lanes.is_ahead() and not self.errand.stop.wait(A_MOMENT):
            pass
        most = self.line.share(min(most, len(self.buffer)))
        if self.rest:
            data, self.rest = self.rest[:most], self.rest[most:]
        else:
            data = self._receive(min(most, self.read))
        wait = self.line.reserve(len(data), time.monotonic())
        if wait:
            self.errand.stop.wait(wait)
        if self.errand.stop.is_set():
            raise SourceTrouble("broken", "was broken off")
        self.position += len(data)
        return data

    def _receive(self, most: int) -> memoryview:
        """As much as `most`, in one call of the system: each call gives up the interpreter's lock and takes it again.

        How much is asked for follows the source, and no call lasts longer than PATIENT, so that a slow one is heard of.
        """
        began = time.monotonic()
        while True:
            try:
                count = self.connection.recv_into(self.buffer[:most], most, socket.MSG_WAITALL)
                break
            except BlockingIOError:
                if self.errand.stop.is_set() or time.monotonic() - began >= self.lanes.patience.silence:
                    raise
        if count == 0:
            raise SourceTrouble("broken", "broke off")
        took = time.monotonic() - began
        if took < SHORT:
            self.read = min(2 * self.read, BUFFER)
        elif took > LONG:
            self.read = max(self.read // 2, SMALLEST_READ)
        return self.buffer[:count]


def _stand_back() -> None:
    """The hash of the whole goes first: it is one thread, and all that is received waits for it in the end."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _let_block(connection: socket.socket) -> None:
    """Reads wait in the system, no longer than PATIENT seconds; they raise BlockingIOError then."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(PATIENT * 1e6)))


def _may_be_stale(error: BaseException) -> bool:
    """A kept connection that the other side had closed."""
    return isinstance(error, ConnectionError) or (isinstance(error, SourceTrouble) and error.outcome == "broken")
