"""Counters that cost an addition, told to Prometheus when it asks (its library is imported only then).

Labels are route templates, methods and statuses, never paths or ids, so their number is bounded.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Reading = tuple[str, str, float]  # name, what it says, value
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Requests:
    """How many requests were answered how, and how long they took in all (seconds)."""

    def __init__(self) -> None:
        self.answered: dict[tuple[str, str, int], list[float]] = {}  # → [how many, seconds]

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Notes one answer."""
        key = (method if method in _METHODS else "other", route, status)
        known = self.answered.get(key)
        if known is None:
            known = self.answered[key] = [0, 0.0]
        known[0] += 1
        known[1] += seconds


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MetricsPage:
    """`GET /metrics`: the requests and whatever gauges and counters the daemon reads out."""

    def __init__(self, daemon: str, requests: Requests, readings: Callable[[], Iterable[Reading]]) -> None:
        self._daemon = daemon
        self._requests = requests
        self._readings = readings

    async def answer(self, request: web.Request) -> web.Response:
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE})

    def collect(self) -> Iterator["Metric"]:
        """What prometheus_client asks a collector for."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        labels = ["method", "route", "status"]
        requests = SummaryMetricFamily("shoal_http_request_seconds", "Answered requests and their time.", labels=labels)
        for (method, route, status), (count, taken) in self._requests.answered.items():
            requests.add_metric([method, route, str(status)], count_value=int(count), sum_value=taken)
        yield requests
        for name, description, value in self._readings():
            family: Any = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield family(f"shoal_{self._daemon}_{name}", description, value=value)
