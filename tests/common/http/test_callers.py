import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from common import errors
from common.http.addresses import networks
from common.http.callers import (
    MAX_ACCEPTED,
    Authority,
    Call,
    Callers,
    Origin,
    is_foreign,
    own_names,
    peer_callers,
    read_authority,
    read_origin,
    super_peer_callers,
)

EVIL = "https://evil.example"
DASHBOARD = "http://super.example:8080"
NAMES = own_names("Box.lan", ["files.example.org", "Shoal.Example."])
SUPER_PEER = super_peer_callers(NAMES)
PEER = peer_callers(NAMES, [DASHBOARD])
OWN = Authority("127.0.0.1", 8080, literal=True)

OURS = [
    "localhost",
    "localhost:9001",
    "LOCALHOST.",
    "LocalHost.:9001",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1:65535",
    "10.1.2.3:9001",
    "8.8.8.8",
    "[::1]",
    "[::1]:9001",
    "[0:0:0:0:0:0:0:1]:9001",
    "[FE80::1]",
    "[::ffff:127.0.0.1]:9001",
    "box",
    "box.lan:9001",
    "BOX.LOCAL.",
    "files.example.org",
    "shoal.example:80",
]
NOT_OURS = [
    "",
    " ",
    "rebind.test:9001",
    "localhost.evil.com",
    "localhost.evil.com:9001",
    "evil.localhost",
    "127.0.0.1.nip.io",
    "127.0.0.1.",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "127.0.0.01",
    "１２７.0.0.1",
    "ｌocalhost",
    "localho\u017ft",
    "localhost..",
    ".localhost",
    "localhost, evil.example",
    "localhost evil.example",
    "localhost@evil.example",
    "evil.example@localhost",
    "evil.example#localhost",
    "evil.example/localhost",
    "http://localhost",
    "localhost:",
    "localhost:0",
    "localhost:65536",
    "localhost:99999999",
    "localhost:80a",
    "localhost:-1",
    "localhost:80:80",
    "localhost\n",
    "localhost\x00",
    "::1",
    "[::1",
    "[127.0.0.1]",
    "[::1]evil.example",
    "[::1%lo]",
    "[localhost]",
    "box.lan.evil.example",
    "xbox",
    "example.org",
]


@pytest.mark.parametrize("host", OURS)
def test_a_daemon_answers_to_its_addresses_and_names(host: str) -> None:
    assert PEER.check_host([host]) == read_authority(host)
    assert PEER.check_host([host]) == read_authority(host)


@pytest.mark.parametrize("host", NOT_OURS)
def test_any_other_host_is_misdirected(host: str) -> None:
    for _ in range(2):
        with pytest.raises(errors.Misdirected) as caught:
            PEER.check_host([host])
        assert caught.value.code == "host_not_allowed"


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_there_is_exactly_one_host(hosts: list[str]) -> None:
    with pytest.raises(errors.Invalid) as caught:
        PEER.check_host(hosts)
    assert caught.value.code == "bad_request"


@given(st.text(alphabet="localhost.127:[]%@/ \t-_x０Ⅷſ", max_size=30))
def test_a_host_is_ours_or_misdirected(host: str) -> None:
    try:
        authority = PEER.check_host([host])
    except errors.Misdirected:
        return
    assert host.isascii()
    assert authority.literal or authority.host in {"localhost", *NAMES}


def test_accepted_hosts_are_remembered_within_bounds() -> None:
    callers = peer_callers(NAMES, [])
    for number in range(3 * MAX_ACCEPTED):
        callers.check_host([f"10.0.{number // 256}.{number % 256}"])
        assert len(callers._accepted) <= MAX_ACCEPTED


@given(st.ip_addresses(), st.none() | st.integers(1, 65535))
def test_every_address_is_a_host(address: Any, port: int | None) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    authority = PEER.check_host([host if port is None else f"{host}:{port}"])
    assert authority.literal
    assert authority.port == port


