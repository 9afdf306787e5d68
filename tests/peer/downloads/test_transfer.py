"""One transfer from its start to whatever ends it: nothing is left, nothing counted twice, nothing told again."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from common.content.grid import SMALLEST_PIECE as PIECE
from common.errors import Refusal
from common.wire.files import Source
from peer.downloads import events
from peer.downloads.events import Event
from peer.downloads.others import Crowd
from peer.downloads.part_file import PartFile
from peer.downloads.terms import Terms
from peer.downloads.transfer import Transfer
from tests.peer.downloads.conftest import HASTY, Network
from tests.support.sources import Content, halting, honest, keyless, source, with_manifest
from tests.support.waiting import until


def transfer(network: Network, folder: Path, told: list[Event], *sources: Source, sequential: bool = False) -> Transfer:
    async def find() -> Sequence[Source]:
        return sources

    terms = Terms(replace(HASTY, silence=30), sequential=sequential)
    return Transfer(network.content.wanted(folder), network.outgoing, find, told.append, terms)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 20, 100])
async def test_stopped_at_any_moment_and_again_while_it_stops_it_leaves_nothing(
    network: Network, content: Content, tmp_path: Path, turns: int
) -> None:
    stuck = await network.source(with_manifest(content, halting(content, PIECE + 1000)))
    task = asyncio.create_task(transfer(network, tmp_path, [], stuck).run())
    for _ in range(turns):
        await asyncio.sleep(0)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await asyncio.wait([task])
    with closing(PartFile(content.wanted(tmp_path))):  # nobody holds it any more
        pass


class Slow(Crowd):
    """One that takes its time to end."""

    def __init__(self) -> None:
        self.ends, self.gate = asyncio.Event(), asyncio.Event()

    async def end(self) -> None:
        self.ends.set()
        await self.gate.wait()


async def test_it_is_not_over_before_its_threads_are_gone_however_often_it_is_stopped(
    network: Network, content: Content, tmp_path: Path
) -> None:
    stuck = await network.source(with_manifest(content, halting(content, PIECE + 1000)))
    one, crowd = transfer(network, tmp_path, [], stuck), Slow()
    one._crowd = crowd
    task = asyncio.create_task(one.run())
    await until(lambda: one.verified)
    task.cancel()
    await crowd.ends.wait()
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    assert one.part.extents(), "the part is open as long as there are threads"
    crowd.gate.set()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_stopped_while_bytes_come_it_writes_nothing_more(
    network: Network, content: Content, tmp_path: Path
) -> None:
    stuck = await network.source(with_manifest(content, halting(content, PIECE + 1000)))
    one = transfer(network, tmp_path, [], stuck)
    task = asyncio.create_task(one.run())
    await until(lambda: one.verified)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    # Whatever is opened now may get the numbers of its files.
    opened = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(20)]
    await asyncio.sleep(0)
    assert [os.fstat(number).st_size for number in opened] == [0] * 20
    for number in opened:
        os.close(number)


@pytest.mark.parametrize("world", [honest, keyless])
async def test_what_is_told_to_have_come_is_never_more_than_the_file(
    network: Network, content: Content, tmp_path: Path, world: type
) -> None:
    async def breaks_often(request: web.Request) -> web.StreamResponse:
        if len(network.asked["p"]) in (2, 3):
            return await halting(content, PIECE + 1000)(request)
        return await world(content)(request)  # type: ignore[no-any-return]

    told: list[Event] = []
    handler = with_manifest(content, breaks_often) if world is honest else breaks_often
    one = transfer(network, tmp_path, told, await network.source(handler, "p"))
    one.terms = replace(one.terms, patience=HASTY)
    async with asyncio.timeout(20):
        await one.run()
    progress = [event for event in told if isinstance(event, events.Progress)]
    assert all(event.verified <= event.received <= event.total for event in progress)
    assert (progress[-1].verified, progress[-1].received) == (len(content.data),) * 2


async def test_for_who_watches_the_pieces_come_in_order(network: Network, content: Content, tmp_path: Path) -> None:
    one = transfer(network, tmp_path, [], await network.source(honest(content), "p"), sequential=True)
    await one.run()
    starts = [int(asked[6:].split("-")[0]) for asked in network.asked["p"] if asked]
    assert len(starts) == len(set(starts))
    assert network.pieces_asked("p") == list(range(12))


async def test_a_source_whose_address_is_refused_is_told_of_once(
    network: Network, content: Content, tmp_path: Path
) -> None:
    told: list[Event] = []
    one = transfer(network, tmp_path, told, source("http://127.0.0.1:2000/elsewhere", "lost"))
    for _ in range(3):
        one.hear([source("http://127.0.0.1:2000/elsewhere", "lost")])
    with pytest.raises(Refusal):
        await one.run()
    assert [event.peer_id for event in told if isinstance(event, events.SourceFailed)] == ["lost"]


async def test_a_source_that_is_heard_of_later_is_used(network: Network, content: Content, tmp_path: Path) -> None:
    stuck = await network.source(with_manifest(content, halting(content, 1000)), "stuck")
    one = transfer(network, tmp_path, [], stuck)
    task = asyncio.create_task(one.run())
    await until(lambda: network.asked["stuck"])
    one.hear([await network.source(honest(content), "good")])
    async with asyncio.timeout(20):
        assert Path(await task).read_bytes() == content.data


async def test_a_part_that_somebody_shortens_is_no_proof(network: Network, content: Content, tmp_path: Path) -> None:
    stuck = await network.source(with_manifest(content, halting(content, PIECE)), "stuck")
    one = transfer(network, tmp_path, [], stuck)
    task = asyncio.create_task(one.run())
    await until(lambda: one.verified)
    os.truncate(content.part(tmp_path), 0)
    one.hear([await network.source(honest(content), "good")])
    async with asyncio.timeout(20):
        await asyncio.wait([task])
    assert task.exception() is not None or Path(task.result()).read_bytes() == content.data
