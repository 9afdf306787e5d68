"""The owner's downloads, with real sources on loopback: what runs, what waits, what is kept through a stop."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from common import errors
from common.content.grid import SMALLEST_PIECE as PIECE
from common.content.hashing import SHA256
from common.errors import Refusal
from common.http.addresses import Profile
from common.http.dialling import Policy
from common.http.outgoing import Outgoing
from common.runtime.clock import ManualClock
from common.serving.bandwidth import Bandwidth
from common.wire.files import FileInfo, Source
from common.wire.transfer import Download, DownloadEdit, DownloadRequest
from peer.downloads.others import Crowd
from peer.downloads.queue import Queue, Settings
from peer.downloads.record import FIRST_PAUSE, LONGEST_PAUSE, Record
from peer.downloads.transfer import Transfer
from tests.support.sources import Content, Handler, asked_for, flipped, honest, serve, source, whole_only, with_manifest
from tests.support.waiting import until

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class FakeNetwork:
    """A super-peer that knows files and sources, or does not answer."""

    files: dict[str, FileInfo] = field(default_factory=dict)
    known: dict[str, list[Source]] = field(default_factory=dict)
    is_away: bool = False
    asked: int = 0

    async def file(self, file_id: str) -> FileInfo:
        self._answer()
        if file_id not in self.files:
            raise errors.NotFound("file_not_found", "Nobody announced this file.")
        return self.files[file_id]

    async def sources(self, file_id: str) -> list[Source]:
        self._answer()
        self.asked += 1
        return self.known.get(file_id, [])

    def _answer(self) -> None:
        if self.is_away:
            raise errors.Unavailable("source_unavailable", "The super-peer does not answer: it is away.")


@dataclass
class Watched:
    """What was told of downloads."""

    seen: list[Download] = field(default_factory=list)
    over: list[str] = field(default_factory=list)

    def told(self, download: Download) -> None:
        self.seen.append(download)

    async def ended(self, record: Record, transfer: Transfer | None) -> None:
        self.over.append(record.state)


@dataclass
class World:
    """A queue in `folder`, and who it asks."""

    folder: Path
    outgoing: Outgoing
    stack: AsyncExitStack
    clock: ManualClock = field(default_factory=ManualClock)
    network: FakeNetwork = field(default_factory=FakeNetwork)
    watcher: Watched = field(default_factory=Watched)
    at_once: int = 2

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Queue]:
        settings = Settings(str(self.folder / "got"), self.at_once, SHA256, {})
        limits = Bandwidth(lambda address: True)
        queue = Queue(settings, self.outgoing, self.network, limits, Crowd, self.watcher, self.clock)
        await queue.open(self.folder)
        try:
            yield queue
        finally:
            async with asyncio.timeout(10):
                await queue.close()

    async def tried(self, queue: Queue, times: int) -> None:
        """Once the super-peer was asked for sources so often, and nothing runs any more."""
        await until(lambda: self.network.asked >= times and queue.active == 0)
        assert self.network.asked == times

    async def offer(self, content: Content, *handlers: Handler) -> DownloadRequest:
        """The super-peer knows this file, with a source for each handler."""
        addresses = [await serve(self.stack, handler) for handler in handlers]
        self.network.known[content.id] = [
            source(f"http://{address}/api/v1/download/{content.id}", f"peer{number}")
            for number, address in enumerate(addresses)
        ]
        self.network.files[content.id] = FileInfo(
            content.id, content.name, len(content.data), content.id, "other", [], "application/octet-stream", "p",
            "127.0.0.1:9001", WHEN, None, 0, 0.0, len(handlers), [], None,
        )  # fmt: skip
        return DownloadRequest(content.id)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(Outgoing(Policy(Profile.LOOPBACK)))
        yield World(tmp_path, outgoing, stack)


def contents(count: int, size: int = 1000) -> list[Content]:
    return [Content(os.urandom(size), f"file{number}.bin") for number in range(count)]


async def until_state(queue: Queue, download_id: str, *states: str) -> Download:
    await until(lambda: queue.get(download_id).state in states)
    return queue.get(download_id)


class Held:
    """A source that sends nothing before `gate` is set; `active` are asked now, `asked` in all, `ranges` for what."""

    def __init__(self, content: Content, after: int = 0) -> None:
        self.gate = asyncio.Event()
        self.active = self.most = 0
        self.ranges: list[str | None] = []
        self._content = content
        self._after = after

    def is_active(self) -> bool:
        return self.active > 0

    async def bytes(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range"))
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            return await self._send(request)
        finally:
            self.active -= 1

    async def _send(self, request: web.Request) -> web.StreamResponse:
        span, headers = asked_for(request, len(self._content.data))
        data = self._content.data[span]
        response = web.StreamResponse(status=206 if headers else 200, headers=headers)
        response.content_length = len(data)
        await response.prepare(request)
        free = max(0, self._after - span.start)
        await response.write(data[:free])
        await self.gate.wait()
        await response.write(data[free:])
        return response

    @property
    def handler(self) -> Handler:
        return with_manifest(self._content, self.bytes)


async def test_what_is_added_is_fetched_under_its_own_name_and_told(world: World) -> None:
    (content,) = contents(1, 600_000)
    request = await world.offer(content, honest(content))
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        assert (added.filename, added.size, added.state) == (content.name, 600_000, "queued")
        done = await until_state(queue, added.id, "finished")
        assert Path(done.path).read_bytes() == content.data
        assert (done.verified, done.received, done.why, done.code) == (600_000, 600_000, "", "")
        assert done.finished is not None
        assert (queue.finished, queue.bytes) == (1, 600_000)
        await until(lambda: world.watcher.over == ["finished"])
    assert world.watcher.seen[-1].state == "finished"
    assert os.listdir(world.folder / "got") == [content.name]


async def test_a_whole_folder_comes_with_its_structure(world: World) -> None:
    files = contents(3)
    requests = [await world.offer(content, honest(content)) for content in files]
    named = [
        DownloadRequest(request.file_id, f"album/cd{number}/{content.name}")
        for number, (request, content) in enumerate(zip(requests, files, strict=True))
    ]
    async with world.opened() as queue:
        for added in await queue.add(named, str(world.folder / "music")):
            await until_state(queue, added.id, "finished")
    for number, content in enumerate(files):
        assert (world.folder / f"music/album/cd{number}" / content.name).read_bytes() == content.data


async def test_no_more_than_so_many_run_and_higher_priority_goes_first(world: World) -> None:
    world.at_once = 1
    files = contents(4)
    held = [Held(content) for content in files]
    requests = [await world.offer(each, source.handler) for each, source in zip(files, held, strict=True)]
    async with world.opened() as queue:
        first, second, third, urgent = await queue.add(
            [DownloadRequest(r.file_id, priority=p) for r, p in zip(requests, [9, 0, 0, 5], strict=True)]
        )
        order = []
        for download, one in [(first, 0), (urgent, 3), (second, 1), (third, 2)]:
            await until(held[one].is_active)
            order.append(download.id)
            assert queue.active == 1
            assert sum(source.active for source in held) == 1
            held[one].gate.set()
            await until_state(queue, download.id, "finished")
    assert max(source.most for source in held) == 1


async def test_one_that_is_edited_goes_first(world: World) -> None:
    world.at_once = 1
    files = contents(3)
    held = [Held(content) for content in files]
    requests = [await world.offer(each, source.handler) for each, source in zip(files, held, strict=True)]
    async with world.opened() as queue:
        downloads = await queue.add(requests)
        await until(lambda: held[0].active)
        edited = await queue.edit(downloads[2].id, DownloadEdit(priority=1, sequential=True))
        assert (edited.priority, edited.sequential) == (1, True)
        held[0].gate.set()
        await until(lambda: held[2].active)
        assert not held[1].ranges


async def test_a_pause_stops_it_and_it_goes_on_with_what_is_missing(world: World) -> None:
    (content,) = contents(1, 5 * PIECE)
    held = Held(content, after=2 * PIECE)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until(lambda: queue.get(added.id).verified == 2 * PIECE)
        running = queue.get(added.id)
        assert running.state == "running"
        assert {each.peer_id for each in running.sources} == {"peer0"}
        paused = await queue.pause(added.id)
        assert (paused.state, paused.why, paused.verified) == ("paused", "Paused by you.", 2 * PIECE)
        assert queue.active == 0
        assert (await queue.pause(added.id)).state == "paused"
        held.gate.set()
        held.ranges.clear()
        await queue.resume(added.id)
        done = await until_state(queue, added.id, "finished")
        assert Path(done.path).read_bytes() == content.data
    assert held.ranges
    assert all(asked and int(asked[6:].split("-")[0]) >= 2 * PIECE for asked in held.ranges)


async def test_a_pause_at_any_moment_leaves_room_for_others(world: World) -> None:
    """Before its first step, while it looks for sources, while it fetches: and none is left running."""
    world.at_once = 1
    (content,) = contents(1)
    held = Held(content)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        for turns in range(12):
            await queue.resume(added.id)
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.gather(queue.pause(added.id), queue.pause(added.id))
            assert queue.active == 0
            assert queue.get(added.id).state == "paused"
        held.gate.set()
        await queue.resume(added.id)
        await until_state(queue, added.id, "finished")


async def test_a_resume_while_the_pause_still_stops_it_is_not_lost(world: World) -> None:
    (content,) = contents(1)
    held = Held(content)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until(lambda: held.active)
        held.gate.set()
        await asyncio.gather(queue.pause(added.id), queue.resume(added.id))
        await until_state(queue, added.id, "finished")


async def test_one_that_is_cancelled_leaves_nothing(world: World) -> None:
    (content,) = contents(1, 2 * PIECE)
    held = Held(content, after=PIECE)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until(lambda: queue.get(added.id).verified)
        await asyncio.gather(queue.cancel(added.id), queue.cancel(added.id))
        assert queue.all() == []
        assert os.listdir(world.folder / "got") == []
        with pytest.raises(Refusal) as refused:
            queue.get(added.id)
        assert refused.value.code == "download_not_found"
    async with world.opened() as queue:
        assert queue.all() == []


async def test_one_that_is_finished_is_forgotten_and_its_file_kept(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content, honest(content))
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until_state(queue, added.id, "finished")
        for act in (queue.pause, queue.resume):
            with pytest.raises(Refusal) as refused:
                await act(added.id)
            assert refused.value.code == "download_ended"
        await queue.cancel(added.id)
    assert (world.folder / "got" / content.name).read_bytes() == content.data


async def test_after_a_stop_it_goes_on_from_its_proven_pieces(world: World) -> None:
    (content,) = contents(1, 5 * PIECE)
    held = Held(content, after=3 * PIECE)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until(lambda: queue.get(added.id).verified == 3 * PIECE)
    held.gate.set()
    held.ranges.clear()
    async with world.opened() as queue:
        done = await until_state(queue, added.id, "finished")
        assert Path(done.path).read_bytes() == content.data
    assert all(asked and int(asked[6:].split("-")[0]) >= 3 * PIECE for asked in held.ranges)


async def test_one_that_was_paused_stays_so_over_a_stop(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content, honest(content))
    async with world.opened() as queue:
        (added,) = await queue.add([DownloadRequest(request.file_id, paused=True)])
        assert added.state == "paused"
    async with world.opened() as queue:
        assert queue.get(added.id).state == "paused"
        assert queue.active == 0


async def test_the_same_is_added_once_however_it_is_asked_for(world: World) -> None:
    (content,) = contents(1)
    held = Held(content)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        first, second = await queue.add([request, request])
        both = await asyncio.gather(queue.add([request]), queue.add([request]))
        assert {first.id, second.id, *(each.id for (each,) in both)} == {first.id}
        other, *_ = await queue.add([DownloadRequest(content.id, "other.bin")])
        assert other.id != first.id
        assert len(queue.all()) == 2


async def test_one_that_is_there_already_is_done_at_once(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content)
    (world.folder / "got").mkdir()
    (world.folder / "got" / content.name).write_bytes(content.data)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        done = await until_state(queue, added.id, "finished")
        assert done.code == "already_there"


async def test_without_sources_it_stalls_with_a_reason_and_is_tried_again_for_longer_each_time(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        pause = FIRST_PAUSE
        for tries in range(1, 10):
            await world.tried(queue, tries)
            stalled = queue.get(added.id)
            assert (stalled.state, stalled.code) == ("stalled", "no_source_online")
            assert "Try again when one is online" in stalled.why
            world.clock.advance(pause - 0.01)
            await queue.edit(added.id, DownloadEdit())
            assert queue.active == 0
            if tries == 9:
                await world.offer(content, honest(content))
            world.clock.advance(0.02)
            await queue.edit(added.id, DownloadEdit())
            pause = min(2 * pause, LONGEST_PAUSE)
        await until_state(queue, added.id, "finished")


async def test_resuming_a_stalled_one_tries_at_once(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until_state(queue, added.id, "stalled")
        await world.offer(content, honest(content))
        await queue.resume(added.id)
        await until_state(queue, added.id, "finished")


async def test_a_lie_has_failed_for_good_until_it_is_resumed(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content, whole_only(flipped(content.data)))
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        failed = await until_state(queue, added.id, "failed")
        assert failed.code == "proof_failed"
        await world.offer(content, honest(content))
        await queue.resume(added.id)
        await until_state(queue, added.id, "finished")


async def test_while_the_super_peer_is_away_the_sources_of_before_are_asked(world: World) -> None:
    (content,) = contents(1, 2 * PIECE)
    held = Held(content, after=PIECE)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until(lambda: queue.get(added.id).verified)
    world.network.is_away = True
    held.gate.set()
    async with world.opened() as queue:
        await until_state(queue, added.id, "finished")


async def test_with_neither_super_peer_nor_sources_it_says_so(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content)
    async with world.opened() as queue:
        world.network.is_away = True
        with pytest.raises(Refusal):
            await queue.add([request])
        (added,) = await queue.add([DownloadRequest(content.id, content.name, size=len(content.data))])
        stalled = await until_state(queue, added.id, "stalled")
        assert stalled.why.startswith("The super-peer does not answer")


async def test_what_cannot_be_added_adds_nothing_of_the_list(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content, honest(content))
    async with world.opened() as queue:
        for bad, code in [
            (DownloadRequest("cd" * 32), "file_not_found"),
            (DownloadRequest("cd" * 32, "x", "relative", 1), "invalid_path"),
            (DownloadRequest("cd" * 32, "x", size=1 << 52), "disk_full"),
        ]:
            with pytest.raises(Refusal) as refused:
                await queue.add([request, bad])
            assert refused.value.code == code
        assert queue.all() == []


async def test_a_folder_that_cannot_be_is_a_failure_in_words(world: World) -> None:
    (content,) = contents(1)
    request = await world.offer(content, honest(content))
    (world.folder / "file").touch()
    async with world.opened() as queue:
        (added,) = await queue.add([DownloadRequest(request.file_id, folder=str(world.folder / "file/below"))])
        failed = await until_state(queue, added.id, "failed")
        assert failed.code == "invalid_path"
        assert "another folder" in failed.why


async def test_a_disk_that_fills_up_stalls_it_and_freed_it_goes_on(world: World, small_disk: Path) -> None:
    (content,) = contents(1, 5 * PIECE)
    held = Held(content, after=2 * PIECE)
    request = await world.offer(content, held.handler)
    async with world.opened() as queue:
        (added,) = await queue.add([DownloadRequest(request.file_id, folder=str(small_disk))])
        await until(lambda: queue.get(added.id).verified == 2 * PIECE)
        (small_disk / "other").write_bytes(bytes(5 * PIECE))
        held.gate.set()
        stalled = await until_state(queue, added.id, "stalled")
        assert stalled.code == "disk_full"
        (small_disk / "other").unlink()
        held.ranges.clear()
        await queue.resume(added.id)
        done = await until_state(queue, added.id, "finished")
        assert Path(done.path).read_bytes() == content.data
    assert all(asked and int(asked[6:].split("-")[0]) >= 2 * PIECE for asked in held.ranges)


async def test_a_report_that_hangs_holds_up_neither_the_owner_nor_the_stop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.downloads.queue.FAREWELL", 0.01)
    (content,) = contents(1)
    held = Held(content)
    request = await world.offer(content, held.handler)

    async def hangs(record: Record, transfer: Transfer | None) -> None:
        await asyncio.Event().wait()

    world.watcher.ended = hangs  # type: ignore[method-assign]
    async with world.opened() as queue:
        (added,) = await queue.add([request])
        await until(lambda: held.active)
        async with asyncio.timeout(10):
            assert (await queue.pause(added.id)).state == "paused"
