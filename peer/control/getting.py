"""`peer get`: through the queue of the peer that runs here, whose course is shown, or by itself where there is none.

Ctrl-C loses nothing: what the queue fetches is paused, what is fetched here stays in its part file.
"""

import asyncio
import os
from argparse import Namespace
from contextlib import aclosing, suppress
from itertools import islice

from common.errors import Refusal
from common.ids import FileId
from common.runtime.kinds import whole
from common.wire.files import Source
from common.wire.transfer import Download, DownloadRequest
from peer.control.asked import Asked, Target, absolute, asked
from peer.control.exits import Exit, Stop, stop_of
from peer.control.following import AT_WORK, Following
from peer.control.output import builtins, shown
from peer.control.remote import OwnPeer
from peer.control.surroundings import Network, Surroundings
from peer.downloads import destinations
from peer.downloads.events import Progress, Resumed, Started
from peer.downloads.fetch import fetch
from peer.downloads.part_file import Wanted

LOOK = 0.25  # seconds between two looks at the queue
LOOKS_AT_ONCE = 32  # at downloads that are not at work; the others get their turn
MOST_MISSED = 80  # looks in a row that the peer did not answer: 20 s and more
BATCH = 500  # downloads added by one request
NO_QUEUE = frozenset({"timed_out", "token_required", "token_invalid", "unreachable"})
"""Why a peer's queue is not ours to use, or not there."""
AWAY = frozenset({"shutting_down", "timed_out", "unreachable"})


async def get(here: Surroundings, given: Namespace) -> None:
    """`peer get ID|NAME…`"""
    priority = _priority(given.priority)
    if given.later and here.super_peer_named:
        raise Stop(Exit.USAGE, "invalid_parameter", "--later is for your own peer's network: leave --super-peer out.")
    async with here.network() as network:
        wanted = await asked(here, network, given)
        for name, stop in wanted.refused:
            here.output.failed(shown(name), stop)
        if here.super_peer_named:
            await _by_itself(here, network, wanted, given)
            return
        async with here.own_peer() as peer:
            added = await _add(here, peer, wanted.targets, given, priority)
            if added is None:
                await _by_itself(here, network, wanted, given)
            elif given.later:
                _say_added(here, added, wanted)
            else:
                await Follower(here, peer, given.verbose).follow(added, wanted)


def _priority(written: str) -> int:
    sign, digits = (-1, written[1:]) if str(written).startswith("-") else (1, str(written))
    try:
        return sign * int(whole(0, 100).read(digits))
    except ValueError:
        raise Stop(Exit.USAGE, "invalid_parameter", "--priority is a whole number from -100 to 100.") from None


# Through the queue


async def _add(
    here: Surroundings, peer: OwnPeer, targets: list[Target], given: Namespace, priority: int
) -> list[Download] | None:
    """The downloads in the peer's queue, at work or about to be; None when there is no queue of ours."""
    requests = [
        DownloadRequest(t.file_id, t.name, t.folder, t.size, priority, given.sequential) for t in map(absolute, targets)
    ]
    waiting = iter(requests)
    added: list[Download] = []
    try:
        while batch := list(islice(waiting, BATCH)):
            added += await peer.add(batch)
    except Stop as stop:
        if added or given.later or stop.code not in NO_QUEUE:
            raise
        if stop.code == "token_invalid":
            here.output.note(f"{stop.detail} Until then this fetches without it.")
        return None
    return [await _afresh(peer, one, request) for one, request in zip(added, requests, strict=True)]


async def _afresh(peer: OwnPeer, download: Download, request: DownloadRequest) -> Download:
    """One that was there already is tried again now; one that was finished is proven again."""
    if download.state == "finished":
        await peer.cancel(download.id)
        return (await peer.add([request]))[0]
    if download.state in ("paused", "stalled", "failed"):
        return await peer.resume(download.id)
    return download


def _say_added(here: Surroundings, added: list[Download], wanted: Asked) -> None:
    for download in added:
        here.output.answered(builtins(download), f"{download.id}  {shown(download.filename)}: added.")
    _end([stop for _, stop in wanted.refused], len(added) + len(wanted.refused))


