"""How fast this peer may upload and download: the owner's limits, the week's schedule, and what is in force now.

What the owner sets holds at once and is kept in `DATA/limits.json`, which counts for more than the configuration.
"""

import asyncio
import logging
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import web

from common import errors
from common.http.endpoint import Access, Endpoint
from common.runtime.clock import Clock, utc
from common.runtime.config import PeerSettings
from common.runtime.kinds import ConfigError
from common.runtime.whole_file import read_whole, write_whole
from common.serving.bandwidth import Bandwidth, Rates
from common.serving.schedule import InForce, Schedule, Unreadable
from common.wire.transfer import Limits, LimitsInForce

log = logging.getLogger("shoal.peer")

FILE = "limits.json"
LONGEST_SLEEP = 30.0  # seconds: the machine's clock may be set, and the machine may have slept


def configured(settings: PeerSettings) -> Limits:
    """The limits of the configuration."""
    return Limits(
        upload=settings.upload_limit,
        download=settings.download_limit,
        upload_per_peer=settings.upload_limit_per_peer,
        download_per_peer=settings.download_limit_per_peer,
        upload_per_transfer=settings.upload_limit_per_transfer,
        download_per_transfer=settings.download_limit_per_transfer,
        lan_exempt=settings.lan_exempt,
        schedule=list(settings.limit_schedule),
    )


def rates(limits: Limits, scheduled: InForce) -> tuple[Rates, Rates]:
    """(upload, download), the schedule counting for more than the usual limit in all."""
    upload = limits.upload if scheduled.upload is None else scheduled.upload
    download = limits.download if scheduled.download is None else scheduled.download
    return (
        Rates(upload, limits.upload_per_peer, limits.upload_per_transfer, limits.lan_exempt),
        Rates(download, limits.download_per_peer, limits.download_per_transfer, limits.lan_exempt),
    )


class OwnersLimits:
    """Keeps both directions at what the owner wants now. Raises ConfigError for a configured schedule that is none."""

    def __init__(
        self,
        settings: PeerSettings,
        folder: Path,
        upload: Bandwidth,
        download: Bandwidth,
        clock: Clock,
    ) -> None:
        self._path = folder / FILE
        self._upload = upload
        self._download = download
        self._clock = clock
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        try:
            self._take(configured(settings))
        except Unreadable as error:
            raise ConfigError(f"peer.limit_schedule: {error}") from None
        self._load()

    def current(self) -> Limits:
        """The owner's limits, and what is in force now."""
        change = self._next_change()
        now = LimitsInForce(self._upload.rates.total, self._download.rates.total, utc(change) if change else None)
        return msgspec.structs.replace(self._limits, now=now)

    async def set(self, limits: Limits) -> Limits:
        """Holds at once, and after a restart. Raises Invalid for a schedule that is none, NoSpace."""
        async with self._one_at_a_time:
            try:
                Schedule(limits.schedule)
            except Unreadable as error:
                raise errors.Invalid("invalid_body", f"`$.schedule`: {error}.") from None
            limits = msgspec.structs.replace(limits, now=None)
            try:
                await asyncio.to_thread(write_whole, self._path, msgspec.json.encode(limits))
            except OSError as error:
                why = f"The limits cannot be kept on this peer's disk ({error.strerror}): make room there."
                raise errors.NoSpace("disk_full", why) from error
            self._take(limits)
            self._changed.set()
        return self.current()

    async def follow(self) -> None:
        """Applies the schedule as time goes on. Does not end."""
        while True:
            self._apply()
            self._changed.clear()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _take(self, limits: Limits) -> None:
        self._schedule = Schedule(limits.schedule)
        self._limits = limits
        self._apply()

    def _apply(self) -> None:
        wanted = rates(self._limits, self._schedule.in_force(self._local_time()))
        for bandwidth, made in zip((self._upload, self._download), wanted, strict=True):
            if bandwidth.rates != made:
                bandwidth.set(made)

    def _pause(self) -> float | None:
        change = self._next_change()
        return None if change is None else max(0.01, min(change - self._clock.now(), LONGEST_SLEEP))

    def _next_change(self) -> float | None:
        change = self._schedule.next_change(self._local_time())
        return None if change is None else change.timestamp()

    def _local_time(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now())

    def _load(self) -> None:
        """What the owner set before; a file that cannot be used is said in the log, and the configuration counts."""
        try:
            content = read_whole(self._path)
            if content is not None:
                self._take(msgspec.json.decode(content, type=Limits))
        except (OSError, ValueError) as error:
            why = f"{error}: the configured limits count until others are set"
            log.warning("the owner's limits cannot be used", extra={"path": str(self._path), "why": why})


class LimitsRoutes:
    """`/api/v1/limits`."""

    def __init__(self, limits: OwnersLimits) -> None:
        self._limits = limits

    async def show(self, request: web.Request) -> Limits:
        return self._limits.current()

    async def change(self, request: web.Request, body: Limits) -> Limits:
        return await self._limits.set(body)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/limits",
                handle=self.show,
                summary="How fast this peer may upload and download",
                tag="owner",
                answer=Limits,
                access=Access.OWNER,
                codes=("token_invalid", "token_required"),
            ),
            Endpoint(
                method="PUT",
                path="/api/v1/limits",
                handle=self.change,
                summary="Set all of these limits; what is left out is not limited",
                tag="owner",
                body=Limits,
                answer=Limits,
                access=Access.OWNER,
                codes=("disk_full", "invalid_body", "token_invalid", "token_required"),
            ),
        ]
