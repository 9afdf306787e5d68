"""The peer, put together: every object built once, read downwards.

It idles in little memory: what only a page, a scrape or a command needs is imported by whoever needs it.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from common.content.hashing import algorithm_named
from common.database.folder_lock import FolderLock
from common.database.sqlite import DatabaseUnusable
from common.http.addresses import canonical, is_loopback_host, profile_of, source_allowed, url_host
from common.http.application import Boundary, make_application
from common.http.callers import own_names, peer_callers
from common.http.connection import ConnectionLimits
from common.http.dialling import Policy, endpoint
from common.http.endpoint import Access, install
from common.http.health import HealthPages
from common.http.hub import Hub
from common.http.metrics import MetricsPage, Reading, Requests
from common.http.operations import Document
from common.http.outgoing import Outgoing
from common.http.serve import run as serve
from common.runtime.clock import Clock, SystemClock
from common.runtime.config import Config
from common.runtime.obstacles import StartError, in_words
from common.runtime.tasks import Jobs
from common.serving.bandwidth import Bandwidth
from common.wire.files import SharedFile
from peer import api
from peer.control.downloads import OwnersDownloads
from peer.control.info import OWNERS_TOPIC, InfoRoutes
from peer.control.limits import LimitsRoutes, OwnersLimits
from peer.control.owner import Owner, OwnerRoutes, TokenUnusable, load_owner_token
from peer.control.pages import MENU, Pages, failure
from peer.downloads.routes import DownloadRoutes
from peer.shares.cache_routes import CacheRoutes
from peer.shares.library import Library
from peer.shares.manifest_routes import ManifestRoutes
from peer.shares.routes import ShareRoutes
from peer.uplink.identity import IdentityUnusable, load_identity
from peer.uplink.relayed import Relayed
from peer.uplink.session import About, Session
from peer.uplink.super_peer import SuperPeer
from peer.uploads.askers import is_near
from peer.uploads.uploads import Uploads
from web.render import setup_pages

log = logging.getLogger("shoal.peer")

VERSION = version("shoal")
CANNOT_START = 2


class Peer:
    """One peer. `open` and `close` are called around its time of listening."""

    def __init__(self, config: Config, folder: Path, clock: Clock | None = None) -> None:
        """`folder` is its data folder, locked by the caller. Raises IdentityUnusable, TokenUnusable."""
        settings = config.peer
        self._settings = settings
        clock = clock or SystemClock()
        self._why_not_ready: str | None = "starting"
        profile = profile_of(settings.host, config.security.profile)
        name = settings.name or socket.gethostname()
        identity = load_identity(folder)
        self.owner = Owner(load_owner_token(folder), clock)

        self._hub = Hub(clock)
        algorithm = algorithm_named(config.security.hash_algorithm)
        self._library = Library(
            config.peer, folder, algorithm, clock, self._tell_of_file, lambda: self._uploads.is_busy()
        )
        self._relayed = Relayed()
        self._uploads = Uploads(
            settings, folder, self._library, self._hub, OWNERS_TOPIC, clock, self._relayed.is_marked
        )
        self._download = Bandwidth(is_near)
        self._owners_limits = OwnersLimits(settings, folder, self._uploads.bandwidth, self._download, clock)
        super_peer = endpoint(settings.super_peer_address)
        self._policy = Policy(profile, settings.dial_allow, chosen=frozenset({super_peer}))
        self._super_peer = SuperPeer(settings.super_peer_address, identity, algorithm.name)
        self._session = Session(
            self._super_peer,
            self._library.catalogue,
            About(name, settings.region, VERSION),
            clock,
            self._uploads.load,
            lambda: self._library.shared_files,
        )
        self._info = InfoRoutes(
            settings,
            identity.peer_id,
            name,
            self._session,
            self._uploads.slots,
            lambda: self._library.shared_files,
            self.owner,
            self._hub,
            lambda: self._downloads.stats(),
        )

        requests = Requests()
        metrics = MetricsPage("peer", requests, self._readings)
        health = HealthPages(VERSION, lambda: self._why_not_ready)
        self._downloads = OwnersDownloads(
            settings,
            folder,
            algorithm,
            self._super_peer,
            self._library,
            self._uploads.holdings,
            self._download,
            self._hub,
            clock,
            lambda: self._info.port,
        )
        document = Document("Shoal peer", VERSION, api.DESCRIPTION)
        listed = document.describe(
            api.endpoints(
                self._info,
                ShareRoutes(self._library, settings.max_file_size),
                ManifestRoutes(self._library),
                CacheRoutes(self._library.cache),
                self._uploads,
                DownloadRoutes(self._downloads.queue),
                LimitsRoutes(self._owners_limits),
                OwnerRoutes(self.owner),
                health,
                metrics,
            )
        )
        callers = peer_callers(
            own_names(socket.gethostname(), settings.allowed_hosts), origins_of(settings.super_peer_address)
        )
        self.app = make_application(Boundary(callers, requests, failure))
        install(self.app, listed, guards={Access.OWNER: self.owner.require})
        setup_pages(self.app, MENU)
        self.app.router.add_routes(Pages(self._info.current, self._library, document.document).routes())
        self.limits = ConnectionLimits(
            total=config.security.max_connections,
            per_address=max(1, config.security.max_connections // 4),
            allowed=lambda address: not address or source_allowed(canonical(address), profile),
            exempt=is_loopback_host,
        )
        self._jobs = Jobs(clock)
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        async with AsyncExitStack() as opened:
            outgoing = await opened.enter_async_context(Outgoing(self._policy))
            self._super_peer.through(outgoing)
            self._downloads.through(outgoing)
            await self._library.open()
            self._uploads.open()
            opened.push_async_callback(self._library.close)
            opened.push_async_callback(self._uploads.close)
            opened.push_async_callback(self._downloads.close)
            self._opened = opened.pop_all()

    async def listening(self, address: str, port: int) -> None:
        self._why_not_ready = None
        self._info.address, self._info.port, self._session.port = address, port, port
        self._session.listens_to_all = not is_loopback_host(address)
        log.info("listening", extra={"address": address, "port": port, "version": VERSION, "id": self._info.peer_id})
        if sys.stderr.isatty():
            # For the person who started it, not for the log: the code opens the owner's page once.
            here = url_host("127.0.0.1" if canonical(address).is_unspecified else address)
            sys.stderr.write(f"Your page: http://{here}:{port}/#code={self.owner.new_code()}\n")
        if self._settings.auto_register:
            self._jobs.forever("super-peer", self._session.run)
            self._jobs.forever("line", self._keep_line)
        self._jobs.forever("limits", self._owners_limits.follow)
        self._uploads.add_jobs(self._jobs)
        self._jobs.start()
        await self._downloads.resume()

    async def _keep_line(self) -> None:
        while True:
            await self._session.undialled.wait()
            from peer.uplink.line import Line

            host = "127.0.0.1" if canonical(self._info.address).is_unspecified else self._info.address
            await Line(self._super_peer, (host, self._info.port), self._session, self._relayed).keep()

    async def stopping(self) -> None:
        self._why_not_ready = "stopping"
        await self._jobs.stop(deadline=2.0)
        await self._uploads.stop()
        await self._downloads.close()
        await self._session.leave()
        await self._hub.close()

    async def close(self) -> None:
        await self._jobs.stop(deadline=2.0)
        await self._opened.aclose()

    def _tell_of_file(self, kind: str, file: SharedFile) -> None:
        self._hub.publish("files", kind, file)

    def _readings(self) -> Iterable[Reading]:
        yield "shared_files", "Entries offered.", self._library.shared_files
        yield "shared_bytes", "Their size.", self._library.shared_bytes
        yield "files_hashed_total", "Files read through since the start: what was not known yet.", self._library.hashed
        yield "files_damaged", "Files not offered: the disk has lost their bytes.", self._library.damaged_files
        yield "cached_bytes", "Size of the finished downloads that are offered on.", self._library.cache.bytes
        yield "scrubbed_bytes_total", "Bytes that the scrub has read.", self._library.scrubbed
        yield "registered", "1 while registered with the super-peer.", int(self._session.is_registered)
        yield "uploads_active", "Uploads going on.", self._uploads.slots.active
        yield "uploads_refused_total", "Uploads refused for want of a slot.", self._uploads.slots.refused
        yield "upload_bytes_total", "Bytes served since the start.", self._uploads.slots.bytes
        yield "uploads_waiting", "Places taken in the line for an upload slot.", len(self._uploads.slots.waiting)
        yield (
            "quota_refused_total",
            "Uploads refused because the day's quota was used up.",
            self._uploads.quotas.quota.refused,
        )
        yield (
            "upload_limit",
            "Bytes a second that all uploads may have now; 0: any.",
            self._uploads.bandwidth.rates.total,
        )
        yield "download_limit", "The same for downloads.", self._download.rates.total
        yield "listeners", "Open event sockets.", len(self._hub)


def origins_of(super_peer_address: str) -> list[str]:
    """The origins under which a browser may know the super-peer: a loopback one has several names."""
    host, port = endpoint(super_peer_address)
    hosts = {host, "localhost", "127.0.0.1", "::1"} if is_loopback_host(host) else {host}
    return [f"{scheme}://{url_host(name)}:{port}" for name in hosts for scheme in ("http", "https")]


def run(config: Config, warnings: list[str]) -> int:
    """Runs a peer until it is told to stop; returns the exit code."""
    from common.runtime.kinds import ConfigError
    from common.runtime.logs import configure_logging

    folder = Path(config.peer.data)
    try:
        configure_logging(config.logging)
        for warning in warnings:
            log.warning(warning)
        lock = FolderLock.acquire(folder)
    except (ConfigError, StartError) as error:
        return _cannot_start(error, folder)
    try:
        asyncio.run(_serve(config))
    except (StartError, DatabaseUnusable, IdentityUnusable, TokenUnusable, ConfigError, OSError) as error:
        return _cannot_start(error, folder)
    finally:
        lock.release()
    return 0


async def _serve(config: Config) -> None:
    peer = Peer(config, Path(config.peer.data))
    await serve(peer, config.peer.host, config.peer.port)


def _cannot_start(error: Exception, folder: Path) -> int:
    sys.stderr.write(f"peer: {in_words(error, folder)}\n")
    return CANNOT_START
