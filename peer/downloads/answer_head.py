"""The head of a source's answer, read from a plain socket and held against what was asked. Strict and bounded.

What a source may say to a request for a range of one file is little, so everything else is refused: other ranges,
other lengths, codings, redirects, heads that do not end (RFC 9110, RFC 9112).
"""

import re
import socket
import time
from dataclasses import dataclass, field

from common.content.grid import Span
from peer.downloads.standing import SourceTrouble

LARGEST_HEAD = 16 * 1024
MOST_HEADERS = 64
MAX_RETRY_AFTER = 24 * 3600.0
_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?", re.ASCII)
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)", re.ASCII)
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
LATER = (429, 503)


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers, their names in lower case; of a header that comes twice, both with a comma between."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def keeps_alive(self) -> bool:
        return "close" not in self.headers.get("connection", "").lower()

    def number(self, name: str) -> int | None:
        """A header that is a whole number, else None."""
        text = self.headers.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def read_head(connection: socket.socket, buffer: memoryview, deadline: float) -> tuple[Head, memoryview]:
    """The head, and what came after it, which lies in `buffer`. `deadline` is of time.monotonic().

    Raises SourceTrouble, and OSError of the socket.
    """
    filled = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise SourceTrouble("timeout", "did not answer in time")
        connection.settimeout(left)
        count = connection.recv_into(buffer[filled:LARGEST_HEAD])
        if count == 0:
            raise SourceTrouble("broken", "closed the connection without an answer")
        searched = max(0, filled - len(_END))
        filled += count
        end = bytes(buffer[searched:filled]).find(_END)
        if end >= 0:
            end += searched
            return parse_head(bytes(buffer[:end])), buffer[end + len(_END) : filled]
        if filled == LARGEST_HEAD:
            raise SourceTrouble("refused", "sends headers without end")


def parse_head(text: bytes) -> Head:
    """Raises SourceTrouble for what is not HTTP."""
    first, *lines = text.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None or len(lines) > MOST_HEADERS:
        raise SourceTrouble("refused", "does not speak HTTP as it should")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise SourceTrouble("refused", "does not speak HTTP as it should")
        name, value = header[1].decode().lower(), header[2].strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(int(status[1]), headers)


def accepted(head: Head, wanted: Span, size: int, whole_too: bool) -> Span:
    """The bytes that the answer brings: those that were asked for, or, where that is taken, the whole file."""
    _check(head)
    if head.status == 206 and head.headers.get("content-range") == f"bytes {wanted.start}-{wanted.stop - 1}/{size}":
        brings = wanted
    elif head.status == 200 and (whole_too or wanted == Span(0, size)):
        brings = Span(0, size)
    else:
        raise SourceTrouble("refused", "answered with another range than was asked")
    if head.number("content-length") != brings.length:
        raise SourceTrouble("refused", "announces another length than the file has")
    return brings


def chosen(head: Head, size: int) -> Span | None:
    """The bytes that a source chose to send; None when it has nothing more to choose."""
    if head.status in (204, 404, 405):
        return None
    _check(head)
    found = _RANGE.fullmatch(head.headers.get("content-range", ""))
    if head.status != 206 or found is None:
        raise SourceTrouble("refused", "did not name the piece that it sends")
    span = Span(int(found[1]), int(found[2]) + 1)
    if int(found[3]) != size or not 0 <= span.start < span.stop <= size or head.number("content-length") != span.length:
        raise SourceTrouble("refused", "names a piece that the file does not have")
    return span


def _check(head: Head) -> None:
    """Raises SourceTrouble for an answer that is no part of a file, in words of what it is."""
    if head.status in LATER:
        wished = head.number("retry-after")
        place = head.number("x-queue-place") or 0
        words = f"is busy; we are number {place} in its line" if place else "has no upload slot free"
        raise SourceTrouble("busy", words, None if wished is None else min(float(wished), MAX_RETRY_AFTER), place)
    if 300 <= head.status < 400:
        raise SourceTrouble("refused", "answered with a redirect, which is not followed")
    if head.status in (404, 410, 416):
        raise SourceTrouble("refused", "does not have it any more")
    if head.status >= 500:
        raise SourceTrouble("broken", f"answered {head.status}")
    if head.status not in (200, 206):
        raise SourceTrouble("refused", f"answered {head.status}")
    if "transfer-encoding" in head.headers:
        raise SourceTrouble("refused", "does not say how many bytes it sends")
    if head.headers.get("content-encoding", "identity").lower() != "identity":
        raise SourceTrouble("refused", "compressed its answer unasked")
