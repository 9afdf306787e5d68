"""The super-peer, put together: every object built once, read downwards."""

import asyncio
import logging
import socket
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from aiohttp import web

from common.database.folder_lock import FolderLock
from common.http.addresses import (
    Network,
    Profile,
    canonical,
    client_address,
    is_loopback_host,
    profile_of,
    source_allowed,
)
from common.http.application import Boundary, make_application
from common.http.callers import TRUSTED_PROXIES, own_names, super_peer_callers
from common.http.connection import ConnectionLimits
from common.http.dialling import Policy
from common.http.endpoint import install
from common.http.health import HealthPages
from common.http.hub import Hub
from common.http.metrics import MetricsPage, Reading, Requests
from common.http.operations import Document
from common.http.outgoing import Outgoing
from common.runtime.clock import Clock, SystemClock
from common.runtime.config import Config
from common.runtime.tasks import Jobs
from superpeer import api
from superpeer.dashboard.pages import MENU, Pages, failure
from superpeer.dashboard.reads import Reads
from superpeer.dashboard.whereabouts import whereabouts
from superpeer.database.connections import Database
from superpeer.files.at_hand import AtHand
from superpeer.files.counting import Counts
from superpeer.files.export_routes import ExportRoutes
from superpeer.files.index import Index
from superpeer.files.routes import FileRoutes
from superpeer.files.shelf import Shelf
from superpeer.files.swarms import Swarms
from superpeer.files.torrent_hashes import TorrentHashes
from superpeer.files.transfer_routes import TransferRoutes
from superpeer.network.news import News
from superpeer.network.routes import NetworkRoutes
from superpeer.network.statistics import Statistics
from superpeer.peers.dial_back import KNOWN_WITHIN, DialBack, outward
from superpeer.peers.opinions import OpinionStore
from superpeer.peers.presence import Presence, Seat
from superpeer.peers.registry import Admission, Registry
from superpeer.peers.routes import PeerRoutes
from superpeer.peers.standings import Standings
from superpeer.peers.store import PeerStore
from superpeer.relay.live import Lines
from superpeer.relay.relaying import Relaying
from superpeer.relay.routes import RelayRoutes
from superpeer.relay.switchboard import Switchboard
from web.render import setup_pages

log = logging.getLogger("shoal.superpeer")

VERSION = version("shoal")
DATABASE_FILE = "superpeer.sqlite"
WRITE_BEHIND = 5.0  # seconds
EXPIRY = 1.0
FOLLOW = 0.5
LEFT = frozenset({"peer_offline", "peer_forgotten"})


@lru_cache(maxsize=4096)
def one_spelling(remote: str, forwarded: str | None, trusted: tuple[Network, ...]) -> str:
    """Who asks, for comparing addresses as text. Kept, since every heartbeat asks."""
    return client_address(remote, forwarded or None, trusted)


