"""`GET /api/v1/torrent-pieces/{id}` over real sockets: right hashes, made once, never of a file that changed."""

import asyncio
import base64
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.content.torrent_pieces import SMALLEST
from common.errors import Conflict, NotFound, Unavailable
from common.serving.file_reply import Served, Version
from peer.uploads.torrent_pieces import MOST_KEPT, MOST_WAITING, TorrentPieceRoutes, hash_pieces
from tests.support.daemon import running, tiny_daemon
from tests.support.exports import sha1_pieces
from tests.support.waiting import until
from tests.support.wire import Answer, asked


@dataclass
class Shelf:
    """Files by their ids. While `gate` is shut, whoever opens one for the second time waits."""

    folder: Path
    opened: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_for_serving(self, file_id: str) -> Served:
        path = self.folder / file_id
        if not path.exists():
            raise NotFound("file_not_found", "No.")
        if file_id in self.opened:
            await self.gate.wait()
        self.opened.append(file_id)
        fd = os.open(path, os.O_RDONLY)
        return Served(fd, Version.of(fd), "name.bin", file_id, 0.0, None)

    def put(self, data: bytes) -> str:
        file_id = hashlib.sha256(data).hexdigest()
        (self.folder / file_id).write_bytes(data)
        return file_id


@dataclass
class Door:
    """A running daemon that tells hashes of the shelf's files."""

    shelf: Shelf
    routes: TorrentPieceRoutes
    port: int

    async def ask(self, file_id: str) -> Answer:
        return await asked(self.port, f"/api/v1/torrent-pieces/{file_id}")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    shelf = Shelf(tmp_path)
    shelf.gate.set()
    routes = TorrentPieceRoutes(shelf, patience=0.05)
    async with running(tiny_daemon(*routes.endpoints())) as daemon:
        yield Door(shelf, routes, daemon.port)
        shelf.gate.set()
        await routes.close()


async def made(door: Door, file_id: str) -> Answer:
    """The answer once the hashes are there."""
    answer = await door.ask(file_id)
    while answer.status == 503:
        assert answer.problem() == (503, "hashes_pending")
        assert int(answer.headers["Retry-After"]) > 0
        answer = await door.ask(file_id)
    return answer


@pytest.mark.parametrize("size", [0, 1, SMALLEST - 1, SMALLEST, SMALLEST + 1, 5 * SMALLEST + 7])
async def test_the_hashes_are_those_of_the_pieces(door: Door, size: int) -> None:
    content = os.urandom(size)
    file_id = door.shelf.put(content)
    told = (await made(door, file_id)).json()
    assert (told["id"], told["size"], told["piece_length"]) == (file_id, size, SMALLEST)
    assert base64.b64decode(told["pieces"]) == sha1_pieces(content, SMALLEST)


async def test_what_takes_long_is_made_meanwhile_and_once(door: Door) -> None:
    file_id = door.shelf.put(b"x" * SMALLEST)
    door.shelf.gate.clear()
    assert (await door.ask(file_id)).problem() == (503, "hashes_pending")
    door.shelf.gate.set()
    assert (await made(door, file_id)).status == 200
    count = len(door.shelf.opened)
    assert (await door.ask(file_id)).status == 200
    assert len(door.shelf.opened) == count + 1  # looked at, not read again


async def test_what_is_not_offered_has_no_hashes(door: Door) -> None:
    for wanted in ("0" * 64, "x", "%00"):
        assert (await door.ask(wanted)).problem() == (404, "file_not_found"), wanted
    file_id = door.shelf.put(b"here")
    assert (await made(door, file_id)).status == 200
    (door.shelf.folder / file_id).unlink()
    assert (await door.ask(file_id)).problem() == (404, "file_not_found")


async def test_only_so_many_wait_and_only_so_many_are_kept(door: Door) -> None:
    ids = [door.shelf.put(b"%d" % n) for n in range(MOST_KEPT + MOST_WAITING)]
    door.shelf.gate.clear()
    answers = await asyncio.gather(*(door.ask(file_id) for file_id in ids[: MOST_WAITING + 3]))
    assert {answer.problem() for answer in answers} == {(503, "hashes_pending")}
    assert len(door.routes._making) == MOST_WAITING
    door.shelf.gate.set()
    for file_id in ids:
        assert (await made(door, file_id)).status == 200
    assert len(door.routes._kept) == MOST_KEPT


async def test_a_stop_ends_what_is_being_made(door: Door) -> None:
    file_id = door.shelf.put(b"x" * SMALLEST)
    door.shelf.gate.clear()
    assert (await door.ask(file_id)).status == 503
    closing = asyncio.create_task(door.routes.close())
    await until(lambda: door.routes._stop.is_set())
    door.shelf.gate.set()
    await closing
    assert not door.routes._making and not door.routes._kept
    assert (await door.ask(file_id)).problem() == (503, "shutting_down")


def served(path: Path, size: int | None = None) -> Served:
    fd = os.open(path, os.O_RDONLY)
    version = Version.of(fd)
    return Served(fd, version if size is None else Version(size, version.mtime_ns, version.inode), "n", "id", 0.0, None)


@pytest.mark.parametrize("size", [2, 6])
def test_a_file_that_changed_has_no_hashes_and_is_closed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcd")
    opened = served(path, size)
    with pytest.raises(Conflict) as refused:
        hash_pieces(opened, threading.Event())
    assert refused.value.code == "file_changed"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened.fd)


def test_a_stop_ends_the_reading_of_a_file(tmp_path: Path) -> None:
    path, stop = tmp_path / "file", threading.Event()
    path.write_bytes(b"abcd")
    stop.set()
    with pytest.raises(Unavailable):
        hash_pieces(served(path), stop)
