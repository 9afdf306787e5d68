"""Reading one file through to see whether the disk still holds what it held. Blocks; for one thread.

Known bytes are compared by XXH3-128, which takes little. Where they differ, and where nothing is known yet, the file's
own id decides. What is read comes from the disk and not from memory, and leaves no trace there.
"""

import errno
import os
from contextlib import suppress
from typing import Any

from common.content.grid import SMALLEST_PIECE
from common.content.hashing import Algorithm
from peer.shares.damage import Finding, Made, Suspect
from peer.shares.disk import ABSENT, DENIED, EXHAUSTED, lstat_inside, open_inside, stamp_of
from peer.shares.schema import Damage

_LOST = frozenset((errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.EREMOTEIO))
"""What a disk says that cannot give the bytes."""
READ = 256 * 1024  # bytes at a time


class Check:
    """One file on its way.

    Once it `is_done` there is a finding, unless nothing could be learned; `is_elsewhere`: another file is in its place.
    """

    def __init__(self, suspect: Suspect, algorithm: Algorithm) -> None:
        self.place = suspect.kept.place
        self.name = suspect.kept.name
        self.finding: Finding | None = None
        self.is_elsewhere = False
        self.is_done = False
        self._suspect = suspect
        self._algorithm = algorithm
        self._size = suspect.kept.stamp[0]
        self._fd = -1
        self._at = 0
        self._is_proving = suspect.xxh3 is None or suspect.damage is not None
        self._sums: list[Any] = []

    def advance(self, buffer: memoryview, budget: int) -> int:
        """Reads some `budget` bytes more; how many it were."""
        before = self._at
        try:
            if self._fd < 0:
                self._open()
            while self._at < self._size and self._at - before < budget:
                count = os.preadv(self._fd, [buffer[: self._size - self._at]], self._at)
                if count == 0:
                    break
                for each in self._sums:
                    each.update(buffer[:count])
                self._at += count
            self._forget(before)
            done = self._at - before
            if self._at >= self._size or done < budget:
                self._judge()
            return done
        except OSError as error:
            self._fail(error)
            return self._at - before

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        kept = self._suspect.kept
        self._fd = open_inside(kept.root, kept.place.folder, kept.name)
        self._forget(0)  # so that it is the disk that is read
        self._begin()

    def _begin(self) -> None:
        import xxhash

        self._at = 0
        self._sums = [xxhash.xxh3_128()]
        if self._is_proving:
            self._sums.append(self._algorithm.new())
            if self._size > SMALLEST_PIECE:  # what has one piece only is proven by its id as well
                from common.content.manifest import Pieces  # brings BLAKE3 along

                self._sums.append(Pieces(self._size))

    def _forget(self, start: int) -> None:
        length = self._at - start
        with suppress(OSError):  # it is advice, and not every file system takes it
            os.posix_fadvise(self._fd, start, length, os.POSIX_FADV_DONTNEED)

    def _judge(self) -> None:
        found = os.fstat(self._fd)
        if stamp_of(found) != self._suspect.kept.stamp or self._at != self._size:
            self.is_elsewhere = True
            self._end(Finding(self._suspect))
        elif not self._is_proving:
            if self._sums[0].digest() == self._suspect.xxh3:
                self._end(Finding(self._suspect, is_sound=True))
            else:
                self._is_proving = True
                self._begin()
        elif self._sums[1].hexdigest() == self._suspect.file_id:
            self._end(Finding(self._suspect, made=self._made(), is_sound=True))
        else:
            self._end(Finding(self._suspect, Damage.DIFFERS, found.st_ctime_ns))

    def _end(self, finding: Finding | None) -> None:
        self.finding, self.is_done = finding, True

    def _made(self) -> Made:
        xxh3 = self._sums[0].digest()
        if len(self._sums) < 3:
            return Made(xxh3)
        manifest = self._sums[2].manifest()
        return Made(xxh3, manifest.digest, manifest.hashes)

    def _fail(self, error: OSError) -> None:
        self.is_elsewhere = error.errno in ABSENT | DENIED
        if error.errno in EXHAUSTED:
            self._end(None)
        elif error.errno in _LOST:
            self._end(Finding(self._suspect, Damage.UNREADABLE, ctime_of(self._suspect) or 0))
        else:
            self._end(Finding(self._suspect))  # a file system that is away, for instance: no word about the bytes


def ctime_of(suspect: Suspect) -> int | None:
    """When a file was last touched, in whatever way; None when it cannot be seen. Blocks."""
    kept = suspect.kept
    try:
        found = lstat_inside(kept.root, kept.place.folder, kept.name)
    except OSError:
        return None
    return None if found is None else found.st_ctime_ns