class SuperPeer:
    """One super-peer. `open` and `close` are called around its time of listening."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self._settings = settings = config.super_peer
        self._clock = clock = clock or SystemClock()
        self._folder = Path(settings.data)
        self._lock: FolderLock | None = None
        self._outgoing: Outgoing | None = None
        self._why_not_ready: str | None = "starting"
        self._profile = profile = profile_of(settings.host, config.security.profile)
        require_identity = config.security.require_identity
        if require_identity is None:
            require_identity = profile is Profile.PUBLIC

        self.database = Database(self._folder / DATABASE_FILE)
        self._index = Index(self.database, settings.max_files_per_peer, settings.unverified_files_per_peer)
        self._shelf = Shelf(self.database, clock)
        self._store = PeerStore(self.database, self._index)
        self.presence = Presence(settings.heartbeat_interval)
        self._standings = Standings(OpinionStore(self.database), clock)
        self._swarms = Swarms()
        self._hub = Hub(clock)
        self._news = News(self._hub, clock)
        self._statistics = Statistics(self._count, config.security.hash_algorithm, self._news, clock)
        admission = Admission(
            hash_algorithm=config.security.hash_algorithm,
            require_identity=require_identity,
            max_peers=settings.max_peers,
            max_peers_per_address=settings.max_peers_per_address,
            profile=profile,
            advertise_allow=settings.advertise_allow,
            first_heartbeat=KNOWN_WITHIN if settings.dial_back else None,
        )
        self._registry = Registry(admission, self.presence, self._store, clock, self._tell_of_peer)

        self._peer_routes = PeerRoutes(self._registry, self.presence, self._standings, self._store, self._observed)
        self._switchboard = switchboard = Switchboard(settings.relay_transfers)
        self._dial_back = DialBack(self.presence, clock, lambda _: self._news.changed())
        self._lines = Lines(switchboard, self._peer_routes.sender)
        self._relaying = Relaying(switchboard, self.presence.find, self._observed)
        known, counts = Known(self._registry, self.presence, self._standings, switchboard), Counts()
        at_hand = AtHand(self._shelf, known, self._swarms, clock)
        self._file_routes = FileRoutes(
            self._index, self._shelf, at_hand, counts, known, self._news, clock, self._observed, self._relaying
        )
        self._transfers = TransferRoutes(at_hand, self._swarms, self._shelf, counts, known, clock, self._observed)
        self._torrent_hashes = TorrentHashes(clock)
        is_sha256 = config.security.hash_algorithm == "sha256"
        exports = ExportRoutes(self._shelf, at_hand, self._torrent_hashes, is_sha256=is_sha256)
        relay = RelayRoutes(switchboard, self._lines, self._relaying, self._peer_routes.sender, at_hand.of)
        requests = Requests()
        self._metrics = MetricsPage("superpeer", requests, self._readings)
        health = HealthPages(VERSION, lambda: self._why_not_ready)
        network = NetworkRoutes(self._statistics, self._hub)
        document = Document("Shoal super-peer", VERSION, api.DESCRIPTION)
        listed = document.describe(
            api.endpoints(
                self._peer_routes, exports, self._file_routes, self._transfers, relay, network, health, self._metrics
            )
        )
        reads = Reads(self._statistics, self._shelf, at_hand, self._store, self.presence, self._standings)
        pages = Pages(reads, document.document)

        callers = super_peer_callers(
            own_names(socket.gethostname(), settings.allowed_hosts), trusted_proxies=settings.trusted_proxies
        )
        self.app = make_application(Boundary(callers, requests, failure))
        self.app[TRUSTED_PROXIES] = settings.trusted_proxies
        install(self.app, listed, guards={})
        setup_pages(self.app, MENU)
        self.app.router.add_routes(pages.routes())
        self.limits = ConnectionLimits(
            total=settings.max_connections,
            per_address=settings.max_connections_per_address,
            allowed=lambda address: not address or source_allowed(canonical(address), profile),
            exempt=is_loopback_host,
        )
        self._jobs = self._make_jobs()

    def _make_jobs(self) -> Jobs:
        jobs = Jobs(self._clock)
        jobs.every("expire silent peers", EXPIRY, self._registry.expire, delay=EXPIRY)
        jobs.every("forget absent peers", self._settings.cleanup_interval, self._forget)
        jobs.every("write behind", WRITE_BEHIND, self._write_behind, delay=WRITE_BEHIND)
        jobs.every("expire swarms", EXPIRY, self._expire_swarms, delay=EXPIRY)
        jobs.every("fade opinions", self._settings.cleanup_interval, self._fade)
        jobs.every("statistics", 1.0, self._statistics.tick)
        if self._settings.dial_back:
            jobs.forever("dial back", self._dial_back.run)
        jobs.every("follow the index", FOLLOW, self._shelf.follow)
        jobs.every("forget changes", self._settings.cleanup_interval, self._shelf.forget_changes)
        return jobs

    async def open(self) -> None:
        self._lock = FolderLock.acquire(self._folder)
        await self.database.open()
        await self._registry.open()
        await self._standings.open()
        self._outgoing = Outgoing(Policy(self._profile, self._settings.advertise_allow))
        self._relaying.through(self._outgoing)
        self._torrent_hashes.through(self._outgoing)
        self._dial_back.through(self._outgoing)
        self._jobs.start()

    async def listening(self, address: str, port: int) -> None:
        self._why_not_ready = None
        self._dial_back.outward = outward(address)
        log.info("listening", extra={"address": address, "port": port, "version": VERSION, "peers": len(self.presence)})
        if sys.stderr.isatty():
            # For the person who started it; the log is for programs.
            sys.stderr.write(f"{whereabouts(address, port, self._profile)}\n")

    async def stopping(self) -> None:
        self._why_not_ready = "stopping"
        await asyncio.gather(self._hub.close(), self._lines.close())

    async def close(self) -> None:
        await self._jobs.stop()
        if self._outgoing is not None:
            await self._outgoing.close()
        if self._why_not_ready != "starting":
            await self._write_behind()
        await self.database.close()
        if self._lock is not None:
            self._lock.release()

    async def _forget(self) -> None:
        await self._registry.forget(self._settings.peer_grace)

    async def _write_behind(self) -> None:
        await self._registry.write_behind()
        await self._standings.write_behind()
        await self._file_routes.write_behind()

    async def _expire_swarms(self) -> None:
        self._transfers.expire()

    async def _fade(self) -> None:
        self._standings.fade()

    async def _tell_of_peer(self, kind: str, seat: Seat) -> None:
        self._news.changed()
        if kind in LEFT:
            self._swarms.leave_all(seat.n, self._clock.monotonic())
        if kind == "peer_forgotten":
            self._standings.forget(seat.n)
            self._dial_back.forget(seat)
        if kind not in ("peer_offline", "peer_forgotten") and self._settings.dial_back:
            self._dial_back.soon(seat)
        if len(self._hub) and kind in ("peer_registered", "peer_online", "peer_offline"):
            self._news.peer(kind, await self._peer_routes.find(seat.id))

    async def _count(self) -> tuple[int, int, int, int, int]:
        totals = await self._shelf.totals()
        return len(self.presence), len(self.presence.online()), totals.files, totals.bytes, totals.downloads

    def _observed(self, request: web.Request) -> str:
        """The address that a request comes from, in its one spelling."""
        trusted = self._settings.trusted_proxies
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())) if trusted else None
        return one_spelling(request.remote or "127.0.0.1", forwarded, trusted)

    def _readings(self) -> Iterable[Reading]:
        stats = self._statistics.current
        yield "peers", "Peers that are not forgotten.", len(self.presence)
        yield "peers_online", "Peers online.", len(self.presence.online())
        yield "files", "Files that everybody may see, at the last count.", stats.total_files
        yield "bytes", "Their size.", stats.total_bytes
        yield "downloads_total", "Downloads since the first start.", stats.total_downloads
        yield "swarms", "Files that somebody fetches among others just now.", len(self._swarms)
        yield "swarm_members", "Who fetches them, each file's counted.", self._swarms.members
        yield "peers_not_direct", "Peers online that cannot be dialled.", self.presence.undiallable()
        yield "relay_lines", "Lines of such peers, open now.", self._switchboard.lines
        yield "relay_transfers", "Transfers that pass through here now.", self._switchboard.transfers
        yield "relay_bytes_total", "Bytes that passed through here since the start.", self._switchboard.bytes
        yield "listeners", "Open event sockets.", len(self._hub)
        for state in self._jobs.states():
            name = state.name.replace(" ", "_")
            yield f"job_{name}_failures_total", f"Failed runs of the job {state.name!r}.", state.failures


class Known:
    """The peers slice as the files slice needs it, and who has a line."""

    def __init__(self, registry: Registry, presence: Presence, standings: Standings, switchboard: Switchboard) -> None:
        self.has_line = switchboard.has_line
        self.recognise = registry.recognise
        self.numbered = presence.numbered
        self.find = presence.find
        self.at = presence.at
        self.standing = standings.of
        self.report = standings.report
