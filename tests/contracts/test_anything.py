"""Whatever is sent to an endpoint that takes a body: never a 5xx, always a problem document, and the daemon goes on."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.peers import KeyedPeer, content_id
from tests.support.superpeers import Site, serving
from tests.support.wire import Answer, asked

POSTS = (
    "/api/v1/peers/challenge",
    "/api/v1/peers/register",
    "/api/v1/peers/heartbeat",
    "/api/v1/peers/unregister",
    "/api/v1/files/register",
    f"/api/v1/files/{content_id('a')}/swarm",
    "/api/v1/transfers/report",
)
TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "p", "\0", "\ud800", "..", "/", "0x7f.1", "127.0.0.1", "127.0.0.1:²", "a" * 52, "x" * 5000]),
    st.sampled_from([content_id("a"), content_id("a") + "\n", "c", "public", "sha256", "=", "AAAA", "é"]),
    st.sampled_from(
        ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.9Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-2, 3),
    st.integers(),
    st.floats(allow_nan=True),
    st.sampled_from([9001, 65535, 65536, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, -(2**63)]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


def keyed(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of known keys, each with what it should have or with anything."""
    return st.fixed_dictionaries({}, optional={key: st.one_of(value, VALUES) for key, value in known.items()})


HASHES = st.sampled_from([content_id(letter) for letter in "abc"])
ENTRY = keyed(
    path=st.sampled_from(["a", "b/c", "../x"]),
    id=HASHES,
    size=st.integers(0, 9),
    tags=st.lists(TEXT, max_size=3),
    audience=st.sampled_from(["public", "x"]),
    modified=TEXT,
    mime=TEXT,
    category=TEXT,
    manifest=HASHES,
)
BODIES: dict[str, st.SearchStrategy[Any]] = {
    "/api/v1/peers/challenge": keyed(public_key=TEXT),
    "/api/v1/peers/register": keyed(
        port=st.integers(1, 65535),
        id=TEXT,
        address=TEXT,
        name=TEXT,
        region=TEXT,
        version=TEXT,
        hash_algorithm=st.just("sha256"),
        shared_files=st.integers(0, 9),
        public_key=TEXT,
        nonce=TEXT,
        signature=TEXT,
    ),
    "/api/v1/peers/heartbeat": keyed(
        sequence=st.integers(0, 99),
        catalogue_id=TEXT,
        catalogue_version=st.integers(0, 9),
        load=keyed(active_uploads=st.integers(0, 9), upload_slots=st.integers(0, 9), upload_rate=st.integers(0, 9)),
    ),
    "/api/v1/peers/unregister": VALUES,
    f"/api/v1/files/{content_id('a')}/swarm": keyed(manifest=HASHES, proven=st.integers(0, 9), leaving=st.booleans()),
    "/api/v1/transfers/report": keyed(
        file_id=HASHES,
        source=TEXT,
        bytes=NUMBERS,
        seconds=NUMBERS,
        outcome=st.sampled_from(["ok", "corrupt", "timeout", "refused"]),
    ),
    "/api/v1/files/register": st.one_of(
        keyed(
            catalogue_id=st.just("c"),
            base_version=st.just(0),
            add=st.lists(ENTRY, max_size=3),
            remove=st.lists(TEXT, max_size=3),
            complete=st.booleans(),
        ),
        keyed(
            filename=TEXT, hash=HASHES, size=st.integers(0, 9), owner=TEXT, peer_address=TEXT, tags=st.none(), mime=TEXT
        ),
    ),
}
RAW = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.sampled_from(
        [
            b"{",
            b"[" * 5000,
            b'{"a":' * 2000,
            b'{"port": 9001, "port": 9002}',
            b'{"port": NaN}',
            b'{"port": Infinity}',
            b'{"port": -Infinity}',
            b'{"port": 1e999}',
            b'{"port": ' + b"9" * 5000 + b"}",
            b'{"port": 9001} {"port": 9001}',
            b'\xef\xbb\xbf{"port": 9001}',
            b'{"port": 9001, "id": "\\ud800"}',
            b'{"port": 9001, "id": "\\u0000"}',
            b'{"port": 9001, "name": "\xff"}',
            b'{"port": 9001, "\\u0000": 1}',
            b"null",
            b"true",
            b"9001",
            b'"text"',
            b" ",
            b"\0",
        ]
    ),
)


async def check(site: Site, path: str, body: bytes, **headers: str) -> None:
    answer: Answer = await asked(site.port, path, "POST", body, **headers)
    assert answer.status < 500, (path, body, answer)
    if answer.status >= 400:
        answer.problem()


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def loop() -> Any:
    """One loop for the many examples of this module."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def one(loop: Any) -> Any:
    """One super-peer for all of them, with a keyless peer `p` and one with a key."""
    folder = tempfile.TemporaryDirectory()
    context = serving(Path(folder.name))
    site = loop.run(context.__aenter__())
    peer = KeyedPeer(site)
    loop.run(peer.register())
    loop.run(asked(site.port, "/api/v1/peers/register", "POST", b'{"port": 9002, "id": "p"}'))
    yield site, {name.replace("-", "_"): value for name, value in peer.headers.items()}
    assert loop.run(site.get("/healthz"))["status"] == "ok"
    loop.run(site.get("/api/v1/files"))
    loop.run(site.get("/api/v1/peers"))
    loop.run(site.get("/api/v1/stats"))
    loop.run(context.__aexit__(None, None, None))
    folder.cleanup()


many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(st.sampled_from(POSTS), RAW)
def test_any_bytes(loop: Any, one: Any, path: str, body: bytes) -> None:
    site, headers = one
    loop.run(check(site, path, body, **headers))


@many
@given(st.sampled_from(POSTS), VALUES)
def test_any_json(loop: Any, one: Any, path: str, body: Any) -> None:
    site, headers = one
    loop.run(check(site, path, encoded(body), **headers))


@many
@given(st.sampled_from(POSTS).flatmap(lambda path: st.tuples(st.just(path), BODIES[path])), st.booleans())
def test_nearly_what_is_expected(loop: Any, one: Any, call: tuple[str, Any], verified: bool) -> None:
    site, headers = one
    loop.run(check(site, call[0], encoded(call[1]), **(headers if verified else {"X_Peer_ID": "p"})))


@many
@given(st.sampled_from(POSTS), st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
def test_any_header(loop: Any, one: Any, path: str, value: str) -> None:
    site, _ = one
    for name in ("X_Peer_ID", "Authorization", "Content_Type", "Origin", "Host", "X_Forwarded_For", "Expect"):
        loop.run(check(site, path, b"{}", **{"X_Peer_ID": "p", name: value}))
    loop.run(check(site, path, b"{}", X_Peer_ID="p", Authorization=f"Bearer {value}"))


QUERY = st.sampled_from(
    [
        "q",
        "category",
        "tag",
        "ext",
        "min_size",
        "max_size",
        "modified_after",
        "peer",
        "region",
        "online",
        "sort",
        "limit",
        "cursor",
        "x",
    ]
)


@many
@given(
    st.sampled_from(["/api/v1/files", "/api/v1/files/search", "/api/v1/peers", "/search", "/"]),
    st.lists(st.tuples(QUERY, st.one_of(TEXT.filter(lambda text: len(text) < 200), NUMBERS.map(str))), max_size=5),
)
def test_any_query(loop: Any, one: Any, path: str, query: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode

    site, _ = one
    target = f"{path}?{urlencode(query, errors='surrogatepass')}"

    async def ask() -> None:
        answer = await asked(site.port, target)
        assert answer.status < 500, (target, answer)

    loop.run(ask())
