import asyncio
import base64
import hashlib
import os
import random
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from common.content.names import safe_name
from common.http.serve import Running
from common.serving.file_reply import (
    BLOCK,
    COPIED,
    FileChanged,
    Pace,
    Served,
    Version,
    content_disposition,
    held_back,
    send_file,
)
from tests.support.daemon import TinyDaemon, at, running, tiny_daemon
from tests.support.waiting import until
from tests.support.wire import Wire, alive, asked, connected, request_bytes

TARGET = "/api/v1/download"
MiB = 1024 * 1024
LONG_AGO = 1_600_000_000_000_000_000  # ns; a file that was written this moment could change within its time stamp
ETAG = "0123abcd"


@dataclass
class Shelf:
    """One file on `TARGET`, and what its handler saw."""

    path: Path
    name: str = "file.bin"
    digest: bytes | None = None
    deadline: float = 30.0
    extra: dict[str, str] = field(default_factory=dict)
    opened: Callable[[], object] = lambda: None
    sent_first: Callable[[], object] = lambda: None
    pace: Pace | None = None
    sent: list[int] = field(default_factory=list)
    ended: list[BaseException | None] = field(default_factory=list)

    def write(self, data: bytes) -> bytes:
        self.path.write_bytes(data)
        os.utime(self.path, ns=(LONG_AGO, LONG_AGO))
        return data

    async def serve(self, request: web.Request) -> web.StreamResponse:
        fd = os.open(self.path, os.O_RDONLY)
        error: BaseException | None = None
        try:
            version = Version.of(fd)
            served = Served(fd, version, self.name, ETAG, 784111777.5, self.digest, headers=self.extra)
            self.opened()
            return await send_file(request, served, self._sent, self.deadline, self.pace)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.ended.append(error)
            os.fstat(fd)  # it is still open: closing it is for whoever opened it
            os.close(fd)

    def _sent(self, count: int) -> None:
        self.sent.append(count)
        if len(self.sent) == 1:
            self.sent_first()

    def daemon(self) -> TinyDaemon:
        return tiny_daemon(at(TARGET, self.serve))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """Its file is large: it does not stay behind."""
    shelf = Shelf(tmp_path / "file")
    yield shelf
    shelf.path.unlink(missing_ok=True)


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


SIZES = {
    "nothing": 0,
    "one byte": 1,
    "a byte less than is copied at once": COPIED - 1,
    "what is copied at once": COPIED,
    "a byte more than is copied at once": COPIED + 1,
    "a byte less than two copied blocks": 2 * COPIED - 1,
    "two copied blocks": 2 * COPIED,
    "a byte more than two copied blocks": 2 * COPIED + 1,
    "an odd size": 1_234_567,
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
async def test_a_file_arrives_as_it_is(shelf: Shelf, size: int) -> None:
    data = shelf.write(content(size))
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET)
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(size)
        assert answer.body == data
        assert sum(shelf.sent) == size
        head = await asked(daemon.port, TARGET, "HEAD")
        assert (head.status, head.headers["Content-Length"]) == (200, str(size))
        assert sum(shelf.sent) == size
    assert shelf.ended == [None, None]


