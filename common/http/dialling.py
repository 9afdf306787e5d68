"""What may be dialled, and the client session and the plain sockets that dial nothing else.

The check sits where a socket is made, the one place that sees literals and whatever a name turned into alike, each as
the very address that is then connected to.
"""

import errno
import socket
from dataclasses import dataclass

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver
from yarl import URL

from common.http.addresses import Address, Network, Profile, canonical, is_forbidden

Endpoint = tuple[str, int]

LOWEST_PORT = 1024
CONNECT_DEADLINE = 3.0  # seconds for one address
SILENCE_DEADLINE = 15.0


class ForbiddenAddress(OSError):
    """The address or port may not be dialled. Every instance reads the same, so that several merge into one."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "this address may not be dialled")


@dataclass(frozen=True, slots=True)
class Policy:
    """Endpoints that the operator chose may be dialled whatever their address. Of what others say: addresses within the
    profile or `allow`, at ports from 1024 up or in `ports`; names only where `names` says so.
    """

    profile: Profile
    allow: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()
    names: bool = False
    chosen: frozenset[Endpoint] = frozenset()

    def check_host(self, host: str) -> None:
        """Raises ForbiddenAddress for a name where names are not dialled."""
        if not self.names:
            _parsed(host)

    def check_address(self, host: str, port: int) -> None:
        """Raises ForbiddenAddress unless this numeric address and port may be dialled."""
        if is_forbidden(_parsed(host), self.profile, self.allow):
            raise ForbiddenAddress
        if port < LOWEST_PORT and port not in self.ports:
            raise ForbiddenAddress


def endpoint(authority: str) -> Endpoint:
    """`HOST:PORT`, or a URL, as an endpoint to choose; the port defaults to the scheme's. Raises ValueError."""
    url = URL(authority if "://" in authority else f"http://{authority}")
    if not url.host or url.port is None:
        raise ValueError(f"{authority!r} does not name a host and a port")
    return url.host.removesuffix(".").lower(), url.port


def dial(policy: Policy, host: str, port: int) -> socket.socket:
    """A connected socket for a thread that reads in blocks. Raises ForbiddenAddress or another OSError."""
    if (host.removesuffix(".").lower(), port) not in policy.chosen:
        policy.check_address(host, port)
    connected = socket.create_connection((host, port), timeout=CONNECT_DEADLINE)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def open_session(policy: Policy | None, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """A session whose every socket `policy` has agreed to; None is for the endpoints that the operator chose."""

    def checked_socket(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if policy is not None:
            policy.check_address(str(address[0]), int(address[1]))
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            socket_factory=checked_socket,
            resolver=resolver,
            limit=256,
            limit_per_host=32,
            # Below what our daemons grant, so that an idle connection is not used just as it closes.
            keepalive_timeout=10.0,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "shoal"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_DEADLINE, sock_read=SILENCE_DEADLINE),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=256 * 1024,
        max_line_size=4096,
        max_field_size=8190,
        max_headers=64,
    )


def _parsed(host: str) -> Address:
    try:
        return canonical(host)
    except ValueError:
        raise ForbiddenAddress from None
