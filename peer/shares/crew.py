"""A process that hashes batches for one worker. Without one, the worker does it itself: slower, and no less right."""

import logging
import marshal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from common.content.hashing import SHA256, Algorithm
from peer.shares.hash_process import Batch, Outcome

log = logging.getLogger("shoal.shares")

_ROOT = str(Path(__file__).resolve().parents[2])
# Isolated and without site: little but the standard library is needed, and nothing of the environment may come in.
_PROGRAM = """\
import sys
sys.path.insert(0, {!r})
sys.path += {}
from peer.shares.hash_process import serve
serve({!r})
"""


class Crew:
    """At most one process; started when it is worth it."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._program = _PROGRAM.format(_ROOT, _found_at(algorithm), algorithm.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._refused = False

    @property
    def is_there(self) -> bool:
        """Whether a batch may be given to it."""
        return self._process is not None

    def start(self) -> bool:
        """Whether it could be started."""
        if self._refused or not sys.executable:
            return False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C on the terminal is for the daemon to answer
            )
        except OSError as error:
            self._give_up(str(error))
        return self.is_there

    def hash(self, batch: Batch) -> list[Outcome] | None:
        """The outcomes; None when the process is no more."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            request = marshal.dumps(batch)
            process.stdin.write(len(request).to_bytes(4, "little") + request)
            process.stdin.flush()
            length = int.from_bytes(process.stdout.read(4), "little")
            outcomes: list[Outcome] = marshal.loads(process.stdout.read(length))
            return outcomes
        except (OSError, EOFError, ValueError) as error:
            self._give_up(str(error))
            return None

    def stop(self) -> None:
        """Ends the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.wait()

    def _give_up(self, why: str) -> None:
        if self._process is not None or not self._refused:
            log.warning("hashing without a process of its own", extra={"error": why})
        self._refused = True
        self.stop()


def _found_at(algorithm: Algorithm) -> list[str]:
    """The folders, besides the standard library, that an algorithm is imported from."""
    if algorithm is SHA256:
        return []
    import blake3

    return [str(Path(blake3.__file__).resolve().parents[1])]