@pytest.mark.parametrize("offset", [-1, 0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
async def test_a_file_as_large_as_what_is_held_back_arrives_as_it_is(shelf: Shelf, offset: int) -> None:
    data = shelf.write(content(held_back() + offset))
    async with running(shelf.daemon()) as daemon:
        assert hashlib.sha256((await asked(daemon.port, TARGET)).body).digest() == hashlib.sha256(data).digest()
    assert shelf.ended == [None]


async def test_a_large_file_and_its_parts_arrive_as_they_are(shelf: Shelf) -> None:
    data = shelf.write(content(held_back() + 24 * MiB + 12345))
    chance = random.Random(7)
    async with running(shelf.daemon()) as daemon, connected(daemon.port) as wire:
        wire.request(TARGET)
        whole = await wire.answer()
        assert hashlib.sha256(whole.body).digest() == hashlib.sha256(data).digest()
        for _ in range(30):
            start = chance.randrange(len(data))
            stop = min(start + chance.choice([1, 1000, COPIED, COPIED + 1, MiB, 5 * MiB]), len(data))
            wire.request(TARGET, Range=f"bytes={start}-{stop - 1}")
            part = await wire.answer()
            assert part.status == 206
            assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(data)}"
            assert part.body == data[start:stop], (start, stop)
    assert shelf.ended == [None] * 31
    assert sum(shelf.sent) >= len(data)


@dataclass
class Handed:
    """What went through `sendfile(2)`, and what was asked of the loop."""

    by_kernel: int = 0
    blocks: list[tuple[int, int]] = field(default_factory=list)


@pytest.fixture
async def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    seen = Handed()
    system_call, loop = os.sendfile, asyncio.get_running_loop()
    loops_own = loop.sendfile

    def counting(out: int, source: int, offset: int, count: int) -> int:
        sent = system_call(out, source, offset, count)
        seen.by_kernel += sent
        return sent

    async def noting(transport: Any, file: Any, offset: int = 0, count: int | None = None, **rest: Any) -> int:
        assert count is not None
        seen.blocks.append((offset, count))
        return await loops_own(transport, file, offset, count, **rest)

    monkeypatch.setattr(os, "sendfile", counting)
    monkeypatch.setattr(loop, "sendfile", noting)
    return seen


async def test_the_kernel_sends_all_but_what_is_held_back(shelf: Shelf, handed: Handed) -> None:
    data = shelf.write(content(held_back() + 40 * MiB))
    async with running(shelf.daemon()) as daemon:
        assert len((await asked(daemon.port, TARGET)).body) == len(data)
        assert handed.by_kernel == 40 * MiB
        handed.by_kernel = 0
        await asked(daemon.port, TARGET, Range=f"bytes={10 * MiB}-")
        assert handed.by_kernel == 30 * MiB


async def test_the_file_is_looked_at_again_before_each_four_mebibytes(shelf: Shelf, handed: Handed) -> None:
    shelf.write(bytes(held_back() + 9 * MiB))
    async with running(shelf.daemon()) as daemon:
        await asked(daemon.port, TARGET)
    assert 4 * MiB == BLOCK
    assert handed.blocks == [(0, BLOCK), (BLOCK, BLOCK), (2 * BLOCK, MiB)]


def test_more_is_held_back_than_both_sides_may_keep() -> None:
    for name in ("tcp_rmem", "tcp_wmem"):
        setting = Path("/proc/sys/net/ipv4") / name
        if setting.exists():
            assert held_back() > int(setting.read_text().split()[2])
    assert held_back() > 2 * COPIED


RANGES = {
    "the first byte": ("bytes=0-0", 0, 1),
    "the last byte": ("bytes=-1", 999, 1000),
    "from the middle": ("bytes=500-", 500, 1000),
    "beyond the end": ("bytes=900-5000", 900, 1000),
    "more than all from the end": ("bytes=-5000", 0, 1000),
    "all": ("bytes=0-999", 0, 1000),
}


@pytest.mark.parametrize(("header", "start", "stop"), RANGES.values(), ids=RANGES.keys())
async def test_a_part(shelf: Shelf, header: str, start: int, stop: int) -> None:
    data = shelf.write(content(1000))
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET, Range=header)
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000"
    assert answer.body == data[start:stop]


@pytest.mark.parametrize(
    "header", ["lines=1-2", "bytes", "bytes=x-y", "bytes=5-1", "bytes=0-1,5-6", "bytes 0-1", "=0-1"]
)
async def test_what_is_no_single_range_is_ignored(shelf: Shelf, header: str) -> None:
    data = shelf.write(content(1000))
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET, Range=header)
    assert (answer.status, answer.body) == (200, data)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("header", ["bytes=-0", "bytes=1000-", "bytes=5000-6000", "bytes=" + ",".join(["0-"] * 1300)])