def test_the_names_of_a_machine() -> None:
    assert own_names("Box.lan") == {"box", "box.lan", "box.local"}
    assert own_names("box", ["A.Example:8080", "not a host", ""]) == {"box", "box.local", "a.example"}
    assert own_names("") == frozenset()


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost", Origin("http", "localhost", 80)),
        ("https://localhost", Origin("https", "localhost", 443)),
        ("http://localhost:80", Origin("http", "localhost", 80)),
        ("http://[::1]:9001", Origin("http", "::1", 9001)),
        ("null", None),
        ("", None),
        ("file://", None),
        ("http://", None),
        ("http://localhost/", None),
        ("http://localhost http://evil", None),
        ("http://a@localhost", None),
        ("chrome-extension://abcdef", None),
        ("HTTP://localhost", None),
    ],
)
def test_origins_are_read(text: str, origin: Origin | None) -> None:
    assert read_origin(text) == origin


def call(method: str = "GET", path: str = "/", *origins: str, **more: Any) -> Call:
    return Call(method, path, more.pop("own", OWN), origins=origins, **more)


def refused(callers: Callers, asked: Call) -> bool:
    try:
        callers.origin_verdict(asked)
    except errors.Forbidden as error:
        assert error.code == "origin_not_allowed"
        return True
    return False


WRITES = ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"]
FOREIGN_ORIGINS = [
    EVIL,
    "null",
    "",
    "http://127.0.0.1",
    "http://127.0.0.1:9001",
    "https://127.0.0.1:8080",
    "http://localhost:8080",
    "http://127.0.0.1:8080.evil.example",
    "http://127.0.0.1:8080@evil.example",
    "http://127.0.0.1:8080/",
    "chrome-extension://abcdef",
]


@pytest.mark.parametrize("callers", [SUPER_PEER, PEER])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", *WRITES])
def test_without_an_origin_a_program_may_call(callers: Callers, method: str) -> None:
    for site in (None, "none", "same-origin"):
        verdict = callers.origin_verdict(call(method, "/api/v1/files/share", fetch_site=site))
        assert verdict == (False, {})


@pytest.mark.parametrize("callers", [SUPER_PEER, PEER])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense", ""])
def test_a_browsers_write_from_another_site_is_refused_without_an_origin_too(callers: Callers, site: str) -> None:
    for method in WRITES:
        assert refused(callers, call(method, "/api/v1/files/share", fetch_site=site))
    assert callers.origin_verdict(call("GET", "/", fetch_site=site)) == (False, {})


@pytest.mark.parametrize("callers", [SUPER_PEER, PEER])
@pytest.mark.parametrize(
    ("origin", "own", "scheme"),
    [
        ("http://127.0.0.1:8080", OWN, "http"),
        ("https://127.0.0.1:8080", OWN, "https"),
        ("http://localhost", Authority("localhost", None, False), "http"),
        ("http://localhost", Authority("localhost", 80, False), "http"),
        ("http://localhost:80", Authority("localhost", None, False), "http"),
        ("https://files.example.org", Authority("files.example.org", 443, False), "https"),
        ("http://[::1]:9001", Authority("::1", 9001, True), "http"),
    ],
)
def test_a_daemons_own_pages_may_do_all(callers: Callers, origin: str, own: Authority, scheme: str) -> None:
    for method in ("GET", "OPTIONS", *WRITES):
        assert callers.origin_verdict(call(method, "/api/v1/x", origin, own=own, scheme=scheme)) == (False, {})
    assert callers.origin_verdict(call("GET", "/ws", origin, own=own, scheme=scheme, websocket=True)) == (False, {})


@pytest.mark.parametrize("callers", [SUPER_PEER, PEER])
@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("path", ["/", "/api/v1/files/share", "/api/v1/download/x", "/ws"])
def test_a_foreign_page_never_writes(callers: Callers, origin: str, path: str) -> None:
    for method in WRITES:
        assert refused(callers, call(method, path, origin))
        assert refused(callers, call("OPTIONS", path, origin, preflight_for=method))


