"""Where a command works: the configuration, the two daemons' addresses, and whom a fetch may dial."""

import asyncio
import socket
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from os import environ, path

from common.http.addresses import Profile, Reach, canonical, reach, url_host
from common.http.dialling import Policy, endpoint
from common.http.outgoing import Outgoing
from common.runtime.config import Config
from common.runtime.kinds import ADDRESS
from common.runtime.settings import load_config
from peer.control.arguments import authority
from peer.control.exits import Exit, Stop
from peer.control.output import Output
from peer.control.remote import OwnPeer, SuperPeer

TOKEN_FILE = "owner-token"
LOOK_DEADLINE = 2.0  # seconds to find out whether a peer runs here
_ALL_INTERFACES = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Network:
    """A super-peer, and the way to it and to the sources that it names."""

    super_peer: SuperPeer
    outgoing: Outgoing


class Surroundings:
    """What the flags and the configuration say. Raises ConfigError, or Stop for a wrong --peer."""

    def __init__(self, given: Namespace, output: Output) -> None:
        flags = {"peer.super_peer_address": authority("--super-peer", given.super_peer), "peer.data": given.data}
        self.config: Config = load_config(given.config, environ, flags, daemon="peer").config
        self.output = output
        self._peer_address = _peer_address(authority("--peer", given.peer), self.config)
        self.super_peer_named = given.super_peer is not None

    @asynccontextmanager
    async def own_peer(self) -> AsyncIterator[OwnPeer]:
        """The peer on this machine, running or not."""
        policy = Policy(Profile.LOOPBACK, chosen=frozenset({endpoint(self._peer_address)}))
        async with Outgoing(policy) as outgoing:
            yield OwnPeer(outgoing, self._peer_address, path.join(self.config.peer.data, TOKEN_FILE))

    @asynccontextmanager
    async def network(self) -> AsyncIterator[Network]:
        """The network of --super-peer, else of the peer that runs here, else of the configuration."""
        address = self.config.peer.super_peer_address
        if not self.super_peer_named:
            address = await self._peers_super_peer() or address
        policy = Policy(
            await self._profile(address),
            allow=self.config.peer.dial_allow,
            chosen=frozenset({endpoint(address)}),
        )
        async with Outgoing(policy) as outgoing:
            yield Network(SuperPeer(outgoing, address), outgoing)

    async def _peers_super_peer(self) -> str | None:
        async with self.own_peer() as peer:
            try:
                return str(ADDRESS.read((await peer.info(LOOK_DEADLINE)).config.super_peer_address))
            except (Stop, ValueError):
                return None

    async def _profile(self, super_peer: str) -> Profile:
        """Sources are looked for where the super-peer is: near for one that is near, else in the Internet."""
        if self.config.security.profile != "auto":
            return Profile(self.config.security.profile)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(*endpoint(super_peer), type=socket.SOCK_STREAM)
        except OSError:
            return Profile.LAN
        near = any(reach(canonical(str(address[0]))) is not Reach.GLOBAL for *_, address in found)
        return Profile.LAN if near else Profile.PUBLIC


def _peer_address(given: str | None, config: Config) -> str:
    if given is None:
        host = _ALL_INTERFACES.get(config.peer.host, config.peer.host)
        return f"{url_host(host)}:{config.peer.port}"
    try:
        return str(ADDRESS.read(given))
    except ValueError:
        raise Stop(Exit.USAGE, "invalid_parameter", f"--peer is {given!r}, expected {ADDRESS.expected}.") from None
