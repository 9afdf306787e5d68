"""Real transfers on loopback that fetch the same file and help one another."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from common import errors
from common.content.grid import SMALLEST_PIECE as PIECE
from common.http.addresses import Profile
from common.http.dialling import Policy
from common.http.outgoing import Outgoing
from common.wire.files import Source
from common.wire.transfer import Have, SwarmAnswer, SwarmRequest
from peer.downloads import events
from peer.downloads.crowd import Swarm
from peer.downloads.events import Event
from peer.downloads.terms import Terms
from peer.downloads.transfer import Transfer
from tests.peer.downloads.conftest import HASTY
from tests.support.crowds import FakeSwarm, Member, member
from tests.support.sources import Content, asked_for, honest, serve, source, with_manifest
from tests.support.waiting import until

COUNT = 24


@pytest.fixture
def content() -> Content:
    return Content(os.urandom((COUNT - 1) * PIECE + 1000))


class Stage:
    """A crowd around one content."""

    def __init__(self, content: Content, folder: Path, stack: AsyncExitStack, outgoing: Outgoing) -> None:
        self.content = content
        self.folder = folder
        self.stack = stack
        self.outgoing = outgoing
        self.swarm = FakeSwarm(content, [])
        self.told: list[Event] = []

    async def member(self, name: str) -> Member:
        return await self.stack.enter_async_context(member(self.folder / name))

    async def seed(self) -> Member:
        made = await self.member("seed")
        made.shelf.put(self.content.data)
        made.known[self.content.id] = self.content
        self.swarm.seeds.append(made.source(self.content, complete=True))
        return made

    def source(self, address: str, name: str, complete: bool = True) -> Source:
        """Somebody at this address who announces the true manifest."""
        plain = source(f"http://{address}/api/v1/download/{self.content.id}", name, complete)
        return msgspec.structs.replace(plain, manifest=self.content.manifest().digest)

    def transfer(self, at: Member, sources: Sequence[Source] | None = None) -> Transfer:
        async def find() -> Sequence[Source]:
            return self.swarm.seeds if sources is None else sources

        (self.folder / f"got{at.port}").mkdir(exist_ok=True)
        wanted = self.content.wanted(self.folder / f"got{at.port}")
        crowd = Swarm(at.holdings, partial(self.swarm.announce, at), self.outgoing, at.port)
        patience = replace(HASTY, silence=5, waiting=10)
        return Transfer(wanted, self.outgoing, find, self.told.append, Terms(patience), crowd)


@asynccontextmanager
async def staged(content: Content, folder: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(Outgoing(Policy(Profile.LOOPBACK)))
        yield Stage(content, folder, stack, outgoing)


@pytest.fixture
async def stage(content: Content, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(content, tmp_path) as made:
        yield made


def failures(stage: Stage) -> list[tuple[str, str]]:
    return [(event.peer_id, event.outcome) for event in stage.told if isinstance(event, events.SourceFailed)]


async def test_three_that_fetch_the_same_all_get_it_and_nobody_is_blamed(stage: Stage) -> None:
    await stage.seed()
    members = [await stage.member(f"m{number}") for number in range(3)]
    paths = await asyncio.gather(*(stage.transfer(each).run() for each in members))
    assert all(Path(path).read_bytes() == stage.content.data for path in paths)
    assert not [failure for failure in failures(stage) if failure[1] == "corrupt"]
    assert sum(request.leaving for request in stage.swarm.told) == 3
    assert stage.swarm.members == {}


async def test_pieces_that_only_another_fetcher_has_come_from_it(stage: Stage) -> None:
    """One has half of the file, and who has everything is busy until that half has gone round."""
    first, second = await stage.member("m0"), await stage.member("m1")
    first.known[stage.content.id] = stage.content
    half = COUNT // 2 * PIECE
    gate = asyncio.Event()

    async def busy(request: web.Request) -> web.StreamResponse:
        if not gate.is_set():
            return web.Response(status=503, headers={"Retry-After": "0"})
        return await honest(stage.content)(request)

    address = await serve(stage.stack, with_manifest(stage.content, busy))
    seed = first.source(stage.content, complete=True)
    seed = Source(
        "seed", f"http://{address}/api/v1/download/{stage.content.id}", True, seed.manifest, 50, "", 0, True, ""
    )
    part = stage.transfer(first, [seed])
    Path(part.wanted.folder, stage.content.part(Path(part.wanted.folder)).name).write_bytes(stage.content.data[:half])
    other = stage.transfer(second, [seed])
    running = [asyncio.create_task(each.run()) for each in (part, other)]
    await until(lambda: other.verified == half)
    assert second.holdings.find(stage.content.id) is not None
    assert other.course.plan.standings[first.source(stage.content, False).url].verified == half
    gate.set()
    for path in await asyncio.gather(*running):
        assert Path(path).read_bytes() == stage.content.data


async def test_who_stops_offers_nothing_any_more_and_who_is_done_goes_on_for_a_while(stage: Stage) -> None:
    gate = asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await honest(stage.content)(request)

    address = await serve(stage.stack, with_manifest(stage.content, held))
    me = await stage.member("m0")
    seed = stage.source(address, "seed")
    stopped = asyncio.create_task(stage.transfer(me, [seed]).run())
    await until(lambda: me.holdings.find(stage.content.id))
    stopped.cancel()
    await asyncio.wait([stopped])
    assert me.holdings.find(stage.content.id) is None
    gate.set()
    await stage.transfer(me, [seed]).run()
    holding = me.holdings.find(stage.content.id)
    assert holding is not None
    assert holding.is_complete
    assert [request.leaving for request in stage.swarm.told][-1]


async def test_after_a_false_proof_nothing_is_offered(stage: Stage) -> None:
    """The manifest was false: what was offered under it is not what is on the disk any more."""
    other = Content(bytes([stage.content.data[0] ^ 1]) + stage.content.data[1:])

    async def lying(request: web.Request) -> web.StreamResponse:
        if "/manifest/" in request.path:
            manifest = other.manifest()
            return web.json_response(
                {
                    "id": stage.content.id,
                    "size": manifest.size,
                    "piece_size": manifest.grid.piece_size,
                    "pieces": manifest.hex_hashes(),
                }
            )
        span, headers = asked_for(request, len(other.data))
        return web.Response(status=206 if headers else 200, body=other.data[span], headers=headers)

    address = await serve(stage.stack, lying)
    me = await stage.member("m0")
    liar = source(f"http://{address}/api/v1/download/{stage.content.id}", "liar")
    with pytest.raises(errors.Refusal) as refused:
        await stage.transfer(me, [liar]).run()
    assert refused.value.code == "proof_failed"
    assert me.holdings.find(stage.content.id) is None


@pytest.mark.parametrize("away", ["refuses", "hangs"])
async def test_without_a_super_peer_the_transfer_goes_on_and_ends(
    stage: Stage, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.downloads.crowd.FIRST_ANSWER", 0.01)
    monkeypatch.setattr("peer.downloads.crowd.GOODBYE", 0.01)
    await stage.seed()
    me = await stage.member("m0")

    async def announce(me: Member, file_id: str, request: SwarmRequest) -> SwarmAnswer:
        if away == "hangs":
            await asyncio.Event().wait()
        raise errors.Unavailable("source_unavailable", "It is away.")

    monkeypatch.setattr(stage.swarm, "announce", announce)
    async with asyncio.timeout(10):
        path = await stage.transfer(me).run()
    assert Path(path).read_bytes() == stage.content.data


LIES = {
    "no JSON": b"what?\n",
    "pieces that the file does not have": b'{"add":[99]}\n',
    "negative pieces": b'{"add":[-1]}\n',
    "a line without end": b"[" * (1 << 20),
    "nothing": b"",
    "all of a sudden everything": b'{"complete":true}\n',
}


@pytest.mark.parametrize("lie", LIES)
async def test_news_that_make_no_sense_do_no_harm(stage: Stage, lie: str) -> None:
    await stage.seed()
    me = await stage.member("m0")
    digest = stage.content.manifest().digest

    async def liar(request: web.Request) -> web.StreamResponse:
        if "/have/" not in request.path:
            raise web.HTTPNotFound
        response = web.StreamResponse()
        await response.prepare(request)
        have = Have(stage.content.id, len(stage.content.data), PIECE, digest, False, "AAAA")
        await response.write(msgspec.json.encode(have) + b"\n" + LIES[lie])
        return response

    address = await serve(stage.stack, liar)
    stage.swarm.members[1] = stage.source(address, "liar", complete=False)
    path = await stage.transfer(me).run()
    assert Path(path).read_bytes() == stage.content.data


async def test_who_follows_us_is_known_by_its_address_whoever_it_says_it_is(stage: Stage) -> None:
    await stage.seed()
    me = await stage.member("m0")
    transfer = stage.transfer(me)
    swarm = Swarm(me.holdings, partial(stage.swarm.announce, me), stage.outgoing, me.port)
    heard: list[Source] = []
    transfer.hear = heard.extend  # type: ignore[method-assign,assignment]
    swarm._transfer, swarm._manifest = transfer, stage.content.manifest().digest
    swarm._met("127.0.0.1", 2345)
    assert [(each.peer_id, each.complete) for each in heard] == [("127.0.0.1:2345", False)]
    await swarm.end()
