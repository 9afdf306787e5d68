"""The id of a file: the SHA-256 of its bytes, read through a buffer that is used again.

A large file is hashed in steps, so that a stop and other work can come between. Reading stops at the expected length,
so whoever asks compares size, time and inode afterwards to know that all of it was of one version.
"""

import hashlib
import os
import zlib

BUFFER_SIZE = 256 * 1024
HEAD_SIZE = 1024


class FileHash:
    """The hash of an open file in the making: `length` bytes are in it, `head` is the CRC-32 of the first HEAD_SIZE."""

    __slots__ = ("_digest", "_fd", "head", "length")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._digest = hashlib.sha256()
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


def hash_at_once(fd: int, size: int, buffer: memoryview) -> tuple[str, int, int]:
    """(id, head, bytes read) of an open file that should be `size` bytes long."""
    count = os.readv(fd, [buffer])
    if count == size:
        content = buffer[:count]
        return hashlib.sha256(content).hexdigest(), zlib.crc32(content[:HEAD_SIZE]), count
    return _hash_on(fd, size, buffer, count)


def head_of(fd: int) -> int:
    """The CRC-32 of the first HEAD_SIZE bytes, wherever the file is read just now."""
    return zlib.crc32(os.pread(fd, HEAD_SIZE, 0))


def _hash_on(fd: int, size: int, buffer: memoryview, count: int) -> tuple[str, int, int]:
    """The same when the first read, whose `count` bytes are in `buffer`, did not bring it all."""
    digest = hashlib.sha256(buffer[:count])
    head = zlib.crc32(buffer[: min(count, HEAD_SIZE)])
    length = count
    while count and length < size:
        count = os.readv(fd, [buffer])
        digest.update(buffer[:count])
        length += count
    return digest.hexdigest(), head, length
