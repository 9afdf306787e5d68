"""Which bytes of a file a request wants, and under which conditions (RFC 9110, sections 13 and 14).

Pure: header values in, decisions out. What cannot be understood is ignored, so that its sender gets the whole file;
what is understood and cannot be met is refused. Work is linear in the header, whatever it holds.
"""

import re
from email.utils import formatdate
from itertools import pairwise
from typing import NamedTuple

from common.errors import OutOfRange

MAX_RANGES = 8

_RANGE = re.compile(r"([0-9]*)-([0-9]*)")
_ENTITY_TAGS = re.compile(r'(W/)?("[^"]*")')
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')
_MAX_DIGITS = 18
_BEYOND_ANY_FILE = 10**_MAX_DIGITS
_LAST_HTTP_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z


class ByteRange(NamedTuple):
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The `Content-Range` of a 206 for a file of `size` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The one part, never empty, that `header` asks of a file of `size` bytes, or None for the whole file.

    None answers no header, another unit, a malformed header and several parts: a server may ignore `Range`, and many
    parts in one answer are not served. Raises OutOfRange when no part lies in the file, for more than 8 ranges, and for
    ranges that overlap or descend.
    """
    specs = _specs(header or "")
    if len(specs) > MAX_RANGES:
        raise _refused(f"At most {MAX_RANGES} ranges may be asked for at once.", size)
    pairs = [pair for spec in specs if (pair := _pair(spec))]
    if not specs or len(pairs) < len(specs):
        return None
    parts = [part for pair in pairs if (part := _resolve(*pair, size)).length > 0]
    if any(left.stop > right.start for left, right in pairwise(parts)):
        raise _refused("Ranges must ascend and must not overlap.", size)
    # Only an empty file has no last bytes: asking for them is fair, and no `Content-Range` can answer it but the whole.
    if not parts and not any(first is None and last for first, last in pairs):
        raise _refused(f"The file has {size} bytes; the range lies outside.", size)
    return parts[0] if len(parts) == 1 else None


def if_range_matches(header: str | None, etag: str, modified: float | None) -> bool:
    """Whether `Range` may be honoured: there is no `If-Range`, or it names exactly this version of the file.

    `etag` comes with its quotes, `modified` in seconds since the epoch. Weak tags never match. A date matches only as
    the very text of `http_date(modified)`: whoever resumes sends back what it was told.
    """
    if header is None:
        return True
    value = header.strip()
    if value.startswith('"'):
        return value == etag
    return modified is not None and value == http_date(modified)


def etag_listed(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names `etag` (given with its quotes) by weak comparison, or says `*`."""
    if header is None:
        return False
    return header.strip() == "*" or etag.removeprefix("W/") in _ENTITY_TAG.findall(header)


def if_match_holds(header: str | None, etag: str) -> bool:
    """Whether `If-Match` is absent, `*`, or names `etag` by strong comparison (RFC 9110, 13.1.1)."""
    if header is None or header.strip() == "*":
        return True
    return any(not weak and tag == etag for weak, tag in _ENTITY_TAGS.findall(header))


def http_date(timestamp: float) -> str:
    """`Last-Modified` for seconds since the epoch: cut to whole seconds, and to the years that the format can say."""
    return formatdate(min(max(timestamp // 1, 0), _LAST_HTTP_SECOND), usegmt=True)


def _specs(header: str) -> list[str]:
    """The elements of the byte range set, none when the unit is another one; empty elements do not count."""
    unit, _, ranges = header.strip().partition("=")
    if unit.lower() != "bytes":
        return []
    return [spec for element in ranges.split(",") if (spec := element.strip())]


def _pair(spec: str) -> tuple[int | None, int | None] | None:
    """(first, last) as written, with None for an end left open; None alone when this is no range."""
    match = _RANGE.fullmatch(spec)
    if match is None or spec == "-":
        return None
    first, last = _position(match[1]), _position(match[2])
    return None if first is not None and last is not None and last < first else (first, last)


def _position(digits: str) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip("0") or "0"
    # int() takes quadratic time and refuses beyond 4,300 digits; no file is that long.
    return int(significant) if len(significant) <= _MAX_DIGITS else _BEYOND_ANY_FILE


def _resolve(first: int | None, last: int | None, size: int) -> ByteRange:
    """What is meant of a file of `size` bytes; its length is not above 0 when nothing of it is there."""
    if first is None:
        return ByteRange(size - min(last or 0, size), size)
    return ByteRange(first, size if last is None else min(last + 1, size))


def _refused(detail: str, size: int) -> OutOfRange:
    return OutOfRange("range_not_satisfiable", detail, size=size)
