"""The network over HTTP and WebSocket: its numbers, and its news."""

from collections.abc import Iterable

from aiohttp import web

from common.http.endpoint import Endpoint
from common.http.hub import Hub
from common.wire.peers import NetworkStats
from superpeer.network.statistics import Statistics


class NetworkRoutes:
    """Statistics and events."""

    def __init__(self, statistics: Statistics, hub: Hub) -> None:
        self._statistics = statistics
        self._hub = hub

    async def stats(self, request: web.Request) -> NetworkStats:
        return await self._statistics.read()

    async def events(self, request: web.Request) -> web.WebSocketResponse:
        await self._statistics.read()
        return await self._hub.serve(request, self._greeting)

    def _greeting(self) -> Iterable[str]:
        yield self._hub.frame("stats_update", self._statistics.current)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/stats",
                handle=self.stats,
                summary="The network in numbers",
                tag="network",
                answer=NetworkStats,
            ),
            Endpoint(
                method="GET", path="/ws", handle=self.events, summary="Events (WebSocket)", tag="network", status=101
            ),
        ]
