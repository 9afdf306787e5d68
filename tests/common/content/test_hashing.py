"""Hashing files: right whatever their size, in one go or in steps, and honest about what was read."""

import hashlib
import os
import zlib
from pathlib import Path

import pytest
from blake3 import blake3

from common.content.hashing import (
    BLAKE3,
    BUFFER_SIZE,
    HEAD_SIZE,
    SHA256,
    Algorithm,
    FileHash,
    algorithm_named,
    hash_at_once,
    head_of,
)

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


DIGESTS = {SHA256: hashlib.sha256, BLAKE3: blake3}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", DIGESTS, ids=lambda algorithm: algorithm.name)
def test_a_file_is_hashed_at_once(tmp_path: Path, buffer: memoryview, size: int, algorithm: Algorithm) -> None:
    path, content = made(tmp_path, size)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert hash_at_once(fd, size, buffer, algorithm.new) == (
            DIGESTS[algorithm](content).hexdigest(),
            zlib.crc32(content[:HEAD_SIZE]),
            size,
        )
        assert head_of(fd) == zlib.crc32(content[:HEAD_SIZE])
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("budget", [1, BUFFER_SIZE, 2 * BUFFER_SIZE])
@pytest.mark.parametrize("algorithm", DIGESTS, ids=lambda algorithm: algorithm.name)
def test_a_file_is_hashed_in_steps(
    tmp_path: Path, buffer: memoryview, size: int, budget: int, algorithm: Algorithm
) -> None:
    path, content = made(tmp_path, size)
    fd = os.open(path, os.O_RDONLY)
    try:
        file_hash = FileHash(fd, algorithm)
        steps = 1
        while not file_hash.advance(buffer, size, budget):
            steps += 1
        assert (file_hash.hexdigest(), file_hash.length) == (DIGESTS[algorithm](content).hexdigest(), size)
        assert file_hash.head == zlib.crc32(content[:HEAD_SIZE])
        assert steps >= size // (budget + BUFFER_SIZE)
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [10, BUFFER_SIZE + 10])
def test_a_file_shorter_than_expected_ends_where_it_ends(tmp_path: Path, buffer: memoryview, size: int) -> None:
    path, content = made(tmp_path, size)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert hash_at_once(fd, 4 * size, buffer, SHA256.new)[2] == size
        os.lseek(fd, 0, os.SEEK_SET)
        file_hash = FileHash(fd, SHA256)
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
        assert size <= hash_at_once(fd, size, buffer, SHA256.new)[2] <= size + BUFFER_SIZE
    finally:
        os.close(fd)


@pytest.mark.parametrize("algorithm", DIGESTS, ids=lambda algorithm: algorithm.name)
def test_an_algorithm_goes_by_its_name(algorithm: Algorithm) -> None:
    assert algorithm_named(algorithm.name) is algorithm
    assert algorithm.empty_id == DIGESTS[algorithm](b"").hexdigest()
    with pytest.raises(ValueError, match="md5"):
        algorithm_named("md5")


def test_only_sha256_is_told_as_repr_digest() -> None:
    assert SHA256.repr_digest("ab" * 32) == b"\xab" * 32
    assert BLAKE3.repr_digest("ab" * 32) is None
