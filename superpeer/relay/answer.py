"""What is made of a source's answer before an asker sees it. Pure.

A source is not trusted: its answer appears under the super-peer's own address, so type, name and validators are ours or
checked, nothing in it can run as one of our pages, and its length is known before its first byte.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from common import errors
from common.wire.relay import ASKED, RELAYED_PATH, RelayHead

KINDS = ("download", "manifest", "have", "next")
FILES = ("download", "next")  # whose answers are bytes of a file
LARGEST_MANIFEST = 1024 * 1024
LONGEST_HEADER = 1024
NOT_PASSED_ON = ("relay", "port")  # `port` speaks of the asker's own address, which the source does not see

_RANGE = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16})", re.ASCII)
_UNSATISFIED = re.compile(r"bytes \*/([0-9]{1,16})", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,16}", re.ASCII)
_PATH = re.compile(RELAYED_PATH, re.ASCII)
_NAMED = re.compile(r"attachment(;[ -~]{1,2000})?", re.ASCII)
_WHY = {
    "hashes_pending": "The file's piece hashes are being made; ask again.",
    "quota_exceeded": "The source gives what passes through the super-peer no more today; ask another, or tomorrow.",
}
_STREAMED = ("application/json", "application/x-ndjson")


class Unusable(Exception):
    """The source answered what it may not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How the asker's answer begins; `length` is None when it goes on until it ends."""

    status: int
    headers: dict[str, str]
    length: int | None


def path_of(kind: str, file_id: str, query: Mapping[str, str]) -> str:
    """The path that the source is asked. Raises Invalid for a query that is not passed on."""
    given = "&".join(f"{name}={value}" for name, value in query.items() if name not in NOT_PASSED_ON)
    path = f"/api/v1/{kind}/{file_id}{'?' if given else ''}{given}"
    if not _PATH.fullmatch(path):
        raise errors.Invalid("invalid_parameter", "This query cannot be passed on to the source; leave it out.")
    return path


def asked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the asker's headers that the source may see."""
    found = {name: headers[name] for name in ASKED if name in headers}
    for name, value in found.items():
        if len(value) > LONGEST_HEADER or not (value.isascii() and value.isprintable()):
            raise errors.Invalid("header_too_large", f"{name} is too long, or holds what no such header holds.")
    return found


def answer_of(kind: str, file_id: str, head: RelayHead) -> Answer:
    """What the asker is told. Raises a Refusal for an answer without success, Unusable for one that is none."""
    status, told = head.status, head.headers
    if status == 304 or (status == 204 and kind == "next"):
        return Answer(status, _common(file_id, kind, told), None)
    if status not in (200, 206):
        raise refusal_of(head)
    length = _length(told)
    if kind in FILES:
        return _file(file_id, status, told, length)
    if status != 200 or (kind == "manifest" and (length is None or length > LARGEST_MANIFEST)):
        raise Unusable("a piece list that is none")
    return Answer(200, _common(file_id, kind, told), length)


def _file(file_id: str, status: int, told: Mapping[str, str], length: int | None) -> Answer:
    if length is None:
        raise Unusable("a file of unknown length")
    headers = _common(file_id, FILES[0], told)
    headers["Accept-Ranges"] = "bytes"
    headers["Content-Disposition"] = _named(told.get("Content-Disposition", ""))
    if status == 206:
        match = _RANGE.fullmatch(told.get("Content-Range", ""))
        if match is None or int(match[2]) - int(match[1]) + 1 != length:
            raise Unusable("a part that does not say which")
        headers["Content-Range"] = match[0]
    return Answer(status, headers, length)


def _common(file_id: str, kind: str, told: Mapping[str, str]) -> dict[str, str]:
    is_file = kind in FILES
    streamed = told.get("Content-Type", "").partition(";")[0]
    found = {
        "Content-Type": "application/octet-stream" if is_file else _typed(streamed),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Via": "1.1 shoal",
    }
    if is_file:
        found["ETag"] = f'"{file_id}"'
    passed = ["Last-Modified"] if is_file else ["ETag"]
    if is_file and told.get("Repr-Digest") == f"sha-256=:{base64.b64encode(bytes.fromhex(file_id)).decode()}:":
        passed.append("Repr-Digest")
    return found | {name: told[name] for name in passed if name in told}


def _typed(said: str) -> str:
    return said if said in _STREAMED else _STREAMED[0]


def _named(said: str) -> str:
    return said if _NAMED.fullmatch(said) else "attachment"


def _length(told: Mapping[str, str]) -> int | None:
    said = told.get("Content-Length")
    if said is None:
        return None
    if not _LENGTH.fullmatch(said):
        raise Unusable("a length that is none")
    return int(said)


def refusal_of(head: RelayHead) -> errors.Refusal:
    """A source's refusal in our own words."""
    status, told = head.status, head.headers
    if status == 404:
        return errors.NotFound("file_not_found", "The source does not offer this file (any more); ask again.")
    if status == 409:
        return errors.Conflict("file_changed", "The file changed on its peer's disk; ask for it again.")
    if status == 412:
        return errors.Outdated("precondition_failed", "This is another file than the one that If-Match names.")
    if status == 416:
        match = _UNSATISFIED.fullmatch(told.get("Content-Range", ""))
        size = {"size": int(match[1])} if match else {}
        return errors.OutOfRange("range_not_satisfiable", "The range lies outside the file.", **size)
    if status in (429, 503):
        return _later(head)
    return errors.Unavailable("source_unavailable", "The source does not answer as it should; try again later.")


def _later(head: RelayHead) -> errors.Refusal:
    wait = head.headers.get("Retry-After", "")
    seconds = float(wait) if _LENGTH.fullmatch(wait) else None
    if head.code in _WHY:
        return errors.Unavailable(head.code, _WHY[head.code], retry_after=seconds)
    if head.place is None:
        return errors.Unavailable("too_many_requests", "The source is busy; try again.", retry_after=seconds)
    why = f"The source is busy; your place in the line is {head.place}: come back after Retry-After to keep it."
    return errors.Unavailable("too_many_requests", why, retry_after=seconds, place=head.place)
