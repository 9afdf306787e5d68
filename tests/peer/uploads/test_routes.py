"""`GET /api/v1/download/{id}` over real sockets: who gets a slot, who needs none, and what is counted."""

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.errors import Conflict, NotFound
from common.runtime.clock import ManualClock
from common.serving.file_reply import COPIED, Served, Version
from peer.uploads.routes import UploadRoutes
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
    port: int
    large: str
    small: str


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    shelf, slots = Shelf(tmp_path), Slots(2, ManualClock())
    large, small = shelf.put(LARGE), shelf.put(SMALL)
    async with running(tiny_daemon(*UploadRoutes(shelf, slots).endpoints())) as served:
        yield Door(shelf, slots, served.port, large, small)
    assert slots.active == 0


async def test_who_is_served_holds_a_slot_and_the_next_is_sent_away_for_now(door: Door) -> None:
    async with connected(door.port) as slow:
        slow.request(door.large)
        await until(lambda: door.slots.active == 1)
        refused = await asked(door.port, door.large)
        assert refused.problem() == (503, "too_many_requests")
        assert refused.headers["Retry-After"] == "5"
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
