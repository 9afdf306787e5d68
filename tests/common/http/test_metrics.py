import re
from collections.abc import Iterable

from aiohttp import web

from common import errors
from common.http.metrics import MetricsPage, Reading, Requests
from tests.support.daemon import TinyDaemon, at, running, tiny_daemon
from tests.support.wire import asked, connected

SERIES = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


def readings() -> Iterable[Reading]:
    yield "peers", "Peers.", 3
    yield "downloads_total", "Downloads.", 4.5


def measured() -> TinyDaemon:
    async def one(request: web.Request) -> None:
        return None

    async def fail(request: web.Request) -> None:
        raise errors.NotFound("file_not_found", "")

    async def page(request: web.Request) -> web.Response:
        return await metrics.answer(request)

    daemon = tiny_daemon(at("/api/v1/files/{id}", one), at("/api/v1/fail", fail), at("/metrics", page))
    metrics = MetricsPage("test", daemon.requests, readings)
    return daemon


async def scraped(port: int) -> dict[tuple[str, str], float]:
    answer = await asked(port, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    matches = [SERIES.fullmatch(line) for line in lines]
    assert all(matches), lines
    return {(match[1], match[2] or ""): float(match[3]) for match in matches if match}


async def test_answers_are_counted_by_route_method_and_status() -> None:
    async with running(measured()) as daemon:
        for number in range(3):
            await asked(daemon.port, f"/api/v1/files/{number}")
        await asked(daemon.port, "/api/v1/files/1", "HEAD")
        await asked(daemon.port, "/api/v1/fail")
        found = await scraped(daemon.port)
    count = "shoal_http_request_seconds_count"
    assert found[count, 'method="GET",route="/api/v1/files/{id}",status="204"'] == 3
    assert found[count, 'method="HEAD",route="/api/v1/files/{id}",status="204"'] == 1
    assert found[count, 'method="GET",route="/api/v1/fail",status="404"'] == 1
    assert found["shoal_http_request_seconds_sum", 'method="GET",route="/api/v1/fail",status="404"'] > 0


async def test_readings_are_gauges_or_counters() -> None:
    async with running(measured()) as daemon:
        answer = (await asked(daemon.port, "/metrics")).body.decode()
    assert "# HELP shoal_test_peers Peers.\n# TYPE shoal_test_peers gauge\nshoal_test_peers 3.0\n" in answer
    assert "# TYPE shoal_test_downloads_total counter\nshoal_test_downloads_total 4.5\n" in answer


async def test_random_paths_and_methods_make_no_new_series() -> None:
    async with running(measured()) as daemon:
        async with connected(daemon.port) as wire:
            for number in range(300):
                wire.request(f"/random/{number}?x={number}", ("GET", "DELETE")[number % 2], Host="localhost")
                assert (await wire.answer()).status == 404
                wire.request(f"/api/v1/files/{number}")
                assert (await wire.answer()).status == 204
        found = await scraped(daemon.port)
    routes = {labels for name, labels in found if name == "shoal_http_request_seconds_count"}
    assert routes == {
        'method="GET",route="unmatched",status="404"',
        'method="DELETE",route="unmatched",status="404"',
        'method="GET",route="/api/v1/files/{id}",status="204"',
    }


def test_methods_that_nobody_knows_share_one_label() -> None:
    requests = Requests()
    for method in ("BREW", "PROPFIND", "get", "X" * 1000):
        requests.count(method, "unmatched", 404, 0.5)
    assert requests.answered == {("other", "unmatched", 404): [4, 2.0]}


async def test_refused_callers_are_counted_too() -> None:
    async with running(measured()) as daemon:
        await asked(daemon.port, Host="evil.example")
        found = await scraped(daemon.port)
    assert found["shoal_http_request_seconds_count", 'method="GET",route="refused",status="421"'] == 1
