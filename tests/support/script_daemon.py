"""A daemon in a process of its own: `python -m tests.support.script_daemon KIND SHARE`; tells what happens to it.

KIND is `quick`, or how it misbehaves: `slow` (it never opens), `hanging` (each step of the end hangs), `stubborn` (its
requests will not end). It has that SHARE of the time that other daemons have to end.
"""

import asyncio
import sys

from aiohttp import web

from common.http import serve
from tests.support.daemon import TinyDaemon, at, tiny_daemon


class ScriptDaemon(TinyDaemon):
    """Tells on stdout where it is, and that it was closed."""

    kind = "quick"

    async def open(self) -> None:
        if self.kind == "slow":
            print(0, flush=True)
            await asyncio.Event().wait()

    async def listening(self, address: str, port: int) -> None:
        print(port, flush=True)

    async def stopping(self) -> None:
        print("stopping", flush=True)
        if self.kind == "hanging":
            await asyncio.Event().wait()

    async def close(self) -> None:
        print("closed", flush=True)
        if self.kind == "hanging":
            await asyncio.Event().wait()


async def endless(request: web.Request) -> None:
    """Begins, and never ends, whoever asks."""
    print("begun", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("not yet", flush=True)


def main(kind: str, share: float) -> None:
    made = tiny_daemon(at("/api/v1/endless", endless))
    daemon = ScriptDaemon(made.app, made.requests, made.limits)
    daemon.kind = kind
    serve.STOP_MARKS = tuple(mark * share for mark in serve.STOP_MARKS)  # type: ignore[assignment]
    serve.LAST_RESORT *= share
    asyncio.run(serve.run(daemon, "127.0.0.1", 0))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