async def test_a_range_outside_is_refused(shelf: Shelf, header: str) -> None:
    shelf.write(content(1000))
    async with running(shelf.daemon()) as daemon, connected(daemon.port) as wire:
        wire.request(TARGET, Range=header)
        answer = await wire.answer()
        assert answer.problem() == (416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == "bytes */1000"
        wire.request(TARGET)
        assert (await wire.answer()).status == 200


@pytest.mark.parametrize("header", ["bytes=0-0", "bytes=0-", "bytes=-0"])
async def test_of_an_empty_file_no_range_can_be_met(shelf: Shelf, header: str) -> None:
    shelf.write(b"")
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET, Range=header)
        assert answer.problem() == (416, "range_not_satisfiable")
        assert (await asked(daemon.port, TARGET, Range="bytes=-5")).status == 200


@pytest.mark.parametrize("header", ["bytes=0-0", "bytes=5000-", "bytes=-0"])
async def test_head_has_no_ranges(shelf: Shelf, header: str) -> None:
    shelf.write(content(1000))
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET, "HEAD", Range=header)
    assert (answer.status, answer.headers["Content-Length"]) == (200, "1000")


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (f'"{ETAG}"', 206),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 206),
        (f'W/"{ETAG}"', 200),
        (ETAG, 200),
        ('"another"', 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("nonsense", 200),
    ],
)
async def test_if_range_asks_for_a_part_of_this_version_only(shelf: Shelf, if_range: str, status: int) -> None:
    data = shelf.write(content(1000))
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET, Range="bytes=0-9", If_Range=if_range)
        assert (answer.status, answer.body) == (status, data[:10] if status == 206 else data)
        # A range outside matters only in the version for which it was meant.
        outside = await asked(daemon.port, TARGET, Range="bytes=5000-", If_Range=if_range)
        assert outside.status == (416 if status == 206 else 200)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("header", [f'"{ETAG}"', f'W/"{ETAG}"', "*", f'"x", "{ETAG}"'])
async def test_what_the_reader_has_is_not_sent_again(shelf: Shelf, method: str, header: str) -> None:
    shelf.write(content(1000))
    async with running(shelf.daemon()) as daemon, connected(daemon.port) as wire:
        wire.request(TARGET, method, If_None_Match=header, Range="bytes=0-9")
        answer = await wire.answer(method)
        assert (answer.status, answer.headers["ETag"]) == (304, f'"{ETAG}"')
        wire.request(TARGET, If_None_Match='"another"')
        assert (await wire.answer()).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_headers_of_a_file(shelf: Shelf, method: str) -> None:
    data = shelf.write(content(1000))
    shelf.digest = hashlib.sha256(data).digest()
    shelf.extra = {"X-More": "more"}
    async with running(shelf.daemon()) as daemon:
        headers = (await asked(daemon.port, TARGET, method)).headers
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"] == f'"{ETAG}"'
    assert headers["Last-Modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(shelf.digest).decode()}:"
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == "attachment; filename=\"file.bin\"; filename*=UTF-8''file.bin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["X-More"] == "more"
    assert headers["X-Request-ID"]
    assert headers["Server"] == "Shoal"
    assert "Transfer-Encoding" not in headers


async def test_a_reader_that_means_another_file_gets_nothing_of_this_one(shelf: Shelf) -> None:
    data = shelf.write(b"data")
    async with running(shelf.daemon()) as daemon:
        refused = await asked(daemon.port, TARGET, If_Match='"another"', Range="bytes=0-1")
        assert refused.problem() == (412, "precondition_failed")
        meant = await asked(daemon.port, TARGET, If_Match=f'"{ETAG}"')
    assert (meant.status, meant.body) == (200, data)


async def test_without_a_digest_none_is_told(shelf: Shelf) -> None:
    shelf.write(b"x")
    async with running(shelf.daemon()) as daemon:
        assert "Repr-Digest" not in (await asked(daemon.port, TARGET)).headers


HOSTILE = [
    'a"b',
    "a\\b",
    "a\r\nSet-Cookie: a=b",
    "a\nb",
    "a\0b",
    "a\x1b[31mb",
    'a"; filename="evil.html',
    "a; filename*=UTF-8''evil.html",
    "%2e%2e%2f",
    "../../etc/passwd",
    "Übergröße.txt",
    "файл",
    "文件.tar.gz",
    "evil\u202efdp.exe",
    "😀" * 60,
    "a" * 255,
    " leading and trailing ",
    "",
    "not-utf8-\udcff\udc80.txt",
]
DISPOSITION = re.compile(r"attachment; filename=\"([ !#-\[\]-~]*)\"; filename\*=UTF-8''([A-Za-z0-9%._~-]*)")


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_name_breaks_out_of_its_header(shelf: Shelf, name: str) -> None:
    data = shelf.write(b"data")
    shelf.name = name
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET)
    assert (answer.status, answer.body) == (200, data)
    assert "Set-Cookie" not in answer.headers
    assert DISPOSITION.fullmatch(answer.headers["Content-Disposition"])


