"""Real folder trees for scans: harmless ones, and ones full of what must not be touched."""

import ctypes
import hashlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NOBODY = 65534
LONG_NAME = "n" * 251 + ".txt"
NOT_UTF8 = b"caf\xe9 \xff.txt"


def sha256(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def write(path: Path, content: bytes | str = "content") -> str:
    """Makes a file with all folders above it; its id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return sha256(content)


def plant(root: Path, files: int, *, per_folder: int = 50) -> dict[str, str]:
    """Many small files, some equal and some empty: {path relative to root: id}."""
    ids = {}
    for number in range(files):
        path = f"folder {number // per_folder}/inner/file {number}.txt"
        ids[path] = write(root / path, "" if number % 20 == 0 else f"content {number % (files - files // 10)}" * 20)
    return ids


def age(root: Path, seconds: float = 3600.0) -> None:
    """Makes every file below look old, by its mtime."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            found = os.lstat(path)
            os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds), follow_symlinks=False)


def booby_trapped(root: Path, secret: Path) -> set[bytes]:
    """Fills `root` with files to share and with traps around them; the paths (relative) of those to share."""
    write(secret / "secret.txt", "SECRET")
    write(root / "plain.txt", "plain")
    write(root / "sub" / LONG_NAME, "long")
    write(root / "empty", "")
    (root / "folder.d").mkdir()
    (root / os.fsdecode(NOT_UTF8)).write_bytes(b"odd")
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "sub" / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket's address is short; the test's folder may not be.
        here = os.open(root, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{here}/socket")
        finally:
            os.close(here)
    (root / "link to file").symlink_to(secret / "secret.txt")
    (root / "link to folder").symlink_to(secret, target_is_directory=True)
    (root / "link to link").symlink_to("link to folder")
    (root / "dangling").symlink_to("nowhere")
    (root / "sub" / "loop").symlink_to("..", target_is_directory=True)
    (root / "self").symlink_to("self")
    write(root / ".hidden" / "file.txt", "hidden")
    write(root / ".hidden file", "hidden")
    write(root / ".ssh" / "id_rsa", "key")
    write(root / "server.PEM", "key")
    write(root / "wallet.dat", "key")
    write(root / "movie.mkv.part", "half")
    return {b"plain.txt", b"sub/" + LONG_NAME.encode(), b"empty", NOT_UTF8}


@contextmanager
def readable_by_all(folder: Path) -> Iterator[bytes]:
    """A path to a folder that does not lead past those above it, which only its owner may enter."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        yield b"/proc/self/fd/%d/." % fd
    finally:
        os.close(fd)


def as_nobody(work: Callable[[], T]) -> T:
    """Runs `work` in a thread that may read only what everybody may, even if the tests run as root."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(become_nobody).result()
        return executor.submit(work).result()


def become_nobody() -> None:
    """The calling thread, and it alone, loses its rights to files."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).setfsuid(NOBODY)


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="], capture_output=True, text=True)
    return {int(line.split()[0]) for line in listed.stdout.splitlines() if "ps" not in line.split()[1:]}
