"""Which peers can be dialled, found out over real sockets, under a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from superpeer.peers.dial_back import AGAIN, SHORTEST, outward
from superpeer.peers.presence import Seat
from tests.support.listeners import canary, listening, silence
from tests.support.network import free_port
from tests.support.peers import KeyedPeer, Peer
from tests.support.sources import Handler, serve
from tests.support.superpeers import Site, serving
from tests.support.waiting import until


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path, dial_back=True) as served:
        yield served


def seat_of(site: Site, peer: Peer) -> Seat:
    seat = site.daemon.presence.find(peer.id)
    assert seat is not None
    return seat


def telling(body: object, status: int = 200) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.path == "/api/v1/info"
        return web.json_response(body, status=status)

    return handle


async def dialled(site: Site, peer: Peer, handler: Handler | None) -> bool | None:
    """What is found when `handler` answers where the peer registers (None: nobody does)."""
    async with AsyncExitStack() as stack:
        where = await serve(stack, handler) if handler else f":{free_port()}"
        peer.port = int(where.rpartition(":")[2])
        await peer.register()
        await until(lambda: seat_of(site, peer).direct is not None)
        return seat_of(site, peer).direct


async def test_a_peer_that_answers_by_its_id_is_direct(site: Site) -> None:
    peer = KeyedPeer(site)
    assert await dialled(site, peer, telling({"id": peer.id, "name": "x"})) is True
    assert (await peer.beat())["direct"] is True
    assert (await site.get(f"/api/v1/peers/{peer.id}"))["direct"] is True


async def redirecting(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})


async def endless(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b" " * 1_000_000)


@pytest.mark.parametrize(
    "handler",
    [
        None,
        telling({"id": "a" * 52}),
        telling({}),
        telling([]),
        telling({"id": 7}),
        telling({"id": "x"}, 500),
        redirecting,
        endless,
    ],
    ids=["nobody", "another", "nothing", "a list", "a number", "a fault", "a redirect", "too much"],
)
async def test_a_peer_of_which_somebody_else_answers_or_nobody_is_not(site: Site, handler: Handler | None) -> None:
    peer = KeyedPeer(site)
    assert await dialled(site, peer, handler) is False
    assert (await peer.beat())["direct"] is False
    assert (await site.get("/api/v1/peers"))[0]["direct"] is False


async def test_of_a_program_any_answer_will_do(site: Site) -> None:
    assert await dialled(site, Peer(site, "p"), telling({}, 404)) is True
    assert await dialled(site, Peer(site, "q"), telling({})) is True
    assert await dialled(site, Peer(site, "r"), None) is False


async def test_a_registration_waits_for_nobody(site: Site) -> None:
    async with listening(silence) as listener:
        peer = KeyedPeer(site, port=listener.port)
        told = await peer.register()
        assert told["first_heartbeat"] == 4.0
        await until(lambda: listener.connections == 1)
        assert seat_of(site, peer).direct is None
        assert (await peer.beat())["direct"] is True  # believed until it is known better


async def test_a_peer_is_not_dialled_as_often_as_it_registers(site: Site) -> None:
    times = 0

    async def counting(request: web.Request) -> web.StreamResponse:
        nonlocal times
        times += 1
        return web.json_response({})

    async with AsyncExitStack() as stack:
        peer = KeyedPeer(site, port=int((await serve(stack, counting)).rpartition(":")[2]))
        for _ in range(5):
            await peer.register()
            await until(lambda: seat_of(site, peer).direct is False)
        assert times == 1
        site.clock.advance(SHORTEST)
        await until(lambda: times == 2)


async def test_what_could_not_be_dialled_is_tried_again(site: Site) -> None:
    peer = KeyedPeer(site)
    assert await dialled(site, peer, None) is False
    async with AsyncExitStack() as stack:
        where = await serve(stack, telling({"id": peer.id}))
        seat = seat_of(site, peer)
        seat.port = int(where.rpartition(":")[2])
        site.clock.advance(AGAIN)
        seat.heard = site.clock.monotonic()
        await until(lambda: seat.direct is True)


async def test_what_is_known_outlasts_a_registration_from_the_same_place(site: Site) -> None:
    peer = KeyedPeer(site)
    assert await dialled(site, peer, None) is False
    await peer.register()
    assert seat_of(site, peer).direct is False
    peer.port = free_port()
    await peer.register()
    assert seat_of(site, peer).direct is None


async def test_a_privileged_port_is_not_dialled(site: Site) -> None:
    peer = KeyedPeer(site, port=80)
    await peer.register()
    await until(lambda: seat_of(site, peer).direct is False)


async def test_peers_known_from_before_a_restart_are_dialled(tmp_path: Path) -> None:
    async with canary() as listener:
        async with serving(tmp_path, dial_back=False) as site:
            peer = KeyedPeer(site, port=listener.port)
            assert (await peer.register())["first_heartbeat"] is None
            assert listener.connections == 0
        async with serving(tmp_path, dial_back=True) as site:
            await until(lambda: seat_of(site, peer).direct is False)


async def test_one_that_only_this_machine_reaches_is_direct_for_this_machine_alone(site: Site) -> None:
    async with AsyncExitStack() as stack:
        peer = KeyedPeer(site)
        where = await serve(stack, telling({"id": peer.id}))
        site.daemon._dial_back.outward = "127.0.0.2"  # where it does not listen, as another machine's address
        peer.port = int(where.rpartition(":")[2])
        await peer.register()
        await until(lambda: seat_of(site, peer).direct is False)
        assert seat_of(site, peer).near
        assert (await peer.beat())["direct"] is False
        await peer.share("a.txt")
        (source,) = await site.get(f"/api/v1/files/{(await site.get('/api/v1/files'))[0]['id']}/sources")
        assert source["direct"]


def test_the_outward_address_is_the_one_that_is_listened_on() -> None:
    assert outward("127.0.0.1") == outward("::1") == ""
    assert outward("192.168.1.7") == "192.168.1.7"
    assert outward("::") == outward("0.0.0.0") != "0.0.0.0"


async def test_it_ends_amid_dialling(tmp_path: Path) -> None:
    async with listening(silence) as listener:
        async with serving(tmp_path, dial_back=True) as site:
            for number in range(20):
                await KeyedPeer(site, f"peer {number}", listener.port).register()
            await until(lambda: listener.connections >= 16)
            await asyncio.sleep(0)
        assert listener.connections == 16  # at one time