@given(st.text(max_size=60))
def test_a_name_comes_back_as_a_safe_one(name: str) -> None:
    match = DISPOSITION.fullmatch(content_disposition(name))
    assert match
    assert unquote(match[2], errors="strict") == safe_name(name)
    assert len(match[1]) == len(safe_name(name))


def test_a_name_that_reads_backwards_is_not_offered_so() -> None:
    assert unquote(content_disposition("cod.\u202egpj.exe")).endswith("''cod.gpj.exe")


async def test_a_small_file_that_changed_before_it_was_read_is_refused_cleanly(shelf: Shelf) -> None:
    shelf.write(content(1000))
    shelf.opened = lambda: shelf.path.write_bytes(b"x" * 1000)
    async with running(shelf.daemon()) as daemon:
        assert (await asked(daemon.port, TARGET)).problem() == (409, "file_changed")


@pytest.mark.parametrize("before", [1000, 2 * MiB])
@pytest.mark.parametrize("change", [-1000, -1, 1])
async def test_a_file_of_another_size_is_refused_cleanly(shelf: Shelf, before: int, change: int) -> None:
    shelf.write(content(before))
    shelf.opened = lambda: os.truncate(shelf.path, before + change)
    async with running(shelf.daemon()) as daemon:
        assert (await asked(daemon.port, TARGET)).problem() == (409, "file_changed")
        assert await alive(daemon.port)


@pytest.mark.parametrize("size", [0, 1, COPIED, 2 * MiB - 1, 3 * MiB])
async def test_a_file_that_changes_its_size_on_its_way_is_cut_off(shelf: Shelf, size: int) -> None:
    shelf.write(content(2 * MiB))
    shelf.sent_first = lambda: os.truncate(shelf.path, size)
    async with running(shelf.daemon()) as daemon, connected(daemon.port) as wire:
        wire.request(TARGET)
        assert int((await wire.head())[1]["Content-Length"]) == 2 * MiB
        assert len(await wire.rest()) < 2 * MiB
        assert isinstance(shelf.ended[0], FileChanged)
        assert await alive(daemon.port)


