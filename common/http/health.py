"""`/healthz` (the process answers) and `/readyz` (it can do its work; otherwise 503 and why)."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from common import errors

Unready = Callable[[], str | None]


class Health(msgspec.Struct, frozen=True):
    """A daemon's state in a word."""

    status: str
    version: str


class HealthPages:
    """`unready` says in words why the daemon cannot work yet, or None."""

    def __init__(self, version: str, unready: Unready) -> None:
        self._version = version
        self._unready = unready

    async def healthz(self, request: web.Request) -> Health:
        """The process is alive."""
        return Health("ok", self._version)

    async def readyz(self, request: web.Request) -> Health:
        """The daemon takes requests."""
        why = self._unready()
        if why is not None:
            raise errors.Unavailable("shutting_down" if why == "stopping" else "not_ready", f"Not ready: {why}.")
        return Health("ready", self._version)
