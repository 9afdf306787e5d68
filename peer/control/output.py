"""What a command says: JSON for programs, one object a line, or tables and bars for a person (`terminal.py`).

Lines: `search` writes FileInfos, `ls` SharedFiles, `status` a PeerInfo with `shares` and `damaged` (null for others
than the owner), `share` and `unshare` the peer's answer, `open` a `url`, `get` its events (`downloads/events.py`, and
`following.py`), with the `download` they are about where it is in the queue; `downloads`, `pause`, `resume` and
`get --later` Downloads, `cache` CachedFiles, `limits` the Limits. What fails ends with `{"event": "failed", "code",
"detail", "exit_code"}`.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

import msgspec
from msgspec import Struct

from common.wire.cache import Cache
from common.wire.files import DamagedFile, FileInfo, SearchAnswer, SharedFile
from common.wire.peer_daemon import PeerInfo
from common.wire.transfer import Download, Limits
from peer.control.exits import Stop
from peer.downloads.events import Event

# What a terminal, or a reader of logs, might act on: controls, bidirectional marks, line separators, lone surrogates.
_ACTIVE = re.compile("[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb]")


class SharedPath(Struct, frozen=True):
    """A share by its path, as the owner sees it; `why` it is missing, if it is."""

    label: str
    path: str
    state: str
    files: int
    bytes: int
    why: str


class Output(Protocol):
    """One way to say it."""

    def results(self, answer: SearchAnswer, nothing: str) -> None:
        """What was found; `nothing` tells a person that it is nothing."""

    def note(self, text: str) -> None:
        """Something worth a word that is no failure."""

    def choices(self, found: Sequence[FileInfo]) -> None:
        """The files among which a name does not decide."""

    def shared(self, files: Sequence[SharedFile]) -> None: ...

    def status(self, info: PeerInfo, shares: Sequence[SharedPath] | str, damaged: Sequence[DamagedFile]) -> None:
        """A peer, what it shares by path, or why that is not known, and the files that its disk has lost."""

    def answered(self, answer: Mapping[str, Any], told: str) -> None:
        """A daemon did what it was asked; `told` is that for a person."""

    def downloads(self, found: Sequence[Download], left_out: int) -> None:
        """The peer's downloads; `left_out` finished ones more are not shown."""

    def cached(self, cache: Cache) -> None: ...

    def limits(self, limits: Limits) -> None: ...

    def begin(self, names: Mapping[str, str], in_queue: bool) -> None:
        """Fetches begin, each known by a key, which is a download's id when it is in the queue."""

    def event(self, event: Event, key: str) -> None: ...

    def failed(self, name: str, stop: Stop, key: str = "") -> None:
        """One of several files is not to be had."""

    def stopped(self, stop: Stop) -> None: ...

    def close(self) -> None:
        """Nothing more will be said."""


def output_for(json_wanted: bool) -> Output:
    """Lines where they are asked for or stdout is not a terminal, else tables."""
    if json_wanted or not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        return Lines(sys.stdout)
    from peer.control.terminal import Terminal  # takes rich, which programs need not wait for

    return Terminal()


class Lines:
    """JSON, one object a line, each out at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._in_queue = False

    def results(self, answer: SearchAnswer, nothing: str) -> None:
        self._each(answer.results)

    def note(self, text: str) -> None:
        sys.stderr.write(f"peer: {text}\n")

    def choices(self, found: Sequence[FileInfo]) -> None:
        self._each(found)

    def shared(self, files: Sequence[SharedFile]) -> None:
        self._each(files)

    def status(self, info: PeerInfo, shares: Sequence[SharedPath] | str, damaged: Sequence[DamagedFile]) -> None:
        for_owner = not isinstance(shares, str)
        known = {"shares": list(shares), "damaged": list(damaged)} if for_owner else {"shares": None, "damaged": None}
        self._say(builtins(info) | known)

    def answered(self, answer: Mapping[str, Any], told: str) -> None:
        self._say(answer)

    def downloads(self, found: Sequence[Download], left_out: int) -> None:
        self._each(found)

    def cached(self, cache: Cache) -> None:
        self._each(cache.entries)

    def limits(self, limits: Limits) -> None:
        self._say(limits)

    def begin(self, names: Mapping[str, str], in_queue: bool) -> None:
        self._in_queue = in_queue

    def event(self, event: Event, key: str) -> None:
        self._say(builtins(event) | ({"download": key} if self._in_queue else {}))

    def failed(self, name: str, stop: Stop, key: str = "") -> None:
        which = {"name": name} | ({"download": key} if key else {})
        self._say({"event": "file_failed", **which, "code": stop.code, "detail": stop.detail})

    def stopped(self, stop: Stop) -> None:
        self._say({"event": "failed", "code": stop.code, "detail": stop.detail, "exit_code": int(stop.exit_code)})

    def close(self) -> None:
        self._out.flush()

    def _each(self, items: Sequence[Any]) -> None:
        for item in items:
            self._out.write(line(item))
        self._out.flush()

    def _say(self, item: Any) -> None:
        self._each([item])


def builtins(item: Struct) -> dict[str, Any]:
    """A message as what JSON is made of."""
    made: dict[str, Any] = msgspec.to_builtins(item)
    return made


def line(item: Any) -> str:
    """One JSON object and a newline, with nothing in it that a terminal would act on."""
    text = json.dumps(msgspec.to_builtins(item), ensure_ascii=False, separators=(",", ":"))
    return _ACTIVE.sub(lambda active: f"\\u{ord(active[0]):04x}", text) + "\n"


def shown(text: str) -> str:
    """Text from outside, fit for a terminal: what is not printable is a replacement character."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
