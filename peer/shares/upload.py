"""Files that arrive by HTTP: written beside their place, hashed as they come, named only once they are whole.

Guarantees: no file is overwritten; whatever goes wrong, nothing is left behind (after a kill, the next start clears
up).
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from common.content.hashing import Algorithm, head_of
from common.content.names import free_name, same_name_key
from common.errors import Forbidden, NoSpace
from common.runtime.folders import sync_folder
from peer.shares.forbidden import PART_SUFFIX
from peer.shares.tree import Seen, seen

_PREFIX = b".upload-"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Incoming:
    """A file on its way into `folder`. Its methods block. Raises NoSpace, and Forbidden where it may not write."""

    def __init__(self, folder: bytes, algorithm: Algorithm) -> None:
        self.folder = folder
        self._part = os.path.join(folder, _PREFIX + secrets.token_hex(8).encode() + PART_SUFFIX)
        self._digest = algorithm.new()
        with _refusing(folder):
            self._fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    @property
    def file_id(self) -> str:
        """The id of what has come."""
        return self._digest.hexdigest()

    @property
    def head(self) -> int:
        """The checksum of its beginning."""
        return head_of(self._fd)

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes."""
        self._digest.update(chunk)
        rest = memoryview(chunk)
        with _refusing(self.folder):
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def name_it(self, name: str) -> Seen:
        """Gives the whole file `name`, or one like it if that is taken, durably; what it looks like then."""
        with _refusing(self.folder):
            os.fsync(self._fd)
            final = self._claim(name)
            os.rename(self._part, os.path.join(self.folder, final))
            self._part = b""
            sync_folder(self.folder)
            return seen(final, os.fstat(self._fd))

    def discard(self) -> None:
        """Removes what has no name yet. To be called in the end, whatever happened."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._part:
            with suppress(OSError):
                os.unlink(self._part)
            self._part = b""

    def _claim(self, name: str) -> bytes:
        """Takes a free name by an empty file: renaming onto it overwrites nothing of anybody's on any file system."""
        while True:
            taken = {same_name_key(each) for each in os.listdir(os.fsdecode(self.folder))}
            final = os.fsencode(free_name(name, lambda candidate: same_name_key(candidate) in taken))  # noqa: B023
            with suppress(FileExistsError):
                path = os.path.join(self.folder, final)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
                return final


def clear_up(folder: bytes) -> None:
    """Removes what uploads of an earlier run left in a folder."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(_PREFIX) and name.endswith(PART_SUFFIX):
                os.unlink(os.path.join(folder, name))


@contextmanager
def _refusing(folder: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace("disk_full", "There is no room left on the disk that holds the shared folder.") from error
        why = error.strerror or type(error).__name__
        raise Forbidden("path_not_shareable", f"The shared folder cannot be written to: {why}.") from error
