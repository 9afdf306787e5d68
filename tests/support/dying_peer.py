"""The command `peer`, but for its end: it is killed in its write number DIES_AT of what it fetches, half done."""

import os
import signal
import sys
from itertools import count

from peer.__main__ import main

_writes = count(1)
_pwrite = os.pwrite


def _dying(file: int, data: bytes | memoryview, offset: int) -> int:
    if isinstance(data, memoryview) and next(_writes) == int(os.environ["DIES_AT"]):
        _pwrite(file, data[: len(data) // 2], offset)
        os.kill(os.getpid(), signal.SIGKILL)
    return _pwrite(file, data, offset)


if __name__ == "__main__":
    os.pwrite = _dying  # type: ignore[assignment]
    sys.exit(main())
