"""Canaries on loopback that must not be reached, and the same ones reached once the policy allows it."""

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from common.http.addresses import Profile, networks
from common.http.dialling import ForbiddenAddress, Policy, endpoint, open_session
from common.http.outgoing import Outgoing, OutgoingError
from tests.support.listeners import HAS_IPV6, Listener, canary, listening, saying

LOOPBACK = networks(["127.0.0.0/8", "::1"])
PUBLIC = Policy(Profile.PUBLIC, names=True)

SPELLINGS = [
    "127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "0.0.0.0",
    "[::]",
    "0",
    "127.1",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "2130706433",
    "017700000001",
    "１２７.0.0.1",
    "127。0。0。1",
    "localhost",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fec0::1]",
    "169.254.169.254",
    "224.0.0.1",
    "192.88.99.1",
]


@pytest.fixture
async def bird() -> AsyncIterator[Listener]:
    async with canary() as listener:
        yield listener


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_loopback_reaches_it(host: str, bird: Listener) -> None:
    async with Outgoing(PUBLIC) as outgoing:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(bird.url(host), dict)
    assert caught.value.code == "address_not_allowed"
    assert bird.connections == 0


NEEDS_IPV6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6 loopback")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("[::1]", marks=NEEDS_IPV6),
        pytest.param("[::ffff:127.0.0.1]", marks=NEEDS_IPV6),
        "localhost",
        "0x7f.1",
        "１２７.0.0.1",
    ],
)
async def test_the_same_spellings_do_reach_it_when_loopback_is_allowed(host: str, bird: Listener) -> None:
    async with Outgoing(Policy(Profile.PUBLIC, allow=LOOPBACK, names=True)) as outgoing:
        assert await outgoing.get_json(bird.url(host), dict) == {}
    assert bird.connections == 1


async def test_the_session_alone_checks_too(bird: Listener) -> None:
    async with open_session(PUBLIC) as session:
        with pytest.raises(OSError) as caught:
            await session.get(bird.url())
    assert isinstance(caught.value.os_error, ForbiddenAddress)  # type: ignore[attr-defined]
    assert bird.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_even_to_where_one_may_go(status: int, bird: Listener) -> None:
    redirect = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {bird.url()}\r\nContent-Length: 0\r\n\r\n".encode()
    async with listening(saying(redirect)) as server, Outgoing(Policy(Profile.LOOPBACK)) as outgoing:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(server.url(), dict)
    assert (caught.value.code, caught.value.status) == ("source_unavailable", status)
    assert (server.connections, bird.connections) == (1, 0)


async def test_a_session_that_follows_redirects_is_still_stopped_at_the_socket(bird: Listener) -> None:
    redirect = f"HTTP/1.1 302 Found\r\nLocation: {bird.url('127.0.0.1')}\r\nContent-Length: 0\r\n\r\n".encode()
    policy = Policy(Profile.PUBLIC, allow=networks(["127.0.0.9"]))
    async with listening(saying(redirect), ("127.0.0.9",)) as server, open_session(policy) as session:
        with pytest.raises(OSError):
            await session.get(server.url("127.0.0.9"), allow_redirects=True)
    assert (server.connections, bird.connections) == (1, 0)


async def test_names_are_not_dialled_unless_the_policy_says_so(bird: Listener) -> None:
    async with Outgoing(Policy(Profile.LOOPBACK)) as outgoing:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(bird.url("localhost"), dict)
    assert caught.value.code == "address_not_allowed"
    assert bird.connections == 0


async def test_of_the_addresses_of_a_name_only_the_permitted_are_dialled(bird: Listener) -> None:
    addresses = {info[4][0] for info in socket.getaddrinfo("localhost", bird.port, type=socket.SOCK_STREAM)}
    allow = networks(["127.0.0.1"]) if "127.0.0.1" in addresses else networks(["::1"])
    async with Outgoing(Policy(Profile.PUBLIC, allow=allow, names=True)) as outgoing:
        assert await outgoing.get_json(bird.url("localhost"), dict) == {}
    assert bird.connections == 1


class Names(AbstractResolver):
    """Every name has these addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("::ffff:127.0.0.1",),
        ("127.0.0.1", "::1"),
        ("169.254.169.254", "127.0.0.1", "::1", "10.0.0.1"),
        ("2130706433",),
        ("127.1", "127.0.0.1"),
    ],
)
async def test_a_name_of_forbidden_addresses_is_forbidden(addresses: tuple[str, ...], bird: Listener) -> None:
    async with open_session(PUBLIC, Names(*addresses)) as session:
        with pytest.raises(OSError) as caught:
            await session.get(bird.url("files.example.org"))
    assert isinstance(caught.value.os_error, ForbiddenAddress)  # type: ignore[attr-defined]
    assert bird.connections == 0


@pytest.mark.parametrize("port", [1, 22, 80, 443, 1023])
async def test_low_ports_are_not_dialled(port: int) -> None:
    async with Outgoing(Policy(Profile.LOOPBACK)) as outgoing:
        with pytest.raises(OutgoingError) as caught:
            await outgoing.get_json(f"http://127.0.0.1:{port}/", dict)
    assert caught.value.code == "address_not_allowed"


def test_a_low_port_may_be_allowed() -> None:
    Policy(Profile.LOOPBACK, ports=frozenset({80})).check_address("127.0.0.1", 80)
    Policy(Profile.LOOPBACK).check_address("127.0.0.1", 1024)


@pytest.mark.parametrize("chosen", ["127.0.0.1", "localhost", "LocalHost."])
async def test_a_chosen_endpoint_is_dialled_whatever_its_address(chosen: str, bird: Listener) -> None:
    policy = Policy(Profile.PUBLIC, chosen=frozenset({endpoint(f"{chosen}:{bird.port}")}))
    async with Outgoing(policy) as outgoing:
        assert await outgoing.get_json(bird.url(chosen.lower().rstrip(".")), dict) == {}
    assert bird.connections == 1


async def test_choosing_one_endpoint_frees_no_other(bird: Listener) -> None:
    async with canary() as chosen:
        policy = Policy(Profile.PUBLIC, names=True, chosen=frozenset({endpoint(f"localhost:{chosen.port}")}))
        async with Outgoing(policy) as outgoing:
            await outgoing.get_json(chosen.url("localhost"), dict)
            for url in (chosen.url("127.0.0.1"), chosen.url("[::1]"), bird.url("localhost"), bird.url("127.0.0.1")):
                with pytest.raises(OutgoingError) as caught:
                    await outgoing.get_json(url, dict)
                assert caught.value.code == "address_not_allowed"
        assert (chosen.connections, bird.connections) == (1, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:8080", ("localhost", 8080)),
        ("Box.Local.:8080", ("box.local", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("10.0.0.1", ("10.0.0.1", 80)),
        ("https://files.example.org/x", ("files.example.org", 443)),
    ],
)
def test_endpoints_are_read(text: str, expected: tuple[str, int]) -> None:
    assert endpoint(text) == expected


@pytest.mark.parametrize("text", ["", ":8080", "a:99999", "[::1", "ftp://"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        endpoint(text)


def test_forbidden_addresses_read_alike() -> None:
    assert str(ForbiddenAddress()) == str(ForbiddenAddress())
