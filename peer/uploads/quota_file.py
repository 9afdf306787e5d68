"""The quotas' file in the data folder, written behind: what an address has fetched today survives a restart."""

import asyncio
import logging
from pathlib import Path

import msgspec

from common.runtime.clock import Clock
from common.runtime.whole_file import read_whole, write_whole
from peer.uploads.quota import Quota

log = logging.getLogger("shoal.peer")

NAME = "upload-quota.json"
INTERVAL = 10.0  # seconds by which the file may be behind


class QuotaFile:
    """Reads and writes `DATA/upload-quota.json`, only while there is a quota."""

    def __init__(self, quota: Quota, folder: Path, clock: Clock) -> None:
        self.quota = quota
        self._path = folder / NAME
        self._clock = clock

    def load(self) -> None:
        """A file that cannot be used is said in the log; the day is then counted from now."""
        if not self.quota.limit:
            return
        try:
            content = read_whole(self._path)
            if content is not None:
                self.quota.take_up(msgspec.json.decode(content), self._clock.now())
        except (OSError, ValueError, TypeError) as error:
            log.warning("the quotas' file cannot be used", extra={"path": str(self._path), "why": str(error)})

    async def save(self) -> None:
        """Writes what has changed. Raises OSError."""
        if self.quota.limit and self.quota.is_changed:
            content = msgspec.json.encode(self.quota.kept())
            try:
                await asyncio.to_thread(write_whole, self._path, content)
            except OSError:
                self.quota.is_changed = True
                raise

    async def close(self) -> None:
        """Writes it a last time; a disk that cannot take it does not hold up the stop."""
        try:
            await self.save()
        except OSError as error:
            log.warning("the quotas' file cannot be written", extra={"path": str(self._path), "why": str(error)})
