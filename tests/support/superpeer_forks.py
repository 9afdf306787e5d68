"""Super-peers that start quickly, for tests that kill many: all is imported once, each is a fork of this process.

`python -m tests.support.superpeer_forks`: reads a JSON list of arguments a line, says the new process's id. They are
real processes and end like any other; this one, when its input ends.
"""

import json
import os
import signal
import sys

# What a super-peer imports late is here before the first fork.
import alembic.command  # noqa: F401
import uvloop  # noqa: F401

import superpeer.app  # noqa: F401
from superpeer.__main__ import main


def run() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
    for line in sys.stdin:
        if child := os.fork():
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sys.stdin.close()
        os._exit(main(json.loads(line)))


if __name__ == "__main__":
    run()
