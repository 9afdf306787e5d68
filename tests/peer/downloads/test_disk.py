"""Writing behind what arrives: in order, whatever is cancelled or fails meanwhile."""

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from common.errors import NoSpace, Refusal
from common.ids import FileId
from peer.downloads.disk import BLOCK, Disk
from peer.downloads.part_file import PartFile, Wanted


class Gated(PartFile):
    """A part on a disk that takes nothing until it is let, and then fails as often as told."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.asked, self.gate, self.failures = threading.Event(), threading.Event(), 0

    def append(self, chunks: Sequence[bytes]) -> int:
        self.asked.set()
        assert self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise NoSpace("disk_full", "No room.")
        return super().append(chunks)


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Gated]:
    made = Gated(Wanted(FileId("ab" * 32), 8 * BLOCK, str(tmp_path), "file"))
    yield made
    made.gate.set()


def block(letter: bytes) -> bytes:
    return letter * BLOCK


def on_disk(part: PartFile) -> bytes:
    return Path(part.path).read_bytes()


async def test_a_cancelled_fetch_leaves_its_bytes_in_order(part: Gated) -> None:
    with Disk(part) as disk:
        await disk.put(block(b"a"))
        putting = asyncio.create_task(disk.put(block(b"b")))
        await asyncio.to_thread(part.asked.wait)
        await asyncio.sleep(0)
        putting.cancel()
        await asyncio.wait([putting])
        part.gate.set()
        await disk.settle()
        assert disk.received == part.received == 2 * BLOCK
        assert on_disk(part) == block(b"a") + block(b"b")


async def test_after_a_write_that_failed_none_follows(part: Gated) -> None:
    part.failures = 1
    part.gate.set()
    with Disk(part) as disk:
        await disk.put(block(b"a"))
        with pytest.raises(Refusal):
            await disk.put(block(b"b"))
        await disk.settle()
        assert part.received == 0
        assert on_disk(part) == b""


async def test_the_hash_follows_what_is_written_and_can_begin_anew(part: Gated) -> None:
    part.gate.set()
    with Disk(part) as disk:
        await disk.put(b"wrong")
        await disk.settle()
        assert await disk.is_hashed(10)
        await disk.start_over()
        assert (disk.received, on_disk(part)) == (0, b"")
        await disk.put(b"abc")
        await disk.settle()
        assert await disk.is_hashed(10)
        assert disk.proof.file_id() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


async def test_a_part_that_somebody_shortened_cannot_be_proven(part: Gated) -> None:
    part.gate.set()
    with Disk(part) as disk:
        await disk.put(b"abc")
        await disk.settle()
        assert await disk.is_hashed(10)
        await disk.put(b"def")
        await disk.settle()
        await disk.proof.restart()
        os.truncate(part.path, 0)
        disk.proof.advance(6)
        with pytest.raises(Refusal) as refused:
            await disk.is_hashed(10)
        assert refused.value.code == "invalid_path"
