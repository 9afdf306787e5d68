"""One source's side of a fetch: asked for the bytes from some offset on, its answer taken only if it is exactly that.

What it says is held against what was asked before a byte is used: the length, the range, no coding, no redirect.
Whatever goes wrong, before or amid the bytes, is a SourceTrouble.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from common.http.outgoing import Outgoing, OutgoingError
from common.ids import FileId
from common.wire.files import Source
from peer.downloads.candidates import SourceTrouble
from peer.downloads.part_file import Wanted

_OUTCOME = {"timed_out": "timeout", "address_not_allowed": "refused"}
_LATER = (429, 503)


@dataclass(frozen=True, slots=True)
class Reply:
    """An acceptable answer: the file's bytes from `start` to its end."""

    start: int
    stream: aiohttp.StreamReader

    async def read(self, silence: float) -> bytes:
        """The next bytes, at least one, waited for no longer than `silence` seconds. Raises SourceTrouble."""
        try:
            async with asyncio.timeout(silence):
                chunk = await self.stream.readany()
        except TimeoutError:
            raise SourceTrouble("timeout", f"sent nothing for {silence:g} s") from None
        except aiohttp.ClientError:
            chunk = b""
        if not chunk:
            raise SourceTrouble("broken", "broke off")
        return chunk


@asynccontextmanager
async def ask(
    outgoing: Outgoing, source: Source, wanted: Wanted, offset: int, head_deadline: float
) -> AsyncIterator[Reply]:
    """What the source answers when asked for the bytes from `offset` on; it may begin at 0. Raises SourceTrouble."""
    headers = {"Range": f"bytes={offset}-", "If-Range": f'"{wanted.id}"'} if offset else {}
    url = _url_of(source, wanted.id)
    try:
        async with outgoing.request("GET", url, headers=headers, head_deadline=head_deadline) as response:
            start = accepted_start(response.status, response.headers, offset, wanted.size)
            yield Reply(start, response.content)
    except OutgoingError as error:
        raise _trouble(error) from error


def _url_of(source: Source, file_id: FileId) -> str:
    """A super-peer may send us to any host that policy allows, but only for this very file."""
    try:
        leads_there = URL(source.url).path == f"/api/v1/download/{file_id}"
    except ValueError:
        leads_there = False
    if not leads_there:
        raise SourceTrouble("refused", "has an address that does not lead to this file")
    return source.url


def accepted_start(status: int, headers: Mapping[str, str], offset: int, size: int) -> int:
    """Where the answer's bytes begin: 0 for a whole file, else `offset`. Raises SourceTrouble for any other answer."""
    if "Transfer-Encoding" in headers:
        raise SourceTrouble("refused", "does not say how many bytes it sends")
    if status == 200:
        start = 0
    elif status == 206 and offset and headers.get("Content-Range") == f"bytes {offset}-{size - 1}/{size}":
        start = offset
    else:
        raise SourceTrouble("refused", "answered with another range than was asked")
    if headers.get("Content-Length") != str(size - start):
        raise SourceTrouble("refused", "announces another length than the file has")
    return start


def _trouble(error: OutgoingError) -> SourceTrouble:
    status = error.status
    if status is None:
        return SourceTrouble(_OUTCOME.get(error.code, "unreachable"), error.detail)
    if status in _LATER:
        return SourceTrouble("busy", "has no upload slot free", error.retry_after)
    if 300 <= status < 400:
        return SourceTrouble("refused", "answered with a redirect, which is not followed")
    return SourceTrouble("broken" if status >= 500 else "refused", error.detail)