@pytest.mark.parametrize("callers", [SUPER_PEER, PEER])
def test_two_origins_are_foreign(callers: Callers) -> None:
    own = "http://127.0.0.1:8080"
    assert refused(callers, call("POST", "/api/v1/x", own, own))
    assert refused(PEER, call("GET", "/api/v1/download/x", DASHBOARD, DASHBOARD))


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_any_page_may_read_a_super_peers_api(origin: str, method: str) -> None:
    foreign, headers = SUPER_PEER.origin_verdict(call(method, "/api/v1/files", origin))
    assert foreign
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers


def test_a_super_peers_pages_are_served_without_permission_to_look() -> None:
    for path in ("/", "/search", "/api", "/api/v1", "/apis/v1/x"):
        assert SUPER_PEER.origin_verdict(call("GET", path, EVIL)) == (True, {})


def test_a_preflight_for_a_public_read_is_answered() -> None:
    for wanted in ("GET", "HEAD", None):
        verdict = SUPER_PEER.origin_verdict(call("OPTIONS", "/api/v1/files", EVIL, preflight_for=wanted))
        assert verdict.headers["Access-Control-Allow-Origin"] == "*"
        assert verdict.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
        assert "Access-Control-Allow-Credentials" not in verdict.headers
    assert refused(SUPER_PEER, call("OPTIONS", "/", EVIL, preflight_for="GET"))


def test_a_foreign_web_socket_is_anonymous_where_events_are_public() -> None:
    assert SUPER_PEER.origin_verdict(call("GET", "/ws", EVIL, websocket=True)) == (True, {})
    assert SUPER_PEER.origin_verdict(call("GET", "/ws", "null", websocket=True)) == (True, {})
    for path in ("/", "/ws/", "/other", "/api/v1/files"):
        assert refused(SUPER_PEER, call("GET", path, EVIL, websocket=True))
    assert SUPER_PEER.origin_verdict(call("GET", "/ws", websocket=True)) == (False, {})


def test_what_a_dialect_opens_is_configured() -> None:
    callers = super_peer_callers([], public=("/api/v1/", "/api/old/"), sockets=("/ws", "/signal"))
    assert callers.origin_verdict(call("GET", "/signal", EVIL, websocket=True)).foreign
    assert callers.origin_verdict(call("GET", "/api/old/x", EVIL)).headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("path", ["/", "/ws", "/api/v1/info", "/api/v1/files", "/api/v1/download/x", "/healthz"])