class Follower:
    """Shows downloads of the queue until all are over."""

    def __init__(self, here: Surroundings, peer: OwnPeer, verbose: bool) -> None:
        self._output = here.output
        self._peer = peer
        self._verbose = verbose
        self._open: dict[str, Following] = {}
        self._at_work: set[str] = set()
        self._stops: list[Stop] = []
        self._missed = 0

    async def follow(self, added: list[Download], wanted: Asked) -> None:
        """Raises Stop when not all of it was fetched."""
        self._stops += [stop for _, stop in wanted.refused]
        count = len(added) + len(wanted.refused)
        self._output.begin({download.id: shown(download.filename) for download in added}, in_queue=True)
        for download in added:
            self._open[download.id] = Following(download.filename, verbose=self._verbose)
        try:
            while self._open:
                await self._look_around(alone=count == 1)
                await asyncio.sleep(LOOK if self._open else 0)
        except asyncio.CancelledError:
            raise await self._interrupted() from None
        _end(self._stops, count)

    def _next(self) -> list[str]:
        """Those at work, and some of the others, which go to the end of the line."""
        others = list(islice((key for key in self._open if key not in self._at_work), LOOKS_AT_ONCE))
        for key in others:
            self._open[key] = self._open.pop(key)
        return [*(key for key in self._open if key in self._at_work), *others]

    async def _look_around(self, alone: bool) -> None:
        """A look at each of the next; a peer that is started again may be away for a while. Raises Stop."""
        try:
            for download_id in self._next():
                await self._look(download_id, alone)
            self._missed = 0
        except Stop as stop:
            self._missed += 1
            if stop.code not in AWAY or self._missed > MOST_MISSED:
                raise

    async def _look(self, download_id: str, alone: bool) -> None:
        following = self._open[download_id]
        try:
            now = await self._peer.download(download_id)
        except Stop as stop:
            if stop.code != "download_not_found":
                raise
            following.gone()
        else:
            for event in following.look(now):
                self._output.event(event, download_id)
            (self._at_work.add if now.state in AT_WORK else self._at_work.discard)(download_id)
        if following.is_over:
            del self._open[download_id]
            self._at_work.discard(download_id)
        if following.stop is not None:
            self._stops.append(following.stop)
            if not alone:  # else it is how the command ends
                self._output.failed(shown(following.name), following.stop, download_id)

    async def _interrupted(self) -> Stop:
        """Pauses what is not over."""
        paused = []
        for download_id in self._open:
            with suppress(Stop):
                await self._peer.pause(download_id)
                paused.append(download_id)
        said = f" and {len(paused) - 3} more" if len(paused) > 3 else ""
        how = f" `peer resume {' '.join(paused[:3])}`{said}, or the same command, goes on." if paused else ""
        return Stop(Exit.INTERRUPTED, "interrupted", f"Paused.{how}" if paused else "Stopped.")


def _end(stops: list[Stop], count: int) -> None:
    """Raises Stop when something went wrong: as it did, when there was one file only."""
    if stops and count == 1:
        raise stops[0]
    if stops:
        detail = f"{len(stops)} of {count} files could not be fetched. The first: {stops[0].detail}"
        raise Stop(stops[0].exit_code, stops[0].code, detail)


# Without a queue


async def _by_itself(here: Surroundings, network: Network, wanted: Asked, given: Namespace) -> None:
    if given.later:
        raise Stop(Exit.FAILED, "unreachable", "No peer of yours runs here that could fetch later: start `peer run`.")
    targets, stops = wanted.targets, [stop for _, stop in wanted.refused]
    count = len(targets) + len(stops)
    here.output.begin({str(at): shown(target.name) for at, target in enumerate(targets)}, in_queue=False)
    for at, target in enumerate(targets):
        try:
            await _fetch(here, network, target, str(at), given.sequential)
        except Refusal as refusal:
            stop = stop_of(refusal)
            stops.append(stop)
            if count > 1:
                here.output.failed(shown(target.name), stop)
        except Stop as stop:
            if count == 1 or stop.exit_code is Exit.INTERRUPTED:
                raise
            stops.append(stop)
            here.output.failed(shown(target.name), stop)
    _end(stops, count)


async def _fetch(here: Surroundings, network: Network, target: Target, key: str, sequential: bool) -> None:
    part, received = "", 0
    wanted = await asyncio.to_thread(_place, target)
    first = await network.super_peer.sources(wanted.id)

    async def sources() -> list[Source]:
        """Asked again while it goes on; without an answer, those that there were."""
        with suppress(Stop):
            first[:] = await network.super_peer.sources(wanted.id)
        return first

    algorithm = await network.super_peer.algorithm()
    fetching = fetch(wanted, sources, network.outgoing, sequential=sequential, algorithm=algorithm)
    try:
        async with aclosing(fetching) as happenings:
            async for event in happenings:
                if isinstance(event, Started):
                    part = event.part
                elif isinstance(event, Progress | Resumed):
                    received = event.received
                here.output.event(event, key)
    except asyncio.CancelledError:
        kept = f" What came so far is in {part}; the same command goes on from there." if received else ""
        raise Stop(Exit.INTERRUPTED, "interrupted", f"Stopped.{kept}") from None


def _place(target: Target) -> Wanted:
    folder, name = target.folder, target.name
    if "/" in name:
        folder, name = destinations.place(os.path.abspath(folder), name)
        destinations.make(folder)
    return Wanted(FileId(target.file_id), target.size, folder, name)