async def test_a_change_that_comes_with_the_last_read_is_seen(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    size, system_call = 3 * COPIED, os.pread
    shelf.write(b"\x01" * size)

    def reading(fd: int, count: int, offset: int) -> bytes:
        if offset + count == size:
            write_version(shelf.path, 2, size, offset)
        return system_call(fd, count, offset)

    monkeypatch.setattr(os, "pread", reading)
    async with running(shelf.daemon()) as daemon, connected(daemon.port) as wire:
        wire.request(TARGET)
        await wire.head()
        assert await wire.rest() == b"\x01" * 2 * COPIED
    assert isinstance(shelf.ended[0], FileChanged)


async def test_a_change_is_seen_long_before_the_end(shelf: Shelf) -> None:
    size = 2 * held_back() + 16 * MiB
    shelf.write(bytes(size))
    shelf.sent_first = lambda: write_version(shelf.path, 2, 1)
    async with running(shelf.daemon()) as daemon, connected(daemon.port) as wire:
        wire.request(TARGET)
        await wire.head()
        assert len(await wire.rest()) == BLOCK
    assert isinstance(shelf.ended[0], FileChanged)


class Reader:
    """A blocking reader in a thread, so that it takes what comes as quickly as the kernel gives it."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(30)
        self._socket.sendall(request_bytes(TARGET))
        head, self._early = b"", b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(65536)
        head, self._early = head.split(b"\r\n\r\n", 1)
        self.length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
        self.counts = [0] * 256
        self.got = 0
        self._buffer = bytearray(256 * 1024)
        self._count(memoryview(self._early))

    def read(self, upto: int) -> None:
        """Reads until `upto` bytes came in all, or no more do."""
        while self.got < min(upto, self.length):
            try:
                count = self._socket.recv_into(self._buffer, min(len(self._buffer), upto - self.got))
            except ConnectionError:
                return
            if not count:
                return
            self._count(memoryview(self._buffer)[:count])

    def _count(self, part: memoryview) -> None:
        raw = bytes(part)
        self.got += len(raw)
        for value in set(raw[:: max(len(raw) // 64, 1)]) | {1, 2}:
            self.counts[value] += raw.count(value)

    def versions(self) -> list[int]:
        """The versions of which bytes came; all of them were seen."""
        assert sum(self.counts) == self.got
        return [value for value, count in enumerate(self.counts) if count]

    def close(self) -> None:
        self._socket.close()


def write_version(path: Path, version: int, size: int, start: int = 0) -> None:
    """In place, from `start` on."""
    with path.open("r+b") as file:
        file.seek(start)
        while (left := size - file.tell()) > 0:
            file.write(bytes([version]) * min(left, MiB))


def replace(path: Path, version: int, size: int) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(bytes([version]) * size)
    other.rename(path)


CHANGES: dict[str, Callable[[Path, int, random.Random], object]] = {
    "rewritten": lambda path, size, chance: write_version(path, 2, size),
    "rewritten from somewhere": lambda path, size, chance: write_version(path, 2, size, chance.randrange(size)),
    "one byte": lambda path, size, chance: write_version(path, 2, (at_ := chance.randrange(size)) + 1, at_),
    "replaced": lambda path, size, chance: replace(path, 2, size),
    "shorter": lambda path, size, chance: os.truncate(path, chance.randrange(size)),
    "longer": lambda path, size, chance: os.truncate(path, size + 1 + chance.randrange(size)),
    "emptied and written again": lambda path, size, chance: path.write_bytes(b"\x02" * size),
}


async def one_reading(
    shelf: Shelf, daemon: Running, size: int, change: str, chance: random.Random, receive_buffer: int | None
) -> Reader:
    """A reader that stops somewhere while the file changes, or does not stop, and then reads all it gets."""
    if shelf.path.exists():
        shelf.path.unlink()
    shelf.write(b"\x01" * size)
    stops = chance.random() < 0.7
    # Most of the way is alike; what is special lies at both ends.
    pause = chance.choice([0, chance.randrange(size), size - chance.randrange(min(size, 12 * MiB)), size - 1])

    def read_and_change() -> Reader:
        reader = Reader(daemon.port, receive_buffer)
        try:
            if stops:
                reader.read(pause)
            CHANGES[change](shelf.path, size, chance)
            reader.read(size)
        finally:
            reader.close()
        return reader

    return await asyncio.to_thread(read_and_change)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [COPIED + 1, MiB + 1, 6 * MiB])
async def test_a_whole_answer_is_of_one_version(shelf: Shelf, change: str, size: int) -> None:
    chance = random.Random(f"{change} {size}")
    whole = 0
    async with running(shelf.daemon()) as daemon:
        for _ in range(12):
            reader = await one_reading(shelf, daemon, size, change, chance, chance.choice([None, 4096, 8 * MiB]))
            if reader.got == reader.length:
                whole += 1
                assert reader.versions() == [1], (change, size)
            else:
                assert change != "replaced"
    assert whole == 12 or change != "replaced"


@pytest.mark.parametrize("change", CHANGES)
async def test_a_whole_answer_is_of_one_version_when_the_kernel_sends_it(shelf: Shelf, change: str) -> None:
    chance = random.Random(change)
    size = held_back() + 12 * MiB
    async with running(shelf.daemon()) as daemon:
        for _ in range(4):
            reader = await one_reading(shelf, daemon, size, change, chance, chance.choice([None, 8 * MiB]))
            assert reader.got < reader.length or reader.versions() == [1], change


@pytest.mark.parametrize("receive_buffer", [None, 1 << 30], ids=["tuned by the kernel", "as large as may be"])
@pytest.mark.parametrize("left", [4 * MiB, 8 * MiB, 16 * MiB])
async def test_what_the_kernel_was_handed_is_read_before_the_answer_is_whole(
    shelf: Shelf, receive_buffer: int | None, left: int
) -> None:
    """A reader that was quick, and so has large buffers, stops; the file changes; then it takes what is on its way."""
    size = max(held_back() + 8 * MiB, 128 * MiB)
    shelf.write(b"\x01" * size)
    async with running(shelf.daemon()) as daemon:
        reader = await asyncio.to_thread(Reader, daemon.port, receive_buffer)
        try:
            await asyncio.to_thread(reader.read, size - left)
            await settled(lambda: sum(shelf.sent))
            await asyncio.to_thread(write_version, shelf.path, 2, size)
            await asyncio.to_thread(reader.read, size)
        finally:
            reader.close()
        assert reader.got < size or reader.versions() == [1]


async def settled(measure: Callable[[], int]) -> None:
    """Waits until a number has stopped growing."""
    last = [measure()] * 30

    def stable() -> bool:
        last.pop(0)
        last.append(measure())
        return last[0] == last[-1]

    for _ in range(30):
        await asyncio.sleep(0.001)
        stable()
    await until(stable)


async def test_a_file_that_was_replaced_arrives_as_it_was(shelf: Shelf) -> None:
    data = shelf.write(content(3 * MiB))
    shelf.opened = lambda: replace(shelf.path, 2, 3 * MiB)
    async with running(shelf.daemon()) as daemon:
        assert (await asked(daemon.port, TARGET)).body == data


async def test_a_file_that_was_deleted_arrives_as_it_was(shelf: Shelf) -> None:
    data = shelf.write(content(3 * MiB))
    shelf.opened = shelf.path.unlink
    async with running(shelf.daemon()) as daemon:
        assert (await asked(daemon.port, TARGET)).body == data


def open_connections(daemon: Running) -> int:
    server: Any = daemon._runner.server
    return int(server.open)


async def warmed_up(wire: Wire, daemon: Running) -> None:
    """Serves the connection once, and makes what the daemon's side keeps for it small."""
    wire.request()
    assert (await wire.answer()).status == 200
    shrink_buffers(daemon)


def shrink_buffers(daemon: Running) -> None:
    server: Any = daemon._runner.server
    for connection in server.connections:
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.parametrize(
    "size",
    [100_000, COPIED, COPIED + 1, 2 * COPIED, 2 * MiB, held_back() + 32 * MiB],
    ids=["small", "one block", "two blocks", "two full blocks", "copied", "by reference"],
)
@pytest.mark.parametrize("taken", [0, 50_000])
async def test_a_reader_that_stalls_is_cut_off(shelf: Shelf, size: int, taken: int) -> None:
    shelf.write(bytes(size))
    shelf.deadline = 0.05
    async with running(shelf.daemon()) as daemon:
        async with connected(daemon.port, receive_buffer=4096) as wire:
            await warmed_up(wire, daemon)
            wire.request(TARGET)
            await wire.head()
            await wire.reader.readexactly(taken)
            wire.stop_reading()
            await until(lambda: shelf.ended)
            await until(lambda: not open_connections(daemon))
            assert isinstance(shelf.ended[0], ConnectionResetError)
            wire.read_on()
            assert len(await wire.rest()) < size - taken
        assert await alive(daemon.port)


async def test_where_the_kernel_tells_nothing_a_stalled_reader_is_cut_off_too(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.serving.progress.TCP_INFO", None)
    data = shelf.write(content(2 * MiB))
    shelf.deadline = 0.5
    async with running(shelf.daemon()) as daemon:
        assert (await asked(daemon.port, TARGET)).body == data
        async with connected(daemon.port, receive_buffer=4096) as slow:
            await warmed_up(slow, daemon)
            slow.request(TARGET)
            await slow.head()
            # A block within each deadline is enough to go on.
            for _ in range(5):
                await slow.reader.readexactly(COPIED)
                await asyncio.sleep(shelf.deadline / 4)
            assert len(shelf.ended) == 1
            slow.stop_reading()
            await until(lambda: not open_connections(daemon))
            assert isinstance(shelf.ended[1], ConnectionResetError)


@pytest.mark.parametrize("size", [6 * MiB, held_back() + 6 * MiB], ids=["copied", "by reference"])
async def test_a_slow_reader_is_not_cut_off(shelf: Shelf, size: int) -> None:
    """It takes a little within every deadline, and far less than a block."""
    shelf.write(bytes(size))
    shelf.deadline = 1.0
    async with running(shelf.daemon()) as daemon, connected(daemon.port, receive_buffer=4096) as wire:
        await warmed_up(wire, daemon)
        wire.request(TARGET)
        await wire.head()
        for _ in range(8):
            await wire.reader.readexactly(32 * 1024)
            await asyncio.sleep(shelf.deadline / 5)
        assert not shelf.ended


async def test_a_reader_that_leaves_ends_the_answer(shelf: Shelf) -> None:
    shelf.write(bytes(held_back() + 32 * MiB))
    async with running(shelf.daemon()) as daemon:
        async with connected(daemon.port) as wire:
            wire.request(TARGET)
            await wire.head()
        await until(lambda: shelf.ended)
        assert shelf.ended[0] is not None
        await until(lambda: not open_connections(daemon))
        assert await alive(daemon.port)


async def test_two_readers_of_one_file_do_not_disturb_each_other(shelf: Shelf) -> None:
    data = shelf.write(content(8 * MiB))
    async with running(shelf.daemon()) as daemon:
        answers = await asyncio.gather(*(asked(daemon.port, TARGET) for _ in range(5)))
    assert all(answer.body == data for answer in answers)


@pytest.mark.parametrize("size", [COPIED, held_back() + 3 * BLOCK + 12345], ids=["small", "large"])
async def test_no_more_leaves_in_a_turn_than_the_pace_allows(shelf: Shelf, size: int) -> None:
    data, turns, chance = shelf.write(content(size)), list[int](), random.Random(3)

    async def pace(wanted: int) -> int:
        assert sum(turns) == sum(shelf.sent)
        turns.append(min(wanted, chance.choice([1, 1000, COPIED - 1, 3 * COPIED, 2 * BLOCK])))
        return turns[-1]

    shelf.pace = pace
    async with running(shelf.daemon()) as daemon:
        answer = await asked(daemon.port, TARGET)
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
        part = await asked(daemon.port, TARGET, Range=f"bytes=7-{size - 9}")
        assert part.body == data[7 : size - 8]
        assert (await asked(daemon.port, TARGET, "HEAD")).status == 200
    assert turns == shelf.sent
    assert shelf.ended == [None] * 3


@pytest.mark.parametrize("size", [COPIED, 2 * COPIED], ids=["small", "large"])
async def test_a_pace_that_allows_no_more_cuts_the_answer(shelf: Shelf, size: int) -> None:
    shelf.write(content(size))

    async def pace(wanted: int) -> int:
        if sum(shelf.sent) >= 1000:
            raise ConnectionResetError("enough")
        return 1000

    shelf.pace = pace
    async with running(shelf.daemon()) as daemon, connected(daemon.port) as wire:
        wire.request(TARGET)
        assert (await wire.head())[0] == 200
        assert len(await wire.rest()) == 1000
        assert await alive(daemon.port)
    assert [type(error) for error in shelf.ended] == [ConnectionResetError]
