"""The bytes of an answer from its source to its asker, in the asker's time.

Guarantees: a piece is read only when the one before is on its way, so a transfer holds some hundred KiB in this process
and at most WINDOW in the kernel, however slow its asker; an answer is whole, or its connection is cut; an asker that
takes nothing, and a source that sends nothing, are given up.
"""

import asyncio
import socket
from contextlib import suppress

from aiohttp import web

from common.http.request_ids import answer_headers
from common.serving.progress import while_taken
from superpeer.relay.answer import Answer
from superpeer.relay.switchboard import Content, Switchboard

STALLED = 120.0  # seconds in which an asker takes nothing: a slow one with a large buffer takes in gulps
SILENCE = 60.0  # seconds in which a source sends nothing
WINDOW = 4 * 1024 * 1024  # bytes that a source may be ahead of what is read of it
BODILESS = (204, 304)
UNSENT = 512 * 1024  # bytes that the kernel keeps for an asker beyond what is on the wire

_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


async def passed_on(
    request: web.Request, answer: Answer, content: Content, switchboard: Switchboard
) -> web.StreamResponse:
    """The answer, sent. Raises ConnectionResetError once it has begun and cannot be ended as it was announced."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers | dict(answer_headers.get()))
    if answer.status not in BODILESS:
        response.content_length = answer.length
    _hold_little(request.transport)
    await response.prepare(request)
    if request.method == "HEAD" or answer.status in BODILESS:
        return response
    try:
        await _all(request, response, answer.length, content, switchboard)
    except Exception as error:
        # What is buffered may still go out; that it is not all is then told by the length, or by the missing end.
        raise ConnectionResetError(f"not all of it came: {error!r}") from error
    return response


async def _all(
    request: web.Request, response: web.StreamResponse, length: int | None, content: Content, switchboard: Switchboard
) -> None:
    handed = 0
    while length is None or handed < length:
        async with asyncio.timeout(SILENCE):
            piece = await content.readany()
        if not piece:
            break
        handed += len(piece)
        if length is not None and handed > length:
            raise ValueError("more than was announced")
        switchboard.bytes += len(piece)
        await _taken(request, response, piece, handed)
    if length is not None and handed != length:
        raise ValueError("less than was announced")
    await response.write_eof()


async def _taken(request: web.Request, response: web.StreamResponse, piece: bytes, handed: int) -> None:
    try:
        async with while_taken(request.transport, lambda: handed, STALLED):
            await response.write(piece)
    except TimeoutError:
        if request.transport is not None:
            # Closing would wait until the asker has taken what is buffered.
            request.transport.abort()
        raise


def _hold_little(transport: asyncio.Transport | None) -> None:
    _set(transport, _NOTSENT_LOWAT, UNSENT)


def read_little_ahead(transport: asyncio.Transport | None) -> None:
    """Lets the source at the other end be WINDOW ahead at most."""
    _set(transport, socket.TCP_WINDOW_CLAMP, WINDOW)


def _set(transport: asyncio.Transport | None, option: int, value: int) -> None:
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
