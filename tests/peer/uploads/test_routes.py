"""`GET /api/v1/download/{id}` over real sockets: who gets a slot, who needs none, and what is counted."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.errors import Conflict, NotFound
from common.http.endpoint import Access
from common.runtime.clock import ManualClock
from common.serving.bandwidth import Bandwidth, Rates
from common.serving.file_reply import COPIED, Served, Version
from peer.uploads.holdings import Holdings
from peer.uploads.quota import Quota
from peer.uploads.routes import UploadRoutes
from peer.uploads.seeding import Gate
from peer.uploads.slots import Slots
from tests.support.daemon import running, tiny_daemon
from tests.support.waiting import until
from tests.support.wire import asked, connected

LARGE = os.urandom(1 << 20) * 24  # more than sockets take ahead of their reader
SMALL = os.urandom(COPIED)


@dataclass
class Shelf:
    """Two files by their ids, and who fetched what."""

    folder: Path
    counted: list[str] = field(default_factory=list)

    async def open_for_serving(self, file_id: str) -> Served:
        path = self.folder / file_id
        if not path.exists():
            raise NotFound("file_not_found", "No.")
        if path.stat().st_size == 0:
            raise Conflict("file_changed", "It was emptied.")
        fd = os.open(path, os.O_RDONLY)
        return Served(fd, Version.of(fd), "name.bin", file_id, 0.0, None)

    async def count_download(self, file_id: str) -> None:
        self.counted.append(file_id)

    def put(self, data: bytes) -> str:
        file_id = hashlib.sha256(data).hexdigest()
        (self.folder / file_id).write_bytes(data)
        return f"/api/v1/download/{file_id}"


@dataclass
class Door:
    """A running daemon that serves the shelf."""

    shelf: Shelf
    slots: Slots
    bandwidth: Bandwidth
    quota: Quota
    clock: ManualClock
    port: int
    large: str
    small: str


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    clock = ManualClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0)

    shelf, slots, bandwidth, quota = Shelf(tmp_path), Slots(2, clock), Bandwidth(lambda _: False), Quota(0)
    large, small = shelf.put(LARGE), shelf.put(SMALL)
    async with running(
        tiny_daemon(
            *UploadRoutes(
                shelf,
                slots,
                bandwidth,
                quota,
                clock,
                Holdings(),
                Gate(lambda: False),
                lambda request: "X-Relayed" in request.headers,
                sleep=sleep,
            ).endpoints(),
            guards={Access.OWNER: lambda request: None},
        )
    ) as served:
        yield Door(shelf, slots, bandwidth, quota, clock, served.port, large, small)
    assert slots.active == 0


async def test_who_is_served_holds_a_slot_and_the_next_is_sent_away_for_now(door: Door) -> None:
    async with connected(door.port) as slow:
        slow.request(door.large)
        await until(lambda: door.slots.active == 1)
        refused = await asked(door.port, door.large)
        assert refused.problem() == (503, "too_many_requests")
        assert refused.headers["Retry-After"] == "5"
        assert (refused.headers["X-Queue-Place"], refused.json()["place"]) == ("1", 1)
        assert (await asked(door.port, door.small)).body == SMALL
        assert (await asked(door.port, door.large, "HEAD")).status == 200
    await until(lambda: door.slots.active == 0)
    assert (await asked(door.port, door.large)).body == LARGE


async def test_whole_answers_are_counted_and_others_are_not(door: Door) -> None:
    assert (await asked(door.port, door.small)).status == 200
    assert (await asked(door.port, door.small, Range="bytes=0-9")).status == 206
    assert (await asked(door.port, door.small, "HEAD")).status == 200
    assert (await asked(door.port, door.small, If_None_Match="*")).status == 304
    await until(lambda: door.slots.finished == 1)
    assert door.shelf.counted == [door.small.rpartition("/")[2]]
    assert door.slots.bytes == len(SMALL) + 10


@pytest.mark.parametrize("wanted", ["0" * 64, "x", "0" * 63, "..%2f..%2fetc%2fpasswd"])
async def test_what_is_not_there_is_not_found_and_takes_no_slot(door: Door, wanted: str) -> None:
    assert (await asked(door.port, f"/api/v1/download/{wanted}")).problem() == (404, "file_not_found")
    assert (door.slots.active, door.slots.bytes) == (0, 0)


async def test_an_id_may_be_written_in_capitals(door: Door) -> None:
    folder, _, file_id = door.small.rpartition("/")
    assert (await asked(door.port, f"{folder}/{file_id.upper()}")).body == SMALL


async def test_a_file_that_changed_is_refused_before_it_begins(door: Door) -> None:
    (door.shelf.folder / door.large.rpartition("/")[2]).write_bytes(b"")
    assert (await asked(door.port, door.large)).problem() == (409, "file_changed")


async def test_no_descriptor_stays_open_however_it_ends(door: Door) -> None:
    before = len(os.listdir("/proc/self/fd"))
    await asked(door.port, door.small)
    await asked(door.port, door.small, Range="bytes=999999999-")
    async with connected(door.port) as slow:
        slow.request(door.large)
        await until(lambda: door.slots.active == 1)
    await until(lambda: door.slots.active == 0 and len(os.listdir("/proc/self/fd")) <= before)


RATE = 1_000_000


@pytest.mark.parametrize("rates", [Rates(RATE), Rates(per_peer=RATE), Rates(per_transfer=RATE)], ids=str)
async def test_a_limit_paces_a_whole_file_and_all_of_it_arrives(door: Door, rates: Rates) -> None:
    door.bandwidth.set(rates)
    began = door.clock.monotonic()
    assert (await asked(door.port, door.large)).body == LARGE
    assert len(LARGE) / (door.clock.monotonic() - began) == pytest.approx(RATE, rel=0.05)
    await until(lambda: not door.bandwidth._lines)


async def test_a_limit_holds_over_many_small_answers(door: Door) -> None:
    door.bandwidth.set(Rates(RATE))
    began, got = door.clock.monotonic(), 0
    async with connected(door.port) as wire:
        for number in range(100):
            target, start = (door.small, 0) if number % 2 else (door.large, number * 100_000)
            wire.request(target, Range=f"bytes={start}-{start + 49_999}")
            answer = await wire.answer()
            assert answer.body == (SMALL if number % 2 else LARGE)[start : start + 50_000]
            got += len(answer.body)
    assert got / (door.clock.monotonic() - began) == pytest.approx(RATE, rel=0.05)


async def test_several_at_once_share_a_limit_and_all_of_it_arrives(door: Door) -> None:
    door.bandwidth.set(Rates(10 * RATE))
    began = door.clock.monotonic()
    answers = await asyncio.gather(*(asked(door.port, door.small) for _ in range(8)))
    assert all(answer.body == SMALL for answer in answers)
    # Each waits on a clock that all of them move, so it has gone on by more than the bytes took.
    assert door.clock.monotonic() - began >= 0.95 * 8 * len(SMALL) / (10 * RATE) - 0.02


async def test_who_has_had_the_quota_of_the_day_is_sent_away_until_midnight(door: Door) -> None:
    door.quota.limit = len(SMALL)
    door.quota.is_exempt = lambda address: False
    assert (await asked(door.port, door.small)).body == SMALL
    await until(lambda: door.slots.finished == 1)
    refused = await asked(door.port, door.small)
    assert refused.problem() == (429, "quota_exceeded")
    assert 0 < int(refused.headers["Retry-After"]) <= 25 * 3600
    assert (await asked(door.port, door.small, "HEAD")).status == 200
    door.clock.advance(25 * 3600)
    assert (await asked(door.port, door.small)).body == SMALL


async def test_an_answer_is_cut_where_the_quota_ends(door: Door) -> None:
    door.quota.limit = len(SMALL)
    door.quota.is_exempt = lambda address: False
    async with connected(door.port) as wire:
        wire.request(door.large)
        status, _ = await wire.head()
        assert status == 200
        assert len(SMALL) <= len(await wire.rest()) < len(LARGE)
    await until(lambda: door.slots.active == 0)
    assert (await asked(door.port, door.large)).problem() == (429, "quota_exceeded")


async def test_all_who_come_through_the_relay_are_one_address(door: Door) -> None:
    async with connected(door.port) as slow, connected(door.port) as direct:
        slow.request(door.large, X_Relayed="word", X_Peer_ID="one")
        await until(lambda: door.slots.active == 1)
        assert (await asked(door.port, door.large, X_Relayed="word", X_Peer_ID="two")).status == 503
        direct.request(door.large)
        await until(lambda: door.slots.active == 2)
    await until(lambda: door.slots.active == 0)