def test_a_foreign_page_gets_nothing_from_a_peer(origin: str, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert refused(PEER, call(method, path, origin))
    assert refused(PEER, call("GET", path, origin, websocket=True))


@pytest.mark.parametrize("what", ["download", "manifest", "have"])
def test_the_super_peers_pages_may_fetch_files_of_a_peer(what: str) -> None:
    path = f"/api/v1/{what}/{'a' * 64}"
    for method in ("GET", "HEAD", "OPTIONS"):
        foreign, headers = PEER.origin_verdict(call(method, path, DASHBOARD, preflight_for="GET"))
        assert foreign
        assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == (DASHBOARD, "Origin")
    assert refused(PEER, call("POST", path, DASHBOARD))
    assert refused(PEER, call("OPTIONS", path, DASHBOARD, preflight_for="DELETE"))
    assert refused(PEER, call("GET", path, DASHBOARD, websocket=True))


def test_the_super_peers_pages_may_do_nothing_else_at_a_peer() -> None:
    for path in ("/", "/ws", "/api/v1/info", "/api/v1/downloads", "/api/v1/download", "/api/v1/haven/x"):
        assert refused(PEER, call("GET", path, DASHBOARD))
    assert refused(PEER, call("GET", "/ws", DASHBOARD, websocket=True))


def test_without_a_super_peer_nobody_may_fetch_from_a_page() -> None:
    for origins in ([], ["null"], ["not an origin"]):
        assert refused(peer_callers([], origins), call("GET", "/api/v1/download/x", "null"))
        assert refused(peer_callers([], origins), call("GET", "/api/v1/download/x", EVIL))


class Daemon:
    """An application whose every request passes `callers`, answering whether it was foreign."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._handle)
        self.server = TestServer(application)

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            headers = self._callers.check(request)
        except errors.Refusal as refusal:
            return web.json_response({"code": refusal.code}, status=403)
        return web.json_response({"foreign": is_foreign(request)}, headers=headers)

    async def ask(self, method: str, path: str, headers: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], Any]:
        url = self.server.make_url(path)
        async with ClientSession() as session, session.request(method, url, headers=list(headers)) as answer:
            return await answer.json(), answer.headers


@pytest.fixture
async def daemon() -> AsyncIterator[Daemon]:
    made = Daemon(super_peer_callers(NAMES, trusted_proxies=networks(["127.0.0.1"])))
    await made.server.start_server()
    yield made
    await made.server.close()


async def test_real_requests_are_judged_by_their_headers(daemon: Daemon) -> None:
    own = str(daemon.server.make_url("/")).rstrip("/")
    cases = [
        ("GET", "/api/v1/x", [], {"foreign": False}),
        ("POST", "/api/v1/x", [], {"foreign": False}),
        ("POST", "/api/v1/x", [("Origin", own)], {"foreign": False}),
        ("POST", "/api/v1/x", [("Origin", EVIL)], {"code": "origin_not_allowed"}),
        ("POST", "/api/v1/x", [("Origin", own), ("Origin", EVIL)], {"code": "origin_not_allowed"}),
        ("POST", "/api/v1/x", [("Sec-Fetch-Site", "cross-site")], {"code": "origin_not_allowed"}),
        ("GET", "/api/v1/x", [("Origin", EVIL)], {"foreign": True}),
        ("GET", "/ws", [("Origin", EVIL), ("Upgrade", "WebSocket"), ("Connection", "Upgrade")], {"foreign": True}),
        ("GET", "/x", [("Origin", EVIL), ("Upgrade", "websocket")], {"code": "origin_not_allowed"}),
        ("GET", "/api/v1/x", [("Host", "rebind.test:9001")], {"code": "host_not_allowed"}),
        ("POST", "/x", [("Host", "rebind.test"), ("Origin", "http://rebind.test")], {"code": "host_not_allowed"}),
    ]
    for method, path, headers, expected in cases:
        body, _ = await daemon.ask(method, path, headers)
        assert body == expected, (method, path, headers)


@pytest.mark.parametrize(
    "hosts", [b"", b"Host: localhost\r\nHost: localhost\r\n", b"Host:\r\n", b"Host: [::1%25lo]\r\n"]
)
async def test_no_request_passes_without_one_good_host(daemon: Daemon, hosts: bytes) -> None:
    for version in (b"1.0", b"1.1"):
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.server.port)
        writer.write(b"GET /api/v1/x HTTP/" + version + b"\r\nConnection: close\r\n" + hosts + b"\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.split()[1] in (b"400", b"403"), answer


async def test_permission_to_look_is_on_the_answer(daemon: Daemon) -> None:
    _, headers = await daemon.ask("GET", "/api/v1/x", [("Origin", EVIL)])
    assert headers["Access-Control-Allow-Origin"] == "*"
    _, headers = await daemon.ask("GET", "/api/v1/x", [])
    assert "Access-Control-Allow-Origin" not in headers


async def test_behind_a_proxy_that_ends_tls_the_own_origin_is_https(daemon: Daemon) -> None:
    behind = [("Host", "files.example.org"), ("Origin", "https://files.example.org")]
    body, _ = await daemon.ask("POST", "/api/v1/x", behind)
    assert body == {"code": "origin_not_allowed"}
    body, _ = await daemon.ask("POST", "/api/v1/x", [*behind, ("X-Forwarded-Proto", "https")])
    assert body == {"foreign": False}
