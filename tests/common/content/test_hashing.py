"""Hashing files: right whatever their size, in one go or in steps, and honest about what was read."""

import hashlib
import os
import zlib
from pathlib import Path

import pytest

from common.content.hashing import BUFFER_SIZE, HEAD_SIZE, FileHash, hash_at_once, head_of

SIZES = [
    0,
    1,
    HEAD_SIZE - 1,
    HEAD_SIZE,
    HEAD_SIZE + 1,
    BUFFER_SIZE - 1,
    BUFFER_SIZE,
    BUFFER_SIZE + 1,
    3 * BUFFER_SIZE + 7,
]


@pytest.fixture
def buffer() -> memoryview:
    return memoryview(bytearray(BUFFER_SIZE))


def made(folder: Path, size: int) -> tuple[Path, bytes]:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    path = folder / "file"
    path.write_bytes(content)
    return path, content


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_hashed_at_once(tmp_path: Path, buffer: memoryview, size: int) -> None:
    path, content = made(tmp_path, size)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert hash_at_once(fd, size, buffer) == (
            hashlib.sha256(content).hexdigest(),
            zlib.crc32(content[:HEAD_SIZE]),
            size,
        )
        assert head_of(fd) == zlib.crc32(content[:HEAD_SIZE])
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("budget", [1, BUFFER_SIZE, 2 * BUFFER_SIZE])
def test_a_file_is_hashed_in_steps(tmp_path: Path, buffer: memoryview, size: int, budget: int) -> None:
    path, content = made(tmp_path, size)
    fd = os.open(path, os.O_RDONLY)
    try:
        file_hash = FileHash(fd)
        steps = 1
        while not file_hash.advance(buffer, size, budget):
            steps += 1
        assert (file_hash.hexdigest(), file_hash.length) == (hashlib.sha256(content).hexdigest(), size)
        assert file_hash.head == zlib.crc32(content[:HEAD_SIZE])
        assert steps >= size // (budget + BUFFER_SIZE)
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [10, BUFFER_SIZE + 10])
def test_a_file_shorter_than_expected_ends_where_it_ends(tmp_path: Path, buffer: memoryview, size: int) -> None:
    path, content = made(tmp_path, size)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert hash_at_once(fd, 4 * size, buffer)[2] == size
        os.lseek(fd, 0, os.SEEK_SET)
        file_hash = FileHash(fd)
        while not file_hash.advance(buffer, 4 * size, BUFFER_SIZE):
            pass
        assert (file_hash.length, file_hash.hexdigest()) == (size, hashlib.sha256(content).hexdigest())
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [10, BUFFER_SIZE + 10])
def test_a_file_that_grows_is_not_read_for_ever(tmp_path: Path, buffer: memoryview, size: int) -> None:
    path, _ = made(tmp_path, 5 * BUFFER_SIZE)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert size <= hash_at_once(fd, size, buffer)[2] <= size + BUFFER_SIZE
    finally:
        os.close(fd)
