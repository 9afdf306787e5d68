"""Whether a reader takes what it is sent.

Told by what its side has acknowledged, not by what buffers of ours swallowed: these take megabytes at once, and then
nothing until a slow reader has made much room.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_BYTES_ACKED = struct.Struct("=120xQ")


@asynccontextmanager
async def while_taken(
    transport: asyncio.Transport | None, handed: Callable[[], int], deadline: float
) -> AsyncIterator[None]:
    """Raises TimeoutError in its block once the reader has taken nothing for `deadline` seconds.

    `handed` counts what was given to the transport: all there is to go by where the kernel does not tell more.
    """
    loop = asyncio.get_running_loop()
    last, since = -1, loop.time()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal last, since, timer
        now, count = loop.time(), _taken(transport, handed)
        if count != last:
            last, since = count, now
        if now - since >= deadline:
            limit.reschedule(now)
        else:
            timer = loop.call_later(deadline / 4, look)

    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(deadline / 4, look)
        try:
            yield
        finally:
            timer.cancel()


def _taken(transport: asyncio.Transport | None, handed: Callable[[], int]) -> int:
    """A number that grows while the reader reads."""
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None or TCP_INFO is None:
        return handed()
    try:
        (acknowledged,) = _BYTES_ACKED.unpack(connection.getsockopt(socket.IPPROTO_TCP, TCP_INFO, _BYTES_ACKED.size))
    except (OSError, struct.error):
        return handed()
    return int(acknowledged)
