"""Requests in their threads: what they write, what they tell, and that all of it ends."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web

from common.content.grid import SMALLEST_PIECE as PIECE
from common.content.grid import Grid
from common.http.addresses import Profile
from common.http.dialling import Policy
from common.serving.bandwidth import Bandwidth, Rates
from peer.downloads.errands import Begun, DiskFailed, Ended, Errand, News, Proven
from peer.downloads.lanes import Lanes
from peer.downloads.part_file import PartFile
from peer.downloads.requests import Request
from peer.downloads.standing import SourceTrouble, Standing
from tests.peer.downloads.conftest import HASTY
from tests.support.listeners import listening, saying, silence
from tests.support.sources import Content, Handler, asked_for, flipped, halting, honest, serve, source
from tests.support.waiting import until


@dataclass
class Work:
    """Lanes at work; `news` is what they told."""

    content: Content
    part: PartFile
    lanes: Lanes
    stack: AsyncExitStack
    news: list[News] = field(default_factory=list)
    has: str = ""
    grants: bool = True

    def ask(self, at: str, first: int, last: int) -> Request:
        url = f"http://{at}/api/v1/download/{self.content.id}"
        request = Request(Standing(source(url), HASTY), 0.0, first, last, first)
        self.lanes.ask(request, url)
        return request

    async def ended(self, request: Request) -> SourceTrouble | None:
        """How a request ended; a piece that the source chose is granted meanwhile."""

        def is_over() -> bool:
            if self.grants and any(isinstance(each, Begun) and each.request is request for each in self.news):
                self.lanes.grant(request)
            return any(isinstance(each, Ended | DiskFailed) and each.request is request for each in self.news)

        await until(is_over)
        last = next(each for each in self.news if isinstance(each, Ended | DiskFailed) and each.request is request)
        assert isinstance(last, Ended)
        return last.trouble

    def proven(self, request: Request) -> list[int]:
        return [each.piece for each in self.news if isinstance(each, Proven) and each.request is request]

    def written(self, piece: int) -> bytes:
        buffer = memoryview(bytearray(PIECE))
        count = self.part.read_into(buffer, piece * PIECE)
        return bytes(buffer[:count])

    def right(self, piece: int) -> bytes:
        return self.content.data[piece * PIECE : (piece + 1) * PIECE]

    async def serve(self, handler: Handler) -> str:
        return await serve(self.stack, handler)


@asynccontextmanager
async def working(content: Content, folder: Path, bandwidth: Bandwidth | None = None) -> AsyncIterator[Work]:
    async with AsyncExitStack() as stack:
        part = PartFile(content.wanted(folder))
        stack.callback(part.close)
        patience = replace(HASTY, head=1.0)
        news: list[News] = []
        lanes = Lanes(
            part, content.id, Grid.of(len(content.data)), Policy(Profile.LOOPBACK), patience, news.append, bandwidth,
            {"X-Peer-ID": "me"}, lambda: made.has,
        )  # fmt: skip
        lanes.manifest = content.manifest()
        made = Work(content, part, lanes, stack, news)
        stack.push_async_callback(asyncio.to_thread, lanes.close)
        yield made


@pytest.fixture
async def work(content: Content, tmp_path: Path) -> AsyncIterator[Work]:
    async with working(content, tmp_path) as made:
        yield made


async def test_a_run_of_pieces_is_written_where_it_belongs_and_told_in_order(work: Work) -> None:
    request = work.ask(await work.serve(honest(work.content)), 2, 5)
    assert await work.ended(request) is None
    assert [type(each) for each in work.news] == [Begun, Proven, Proven, Proven, Proven, Ended]
    assert work.proven(request) == [2, 3, 4, 5]
    assert all(work.written(piece) == work.right(piece) for piece in (2, 3, 4, 5))
    assert work.lanes.received(request) == 4 * PIECE
    assert not any(work.written(0))


async def test_a_connection_is_used_again_and_one_that_had_ended_does_no_harm(work: Work) -> None:
    peers: list[object] = []

    async def noting(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        assert request.headers["X-Peer-ID"] == "me"
        peers.append(request.transport.get_extra_info("peername"))
        response = await honest(work.content)(request)
        if len(peers) == 2:
            await response.prepare(request)
            assert isinstance(response, web.Response)
            await response.write_eof()
            asyncio.get_running_loop().call_soon(request.transport.close)
        return response

    at = await work.serve(noting)
    for piece in range(4):
        request = work.ask(at, piece, piece)
        assert await work.ended(request) is None
        assert work.proven(request) == [piece]
    assert peers[0] == peers[1]
    assert peers[1] != peers[2] or len(peers) > 3


async def test_a_wrong_piece_ends_the_request_and_is_not_told_as_proven(work: Work) -> None:
    wrong = bytearray(work.content.data)
    wrong[3 * PIECE + 7] ^= 1
    request = work.ask(await work.serve(honest_but(bytes(wrong), work.content)), 2, 5)
    trouble = await work.ended(request)
    assert trouble is not None
    assert trouble.outcome == "corrupt"
    assert work.proven(request) == [2]


def honest_but(data: bytes, content: Content) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        span, headers = asked_for(request, len(content.data))
        return web.Response(status=206, body=data[span], headers=headers)

    return handle


async def test_a_request_that_is_trimmed_ends_with_the_piece_on_its_way(work: Work) -> None:
    gate = asyncio.Event()

    async def halfway(request: web.Request) -> web.StreamResponse:
        span, headers = asked_for(request, len(work.content.data))
        response = web.StreamResponse(status=206, headers=headers)
        response.content_length = span.stop - span.start
        await response.prepare(request)
        await response.write(work.content.data[span][: PIECE + 1000])
        await gate.wait()
        await response.write(work.content.data[span][PIECE + 1000 :])
        return response

    work.lanes.patience = replace(HASTY, silence=30)
    request = work.ask(await work.serve(halfway), 2, 5)
    await until(lambda: work.lanes.received(request) >= PIECE + 1000)
    assert work.lanes.trim(request, 2) == 3
    gate.set()
    assert await work.ended(request) is None
    assert work.proven(request) == [2, 3]
    assert work.written(4) in (b"", bytes(len(work.written(4)))), "what was let go of is not written"


async def test_one_that_is_cancelled_ends_at_once_with_the_reason_that_was_given(work: Work) -> None:
    work.lanes.patience = replace(HASTY, silence=600)
    request = work.ask(await work.serve(halting(work.content, 1000)), 0, 5)
    await until(lambda: work.lanes.received(request))
    why = SourceTrouble("slow", "is slow")
    work.lanes.cancel(request, why)
    assert await work.ended(request) is why
    work.lanes.forget(request)
    work.lanes.cancel(request, None)
    assert work.lanes.received(request) == request.received == 0


async def test_all_threads_end_whatever_their_sources_do(work: Work) -> None:
    work.lanes.patience = replace(HASTY, silence=600, head=600)
    async with listening(saying(then=silence)) as listener:
        for piece in range(6):
            work.ask(f"127.0.0.1:{listener.port}", piece, piece)
        work.ask(await work.serve(halting(work.content, 1000)), 6, 7)
        await until(lambda: listener.connections == 6)
        async with asyncio.timeout(10):
            await asyncio.to_thread(work.lanes.close)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]
        assert len([each for each in work.news if isinstance(each, Ended)]) == 7


def choosing(content: Content, piece: int, told: Callable[[web.Request], None] = lambda request: None) -> Handler:
    """A source that chooses this piece."""

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.path == f"/api/v1/next/{content.id}"
        told(request)
        span = slice(piece * PIECE, min((piece + 1) * PIECE, len(content.data)))
        headers = {"Content-Range": f"bytes {span.start}-{span.stop - 1}/{len(content.data)}"}
        return web.Response(status=206, body=content.data[span], headers=headers)

    return handle


async def test_a_piece_of_the_source_s_choice_is_fetched(work: Work) -> None:
    heads: list[str] = []
    work.has = "gAA="
    request = work.ask(
        await work.serve(choosing(work.content, 11, lambda r: heads.append(r.headers["X-Have"]))), -1, -1
    )
    assert await work.ended(request) is None
    assert heads == ["gAA="]
    assert [(each.piece) for each in work.news if isinstance(each, Begun)] == [11]
    assert work.proven(request) == [11]
    assert work.written(11) == work.right(11)


async def test_a_piece_that_nobody_wants_from_it_is_not_written(work: Work) -> None:
    """It may be proven already, or on its way from another: whatever a source chooses, it spoils nothing."""
    good = work.ask(await work.serve(honest(work.content)), 3, 3)
    assert await work.ended(good) is None
    work.grants = False
    wrong = Content(flipped(work.content.data[3 * PIECE :]))

    async def spoils(request: web.Request) -> web.StreamResponse:
        size = len(work.content.data)
        headers = {"Content-Range": f"bytes {3 * PIECE}-{4 * PIECE - 1}/{size}"}
        return web.Response(status=206, body=wrong.data[:PIECE], headers=headers)

    request = work.ask(await work.serve(spoils), -1, -1)
    await until(lambda: any(isinstance(each, Begun) and each.request is request for each in work.news))
    work.lanes.cancel(request, None)
    assert await work.ended(request) is None
    assert work.written(3) == work.right(3)
    assert work.lanes.received(request) == 0


@pytest.mark.parametrize("status", [204, 404])
async def test_a_source_that_chooses_nothing_more_is_remembered_as_such(work: Work, status: int) -> None:
    async def nothing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    request = work.ask(await work.serve(nothing), -1, -1)
    assert await work.ended(request) is None
    assert not request.standing.gives_next


@pytest.mark.parametrize("span", [f"bytes 1-{PIECE}/3000000", "bytes 0-0/3000000", "bytes 0-524287/3000000"])
async def test_what_is_no_piece_is_not_taken(work: Work, span: str) -> None:
    async def odd(request: web.Request) -> web.StreamResponse:
        first, _, last = span.removeprefix("bytes ").partition("/")[0].partition("-")
        return web.Response(status=206, body=bytes(int(last) - int(first) + 1), headers={"Content-Range": span})

    request = work.ask(await work.serve(odd), -1, -1)
    trouble = await work.ended(request)
    assert trouble is not None
    assert trouble.outcome == "refused"
    assert work.part.extents() == []


async def test_addresses_that_the_policy_forbids_are_not_dialled(work: Work) -> None:
    for at in ("10.0.0.1:2000", "169.254.169.254:80", "localhost:2000", "127.0.0.1:80"):
        trouble = await work.ended(work.ask(at, 0, 0))
        assert trouble is not None
        assert trouble.outcome == "refused"


async def test_a_disk_that_does_not_take_it_is_told_apart_from_the_source(work: Work) -> None:
    work.part.close()
    request = work.ask(await work.serve(honest(work.content)), 0, 0)
    await until(lambda: any(isinstance(each, Ended | DiskFailed) for each in work.news))
    assert not any(isinstance(each, Ended) and each.trouble for each in work.news)
    assert work.proven(request) == []
    work.part.__init__(work.content.wanted(Path(work.part.path).parent))  # type: ignore[misc]


async def test_within_a_limit_all_of_it_comes_too(content: Content, tmp_path: Path) -> None:
    content.data = random.Random(1).randbytes(PIECE + 10)
    async with working(content, tmp_path, Bandwidth(lambda address: False, Rates(total=4_000_000))) as work:
        request = work.ask(await work.serve(honest(content)), 0, 1)
        assert await work.ended(request) is None
        assert work.written(0) + work.written(1) == content.data


async def test_a_limit_does_not_hold_up_a_stop(content: Content, tmp_path: Path) -> None:
    async with working(content, tmp_path, Bandwidth(lambda address: False, Rates(total=1))) as work:
        request = work.ask(await work.serve(honest(content)), 0, 11)
        await until(lambda: work.lanes.received(request) or work.news)
        async with asyncio.timeout(10):
            await asyncio.to_thread(work.lanes.close)


def errand(first: int = 0, last: int = 5) -> Errand:
    from yarl import URL

    request = Request(Standing(source("http://127.0.0.1:2000/"), HASTY), 0.0, first, last, first)
    return Errand(request, URL("http://127.0.0.1:2000/"), first, last)


def test_an_errand_is_trimmed_to_what_it_has_not_begun() -> None:
    one = errand()
    assert one.trim(9) == 5
    assert one.enter(0)
    assert one.enter(3)
    assert one.trim(1) == 3
    assert not one.enter(4)
    assert one.trim(5) == 3


def test_an_errand_that_is_cancelled_begins_nothing_and_keeps_the_first_reason() -> None:
    one = errand()
    first = SourceTrouble("slow", "")
    one.cancel(first)
    one.cancel(SourceTrouble("busy", ""))
    assert one.why is first
    assert not one.enter(0)
    assert one.granted.is_set()
    assert not one.release()


async def test_an_answer_is_judged_by_what_was_asked_however_the_request_was_trimmed_meanwhile(work: Work) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        asked.set()
        await gate.wait()
        return await honest(work.content)(request)

    request = work.ask(await work.serve(late), 2, 5)
    await asked.wait()
    assert work.lanes.trim(request, 3) == 3
    gate.set()
    assert await work.ended(request) is None
    assert work.proven(request) == [2, 3]
