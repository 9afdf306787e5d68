"""Host and Origin at a running super-peer: who rebinds a name is turned away, other sites may read and listen."""

from collections.abc import Iterable

import aiohttp
import pytest

from tests.support.peers import KeyedPeer, content_id
from tests.support.superpeers import Site
from tests.support.wire import Answer, asked, connected

EVIL = "https://evil.example"
READS = (
    "/api/v1/peers",
    "/api/v1/peers/x",
    "/api/v1/files",
    "/api/v1/files/search?q=a",
    f"/api/v1/files/{content_id('x')}",
    f"/api/v1/files/{content_id('x')}/sources",
    f"/api/v1/download/{content_id('x')}",
    "/api/v1/stats",
    "/api/v1/openapi.json",
)
WRITES = ("/api/v1/peers/challenge", "/api/v1/peers/register", "/api/v1/peers/heartbeat", "/api/v1/peers/unregister")
PAGES = ("/", "/search", "/peers", f"/files/{content_id('x')}", "/docs", "/static/style.css")
OTHERS = ("/healthz", "/readyz", "/metrics", "/ws", "/nowhere")


async def each(site: Site, paths: Iterable[str], **headers: str) -> dict[str, Answer]:
    return {path: await asked(site.port, path, **headers) for path in paths}


async def test_a_name_that_is_not_ours_gets_nothing(site: Site) -> None:
    for host in ("rebind.test:8080", "localhost.evil.com", "127.0.0.1.nip.io", "evil.example"):
        for path, answer in (await each(site, (*READS, *PAGES, *OTHERS), Host=host)).items():
            assert answer.problem() == (421, "host_not_allowed"), (host, path)
        for path in (*WRITES, "/api/v1/files/register"):
            refused = await asked(site.port, path, "POST", b'{"port": 9001}', Host=host)
            assert refused.problem() == (421, "host_not_allowed"), (host, path)
    assert await site.get("/api/v1/peers") == []


async def test_a_browser_that_was_rebound_gets_no_page(site: Site) -> None:
    answer = await asked(site.port, "/", Host="rebind.test", Accept="text/html")
    assert answer.status == 421
    assert b"rebind.test" not in answer.body


async def test_our_own_names_are_answered(site: Site) -> None:
    for host in ("localhost", "LOCALHOST.", "127.0.0.1", f"127.0.0.1:{site.port}", "[::1]:8080", "10.1.2.3"):
        assert (await asked(site.port, "/api/v1/peers", Host=host)).status == 200, host


async def test_pages_of_other_sites_may_read_what_is_public(site: Site) -> None:
    for origin in (EVIL, "null", "http://localhost:9001"):
        for path, answer in (await each(site, READS, Origin=origin)).items():
            assert answer.headers["Access-Control-Allow-Origin"] == "*", path
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert answer.status in (200, 404), path
        head = await asked(site.port, "/api/v1/peers", "HEAD", Origin=origin)
        assert head.headers["Access-Control-Allow-Origin"] == "*"


async def test_pages_of_other_sites_may_not_look_at_ours(site: Site) -> None:
    for path, answer in (await each(site, (*PAGES, "/healthz", "/metrics"), Origin=EVIL)).items():
        assert "Access-Control-Allow-Origin" not in answer.headers, path


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
async def test_pages_of_other_sites_may_not_write(site: Site, kind: str) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    for path in (*WRITES, "/api/v1/files/register"):
        for origin in (EVIL, "null", "http://localhost:9001"):
            answer = await asked(site.port, path, "POST", b'{"port": 9001}', Origin=origin, Content_Type=kind)
            assert answer.problem() == (403, "origin_not_allowed"), (path, origin)
            assert "Access-Control-Allow-Origin" not in answer.headers
        marked = await asked(site.port, path, "POST", b"{}", Sec_Fetch_Site="cross-site", Content_Type=kind)
        assert marked.problem() == (403, "origin_not_allowed")
    assert len(await site.get("/api/v1/peers")) == 1


async def test_a_preflight_tells_that_reading_is_all(site: Site) -> None:
    may = await asked(site.port, "/api/v1/files", "OPTIONS", Origin=EVIL, Access_Control_Request_Method="GET")
    assert (may.status, may.headers["Access-Control-Allow-Origin"]) == (204, "*")
    for method in ("POST", "PUT", "DELETE"):
        may_not = await asked(
            site.port, "/api/v1/peers/register", "OPTIONS", Origin=EVIL, Access_Control_Request_Method=method
        )
        assert may_not.status == 403
        assert "Access-Control-Allow-Origin" not in may_not.headers


async def test_a_page_of_our_own_may_do_all(site: Site) -> None:
    own = f"http://127.0.0.1:{site.port}"
    host = f"127.0.0.1:{site.port}"
    answer = await asked(site.port, "/api/v1/peers/register", "POST", b'{"port": 9001}', Origin=own, Host=host)
    assert answer.status == 200


async def test_any_page_may_listen(site: Site) -> None:
    for origin in (EVIL, "null", f"http://127.0.0.1:{site.port}"):
        async with site.events(origin=origin) as events:
            assert (await events.next())["type"] == "stats_update"


async def test_a_socket_elsewhere_is_not_for_other_pages(site: Site) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with site.session.ws_connect(f"{site.url}/api/v1/peers", origin=EVIL):
            pass
    assert refused.value.status == 403


async def test_an_events_path_without_a_socket_is_a_refusal(site: Site) -> None:
    answer = await asked(site.port, "/ws")
    assert 400 <= answer.status < 500
    assert answer.problem()


async def test_what_is_no_http_gets_a_problem_document(site: Site) -> None:
    for nonsense in (b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n"):
        async with connected(site.port) as wire:
            wire.send(nonsense)
            assert 400 <= (await wire.answer()).problem()[0] < 600
    assert (await site.get("/healthz"))["status"] == "ok"


async def test_every_answer_protects_browsers(site: Site) -> None:
    for path, answer in (await each(site, (*READS, *PAGES, "/nowhere"), Accept="text/html")).items():
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
