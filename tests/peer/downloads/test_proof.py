"""The hash of a file that grows, by the bytes that lie on the disk."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from peer.downloads.proof import READ, Proof, holds
from tests.support.sources import Content, flipped


class Reads:
    """Bytes in memory; `gate` holds every read back until it is set."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, buffer: memoryview, offset: int) -> int:
        self.gate.wait()
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)


DATA = os.urandom(3 * READ + 17)


async def test_it_is_the_hash_of_all_bytes_in_whatever_portions_they_come() -> None:
    with Proof(Reads(DATA)) as proof:
        for available in (0, 1, READ, READ + 1, len(DATA)):
            proof.advance(available)
        assert await proof.caught_up()
        assert proof.hashed == len(DATA)
        assert proof.file_id() == hashlib.sha256(DATA).hexdigest()


async def test_of_no_bytes_it_is_the_hash_of_nothing() -> None:
    with Proof(Reads(b"")) as proof:
        assert await proof.caught_up()
        assert proof.file_id() == hashlib.sha256(b"").hexdigest()


async def test_it_says_that_it_lags_behind() -> None:
    reads = Reads(DATA)
    reads.gate.clear()
    with Proof(reads) as proof:
        proof.advance(len(DATA))
        assert not await proof.caught_up(0.001)
        reads.gate.set()
        assert await proof.caught_up()


async def test_it_begins_anew_with_other_bytes() -> None:
    reads = Reads(flipped(DATA))
    with Proof(reads) as proof:
        proof.advance(len(DATA))
        await proof.restart()
        assert proof.hashed == 0
        reads.data = DATA
        proof.advance(len(DATA))
        await proof.caught_up()
        assert proof.file_id() == hashlib.sha256(DATA).hexdigest()


async def test_bytes_that_are_gone_are_an_error_and_no_endless_wait() -> None:
    with Proof(Reads(DATA[:100])) as proof:
        proof.advance(200)
        with pytest.raises(EOFError):
            await proof.caught_up()


async def test_a_file_that_is_there_is_recognised_by_its_content_alone(tmp_path: Path) -> None:
    content = Content(DATA)
    path = tmp_path / "x"
    assert not await holds(str(path), content.id, len(DATA))
    for data, there in [(DATA, True), (flipped(DATA), False), (DATA[:-1], False), (DATA + b"x", False)]:
        path.write_bytes(data)
        assert await holds(str(path), content.id, len(DATA)) is there
    path.unlink()
    os.mkfifo(path)
    assert not await holds(str(path), content.id, len(DATA))
