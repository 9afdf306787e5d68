"""What both daemons answer about themselves: health, metrics, and the description of their API."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from common.http import openapi
from common.http.endpoint import Endpoint, json_response
from common.http.health import Health, HealthPages
from common.http.metrics import MetricsPage


def operations(health: HealthPages, metrics: MetricsPage) -> list[Endpoint]:
    """What whoever runs the daemon asks."""
    about: dict[str, Any] = {"method": "GET", "tag": "operations"}
    return [
        Endpoint(path="/healthz", handle=health.healthz, summary="Is the process alive", answer=Health, **about),
        Endpoint(
            path="/readyz",
            handle=health.readyz,
            summary="Can it do its work",
            answer=Health,
            codes=("not_ready", "shutting_down"),
            **about,
        ),
        Endpoint(path="/metrics", handle=metrics.answer, summary="Prometheus metrics", media="text/plain", **about),
    ]


class Document:
    """`/api/v1/openapi.json`, made at the first request."""

    def __init__(self, title: str, version: str, description: str) -> None:
        self._about = (title, version, description)
        self._listed: Sequence[Endpoint] = ()
        self._made: dict[str, Any] | None = None

    def describe(self, listed: Sequence[Endpoint]) -> list[Endpoint]:
        """The endpoints to install: those given, and the document itself."""
        own = Endpoint(
            method="GET",
            path="/api/v1/openapi.json",
            handle=self.answer,
            summary="This API as OpenAPI 3.1",
            tag="operations",
        )
        self._listed = [*listed, own]
        return [*self._listed]

    def document(self) -> dict[str, Any]:
        """The document."""
        if self._made is None:
            self._made = openapi.document(*self._about, self._listed)
        return self._made

    async def answer(self, request: web.Request) -> web.Response:
        return json_response(self.document())
