"""What a bad source does to its answers, each as a fault of a front (`front.py`)."""

import asyncio
import gzip
import random
import re

import msgspec

from common.content.grid import Grid
from common.content.manifest import Pieces
from common.wire.transfer import ManifestAnswer
from tests.support.front import BLOCK, Answer, Asked, Fault

SMALL = 16 * 1024


class Flipping:
    """Flips a bit in some of its pieces, always in the same ones. `damaged`: those that went out whole."""

    def __init__(self, size: int, share: float, seed: int = 1) -> None:
        self._grid = Grid.of(size)
        self._bad = [random.Random(f"{seed}/{piece}").random() < share for piece in range(self._grid.count)]
        self.damaged: list[int] = []

    async def __call__(self, asked: Asked) -> None:
        answer = await asked.answer()
        await asked.say(answer.head)
        start, stop = answer.brings
        while answer.is_bytes and start < stop:
            piece = start // self._grid.piece_size
            data = bytearray(await answer.body.readexactly(min(stop, self._grid.span(piece).stop) - start))
            if self._bad[piece]:
                data[len(data) // 2] ^= 1 << piece % 8
            for at in range(0, len(data), SMALL):
                await asked.say(bytes(data[at : at + SMALL]))
                await asyncio.sleep(0)  # who has hung up meanwhile is found out before the next
            start += len(data)
            if self._bad[piece]:
                self.damaged.append(piece)


async def tarpit(asked: Asked) -> None:
    """1 kB/s, the head with it."""
    answer = await asked.answer()
    rest = answer.head
    while rest or (rest := await answer.body.read(BLOCK)):
        await asked.say(rest[:100])
        rest = rest[100:]
        await asyncio.sleep(0.1)


async def more(asked: Asked) -> None:
    """Announces and sends more than was asked."""
    answer = await asked.answer()
    head = re.sub(rb"(?i)content-length: \d+", b"Content-Length: %d" % (answer.length + 5000), answer.head)
    await asked.pass_on(Answer(head, answer.body))
    await asked.say(b"x" * 5000)


async def more_unannounced(asked: Asked) -> None:
    """Sends what was asked, says that the connection may be used again, and sends on."""
    answer = await asked.answer()
    head = re.sub(rb"(?i)connection: close", b"Connection: keep-alive", answer.head)
    await asked.pass_on(Answer(head, answer.body))
    await asked.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"y" * 100_000)


async def less(asked: Asked) -> None:
    """Hangs up in the middle of the first piece."""
    answer = await asked.answer()
    await asked.say(answer.head + await answer.body.readexactly(answer.length // 2 if answer.length < BLOCK else BLOCK))


async def other_range(asked: Asked) -> None:
    """Says that it brings other bytes than were asked for."""
    answer = await asked.answer()
    first, after = answer.brings
    wrong = b"\r\nContent-Range: bytes %d-%d/" % (first + 1, after)
    await asked.pass_on(Answer(re.sub(rb"(?i)\r\ncontent-range: bytes \d+-\d+/", wrong, answer.head), answer.body))


async def other_bytes(asked: Asked) -> None:
    """Says that it brings what was asked for, and brings what lies one byte further."""
    answer = await asked.answer()
    await asked.say(answer.head)
    await answer.body.readexactly(1)
    await asked.pass_on(Answer(b"", answer.body))
    await asked.say(b"z")


async def whole(asked: Asked) -> None:
    """Brings the whole file, whatever range was asked for."""
    asked.head = re.sub(rb"(?i)\r\nrange: [^\r]+", b"", asked.head)
    await asked.pass_on(await asked.answer())


async def redirect(asked: Asked) -> None:
    """Sends everybody elsewhere, to where the file is indeed."""
    where = f"http://127.0.0.1:{asked.front.behind}/api/v1/download/{asked.file_id}".encode()
    await asked.say(b"HTTP/1.1 302 Found\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n")


async def compressed(asked: Asked) -> None:
    """Compresses what it brings."""
    answer = await asked.answer()
    body = gzip.compress(await answer.body.read(-1), 1)
    head = re.sub(rb"(?i)content-length: \d+", b"Content-Encoding: gzip\r\nContent-Length: %d" % len(body), answer.head)
    await asked.say(head + body)


async def without_length(asked: Asked) -> None:
    """Does not say how much comes."""
    answer = await asked.answer()
    head = re.sub(rb"(?i)content-length: \d+", b"Transfer-Encoding: chunked", answer.head)
    await asked.say(head)
    while data := await answer.body.read(BLOCK):
        await asked.say(b"%x\r\n%s\r\n" % (len(data), data))
    await asked.say(b"0\r\n\r\n")


async def endless_headers(asked: Asked) -> None:
    """Never comes to the end of its headers."""
    await asked.say(b"HTTP/1.1 206 Partial Content\r\n")
    while True:
        await asked.say(b"X-More: and more\r\n" * 100)


def lying(content: bytes) -> dict[str, Fault]:
    """What offers other bytes of the same length under their own manifest."""
    pieces = Pieces(len(content))
    pieces.update(memoryview(content))
    manifest = pieces.manifest()

    async def tell(asked: Asked) -> None:
        told = ManifestAnswer(asked.file_id, len(content), manifest.grid.piece_size, manifest.hex_hashes())
        body = msgspec.json.encode(told)
        kind = b"Content-Type: application/json\r\nConnection: close\r\n"
        await asked.say(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (kind, len(body), body))

    async def send(asked: Asked) -> None:
        answer = await asked.answer()
        first, after = answer.brings
        await asked.say(answer.head)
        await asked.say(content[first:after] if answer.is_bytes else await answer.body.read(-1))

    return {"manifest": tell, "download": send, "next": send}
