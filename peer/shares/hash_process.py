"""Hashing a batch of files, here or in a process of its own.

Two threads of one interpreter hash a crowd of small files no faster than one does: opening, reading and closing all
wait for its lock. So crowds go to processes, which import next to nothing, live while there is work, and end with their
parent.
"""

import gc
import marshal
import os
import stat
import sys

from common.content.hashing import BUFFER_SIZE, Algorithm, algorithm_named, hash_at_once
from peer.shares.disk import ABSENT, DENIED, EXHAUSTED, FolderPath, open_file, stamp_of

# What became of a file: (id, head), or why there is none: "gone", "changed", "denied", "failed".
Outcome = tuple[str, int] | str
# (name, size, mtime_ns, inode, …): what was seen of the file before it was opened.
Sight = tuple[bytes, int, int, int]
Batch = list[tuple[bytes, bytes, list[Sight]]]
"""(root, folder, files) of each folder."""


def hash_batch(batch: Batch, buffer: memoryview, algorithm: Algorithm) -> list[Outcome]:
    """One outcome for each file, in order; an id only if the file is now what was seen of it, and was read whole."""
    outcomes: list[Outcome] = []
    path = FolderPath(b"")
    try:
        for root, folder, files in batch:
            if root != path.root:
                path.close()
                path = FolderPath(root)
            try:
                folder_fd = path.open(folder)
            except OSError as error:
                outcomes += [reason_of(error)] * len(files)
                continue
            outcomes += _hash_files(folder_fd, files, buffer, algorithm)
    finally:
        path.close()
    return outcomes


def reason_of(error: OSError) -> str:
    """The outcome for a file that could not be read; "changed", to be tried again, if the error is no word about it."""
    if error.errno in EXHAUSTED:
        return "changed"
    if error.errno in ABSENT:
        return "gone"
    return "denied" if error.errno in DENIED else "failed"


def objection(fd: int, stamp: tuple[int, int, int], length: int) -> str:
    """Empty if the `length` bytes read are of one version: a regular file, whole, with the stamp seen before."""
    now = os.fstat(fd)
    if not stat.S_ISREG(now.st_mode) or stamp_of(now) != stamp:
        return "changed"
    return "" if length == now.st_size else "failed"


def _hash_files(folder_fd: int, files: list[Sight], buffer: memoryview, algorithm: Algorithm) -> list[Outcome]:
    """Written out rather than taken apart: small files cost little more than what stands here."""
    outcomes: list[Outcome] = []
    new = algorithm.new
    for name, size, mtime_ns, inode in files:
        try:
            fd = open_file(folder_fd, name)
        except OSError as error:
            outcomes.append(reason_of(error))
            continue
        try:
            file_id, head, length = hash_at_once(fd, size, buffer, new)
            now = os.fstat(fd)
            if now.st_mtime_ns == mtime_ns and now.st_size == size == length and now.st_ino == inode:
                outcomes.append((file_id, head) if stat.S_ISREG(now.st_mode) else "changed")
            else:
                outcomes.append(objection(fd, (size, mtime_ns, inode), length) or (file_id, head))
        except OSError as error:
            outcomes.append(reason_of(error))
        finally:
            os.close(fd)
    return outcomes


def serve(algorithm_name: str) -> None:
    """Hashes the batches that come in on standard input until there are no more; answers on standard output."""
    gc.disable()  # nothing here goes in circles
    algorithm = algorithm_named(algorithm_name)
    algorithm.new()  # is loaded before the first batch comes
    buffer = memoryview(bytearray(BUFFER_SIZE))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.read(4):
        batch = marshal.loads(requests.read(int.from_bytes(head, "little")))
        answer = marshal.dumps(hash_batch(batch, buffer, algorithm))
        answers.write(len(answer).to_bytes(4, "little") + answer)
        answers.flush()
