"""The id of a file: the digest of its bytes by the network's algorithm, read through a buffer that is used again.

A large file is hashed in steps, so that a stop and other work can come between. Reading stops at the expected length,
so whoever asks compares size, time and inode afterwards to know that all of it was of one version.
"""

import hashlib
import os
import zlib

TYPE_CHECKING = False  # without `typing`: the processes that hash must start in a few milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Digest(Protocol):
        """A digest in the making."""

        def update(self, data: bytes | memoryview, /) -> object: ...
        def hexdigest(self) -> str: ...


BUFFER_SIZE = 256 * 1024
HEAD_SIZE = 1024


class Algorithm:
    """What names the files of a network. There are SHA256 and BLAKE3; `title` is its name for people."""

    __slots__ = ("name", "title")

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title

    @property
    def new(self) -> "Callable[..., Digest]":
        """Makes a digest, of the bytes given if any. Looked up once for many files."""
        if self.name == "sha256":
            return hashlib.sha256
        from blake3 import blake3  # only where it is used: most networks do without

        return blake3

    @property
    def empty_id(self) -> str:
        """The id of the file without a byte."""
        return self.new().hexdigest()

    def repr_digest(self, file_id: str) -> bytes | None:
        """The digest that `Repr-Digest` may tell (RFC 9530): it knows no BLAKE3."""
        return bytes.fromhex(file_id) if self.name == "sha256" else None


SHA256 = Algorithm("sha256", "SHA-256")
BLAKE3 = Algorithm("blake3", "BLAKE3")


def algorithm_named(name: str) -> Algorithm:
    """The algorithm that a setting or a message names. Raises ValueError."""
    for algorithm in (SHA256, BLAKE3):
        if algorithm.name == name:
            return algorithm
    raise ValueError(f"no such hash algorithm: {name}")


class FileHash:
    """The hash of an open file in the making: `length` bytes are in it, `head` is the CRC-32 of the first HEAD_SIZE."""

    __slots__ = ("_digest", "_fd", "head", "length")

    def __init__(self, fd: int, algorithm: Algorithm) -> None:
        self._fd = fd
        self._digest = algorithm.new()
        self.length = 0
        self.head = 0

    def advance(self, buffer: memoryview, size: int, budget: int) -> bool:
        """Reads some `budget` bytes more; True once `size` bytes or the end of the file were reached."""
        while self.length < size and budget > 0:
            count = os.readv(self._fd, [buffer])
            if count == 0:
                return True
            if self.length == 0:
                self.head = zlib.crc32(buffer[: min(count, HEAD_SIZE)])
            self._digest.update(buffer[:count])
            self.length += count
            budget -= count
        return self.length >= size

    def hexdigest(self) -> str:
        """The id of what was read so far."""
        return self._digest.hexdigest()


def hash_at_once(fd: int, size: int, buffer: memoryview, new: "Callable[..., Digest]") -> tuple[str, int, int]:
    """(id, head, bytes read) of an open file that should be `size` bytes long; `new` is the algorithm's."""
    count = os.readv(fd, [buffer])
    if count == size:
        content = buffer[:count]
        return new(content).hexdigest(), zlib.crc32(content[:HEAD_SIZE]), count
    return _hash_on(fd, size, buffer, count, new)


def head_of(fd: int) -> int:
    """The CRC-32 of the first HEAD_SIZE bytes, wherever the file is read just now."""
    return zlib.crc32(os.pread(fd, HEAD_SIZE, 0))


def _hash_on(fd: int, size: int, buffer: memoryview, count: int, new: "Callable[..., Digest]") -> tuple[str, int, int]:
    """The same when the first read, whose `count` bytes are in `buffer`, did not bring it all."""
    digest = new(buffer[:count])
    head = zlib.crc32(buffer[: min(count, HEAD_SIZE)])
    length = count
    while count and length < size:
        count = os.readv(fd, [buffer])
        digest.update(buffer[:count])
        length += count
    return digest.hexdigest(), head, length
