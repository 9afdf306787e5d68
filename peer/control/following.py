"""A download of the peer's queue, told as a fetch without a queue is told: looks at it go in, events come out. Pure.

Beyond those of `downloads/events.py` there are Idle and, where each source is asked for, Sources.
"""

import os
from collections.abc import Iterator

from common.ids import FileId
from common.wire.transfer import Download, SourceProgress
from peer.control.exits import Exit, Stop, exit_of
from peer.downloads import events
from peer.downloads.events import Event
from peer.downloads.part_file import part_name

AT_WORK = ("running", "verifying")


class Idle(Event, frozen=True):
    """Nothing comes for now; `detail` says why."""

    detail: str


class Sources(Event, frozen=True):
    """What each source does."""

    sources: list[SourceProgress]


class Following:
    """One download. `stop` is how it ended, when it is over and the file is not there."""

    def __init__(self, name: str, *, verbose: bool = False) -> None:
        self.name = name
        self.is_over = False
        self.stop: Stop | None = None
        self._verbose = verbose
        self._begun = False
        self._idle = ""
        self._failed: dict[str, str] = {}

    def look(self, now: Download) -> Iterator[Event]:
        """What there is to tell of it since the last look."""
        if now.state in AT_WORK:
            yield from self._at_work(now)
        elif now.state == "queued":
            yield from self._idling("Waiting for its turn.")
        elif now.state == "finished":
            yield from self._finished(now)
        else:
            self._ended(now)

    def gone(self) -> None:
        """It was cancelled by somebody else."""
        self.is_over, self.stop = True, Stop(Exit.FAILED, "download_not_found", "This download was cancelled.")

    def _begin(self, now: Download) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            part = part_name(now.filename, FileId(now.file_id))
            yield events.Started(now.file_id, now.size, os.path.join(os.path.dirname(now.path), part))
            if now.verified and now.state in AT_WORK:
                yield events.Resumed(now.verified)

    def _at_work(self, now: Download) -> Iterator[Event]:
        yield from self._begin(now)
        yield from self._failures(now.sources)
        if now.state == "verifying":
            yield from self._idling("All of it is here, and is being checked.")
        elif now.why:
            yield from self._idling(now.why)
        else:
            self._idle = ""
            yield events.Progress(now.received, now.size, now.rate, now.eta, now.verified)
        if self._verbose and now.sources:
            yield Sources(now.sources)

    def _failures(self, sources: list[SourceProgress]) -> Iterator[Event]:
        for source in sources:
            why = source.why if source.state in ("dropped", "waiting") else ""
            if why and self._failed.get(source.peer_id) != why:
                yield events.SourceFailed(source.peer_id, source.state, why)
            self._failed[source.peer_id] = why

    def _idling(self, why: str) -> Iterator[Event]:
        if why != self._idle:
            self._idle = why
            yield Idle(why)

    def _finished(self, now: Download) -> Iterator[Event]:
        self.is_over = True
        was_there = now.code == "already_there"
        if not was_there:
            yield from self._begin(now)
            yield events.Verified(now.file_id)
        yield events.Finished(now.path, now.file_id, now.size, was_there)

    def _ended(self, now: Download) -> None:
        """It is stalled, paused or failed."""
        self.is_over = True
        if now.state == "paused":
            detail = f"It was paused. `peer resume {now.id}` goes on with it."
            self.stop = Stop(Exit.FAILED, "paused", detail)
        else:
            code = now.code or "internal_error"
            self.stop = Stop(exit_of(code), code, f"{now.why} {_what_now(now)}".strip())


def _what_now(now: Download) -> str:
    if now.state == "stalled":
        return f"Your peer tries again by itself; `peer cancel {now.id}` ends that."
    return "" if "peer resume" in now.why else f"`peer resume {now.id}` tries again."
