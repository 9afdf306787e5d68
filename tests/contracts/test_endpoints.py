"""Every endpoint of the super-peer in one conversation: the status, keys and types that the contract promises."""

import re
from typing import Any

from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.superpeers import Site
from tests.support.wire import asked

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
HEX = re.compile(r"[0-9a-f]{64}")


class Time(str):
    """RFC 3339 in UTC."""


class Hash(str):
    """A file's id."""


Shape = Any
PEER: Shape = {
    "id": str,
    "name": str,
    "address": str,
    "port": int,
    "last_seen": Time,
    "is_online": bool,
    "reputation": int,
    "shared_files": int,
    "shared_bytes": int,
    "region": str,
    "verified": bool,
    "version": str,
    "direct": bool,
}
FILE: Shape = {
    "id": Hash,
    "filename": str,
    "size": int,
    "hash": Hash,
    "category": str,
    "tags": [str],
    "mime": str,
    "owner": str,
    "peer_address": str,
    "upload_time": Time,
    "modified": (Time, None),
    "downloads": int,
    "rating": (float, int),
    "sources": int,
    "names": [str],
    "manifest": (Hash, None),
}
SOURCE: Shape = {
    "peer_id": str,
    "url": str,
    "complete": bool,
    "manifest": (Hash, None),
    "reputation": int,
    "region": str,
    "load": (float, int),
    "direct": bool,
    "why": str,
}
STATS: Shape = {
    "total_peers": int,
    "online_peers": int,
    "total_files": int,
    "total_bytes": int,
    "total_downloads": int,
    "network_health": (float, int),
    "last_updated": Time,
}
REGISTERED: Shape = {
    "status": str,
    "peer_id": str,
    "message": str,
    "token": str,
    "heartbeat_interval": (float, int),
    "catalogue_id": (str, None),
    "catalogue_version": int,
    "hash_algorithm": str,
    "address": str,
}
SEARCH: Shape = {
    "results": [FILE],
    "count": int,
    "total": int,
    "total_exact": bool,
    "query": str,
    "next_cursor": (str, None),
}


def fits(value: Any, shape: Shape) -> bool:
    """Whether a value has the promised keys (it may have more) and types."""
    if isinstance(shape, tuple):
        return any(fits(value, each) for each in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(fits(value.get(key, ...), kind) for key, kind in shape.items())
    if shape is None:
        return value is None
    if shape is Time:
        return isinstance(value, str) and TIME.fullmatch(value) is not None
    if shape is Hash:
        return isinstance(value, str) and HEX.fullmatch(value) is not None
    return type(value) is shape


def check(value: Any, shape: Shape) -> None:
    assert fits(value, shape), value


async def test_the_whole_conversation(site: Site) -> None:
    peer = KeyedPeer(site)
    check(await peer.challenge(), {"nonce": str, "super_peer_id": str})
    check(await peer.register(name="Desk"), REGISTERED)
    check(await peer.beat(), {"catalogue_id": None, "catalogue_version": int, "heartbeat_interval": (float, int)})
    answer = await peer.try_announce([entry("a.txt", modified="2024-01-01T00:00:00Z", manifest=content_id("m"))])
    check(answer.json(), {"status": str, "catalogue_version": int})
    program = Peer(site, "p", 9002)
    check(await program.register(), REGISTERED)
    body = {"filename": "b.txt", "hash": content_id("b.txt"), "size": 5, "owner": "p"}
    single = await site.call("POST", "/api/v1/files/register", body)
    check(single.json(), {"status": str, "file_id": Hash, "message": str})
    check(await site.get("/api/v1/peers"), [PEER])
    check(await site.get(f"/api/v1/peers/{peer.id}"), PEER)
    files = await site.get("/api/v1/files")
    assert len(files) == 2
    check(files, [FILE])
    check(await site.get("/api/v1/files/search", q="a"), SEARCH)
    check(await site.get("/api/v1/files/search", limit=1), SEARCH)
    file = await site.get(f"/api/v1/files/{content_id('a.txt')}")
    check(file, FILE)
    assert file["modified"] == "2024-01-01T00:00:00Z"
    check(await site.get(f"/api/v1/files/{content_id('a.txt')}/sources"), [SOURCE])
    check(await site.get("/api/v1/stats"), STATS)
    redirect = await site.call("GET", f"/api/v1/download/{content_id('a.txt')}")
    assert (redirect.status, bool(redirect.headers["Location"])) == (307, True)
    async with site.events() as events:
        check(await events.next(), {"type": str, "data": STATS, "timestamp": Time})
    await peer.leave()
    for path in ("/healthz", "/readyz"):
        check(await site.get(path), {"status": str})
    metrics = await site.call("GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert b"peers_online" in metrics.body


async def test_every_answer_has_a_request_id(site: Site) -> None:
    seen = {(await asked(site.port, path)).headers["X-Request-ID"] for path in ("/healthz", "/nowhere", "/", "/ws")}
    assert len(seen) == 4


async def test_head_works_where_get_does(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.share("a.txt")
    for path in (
        "/api/v1/peers",
        f"/api/v1/peers/{peer.id}",
        "/api/v1/files",
        "/api/v1/files/search",
        f"/api/v1/files/{content_id('a.txt')}",
        f"/api/v1/files/{content_id('a.txt')}/sources",
        "/api/v1/stats",
        "/api/v1/openapi.json",
        "/healthz",
        "/metrics",
        "/",
    ):
        get, head = await asked(site.port, path), await asked(site.port, path, "HEAD")
        assert (head.status, head.body) == (200, b""), path
        assert head.headers["Content-Type"] == get.headers["Content-Type"]


async def test_other_methods_are_refused_with_those_that_work(site: Site) -> None:
    for path, method, allowed in (
        ("/api/v1/files", "POST", "GET"),
        ("/api/v1/files", "DELETE", "GET"),
        ("/api/v1/peers/heartbeat", "PUT", "POST"),
        ("/api/v1/files/register", "DELETE", "POST"),
        ("/api/v1/stats", "PATCH", "GET"),
    ):
        answer = await asked(site.port, path, method)
        assert answer.problem() == (405, "method_not_allowed"), (path, method)
        assert allowed in answer.headers["Allow"]


async def test_nothing_lies_below_the_api_that_is_not_told(site: Site) -> None:
    told = await site.get("/api/v1/openapi.json")
    assert told["openapi"].startswith("3.1")
    assert set(told["paths"]) == {
        "/api/v1/peers/challenge",
        "/api/v1/peers/register",
        "/api/v1/peers/heartbeat",
        "/api/v1/peers/unregister",
        "/api/v1/peers",
        "/api/v1/peers/{id}",
        "/api/v1/files/register",
        "/api/v1/files",
        "/api/v1/files/search",
        "/api/v1/files/{id}",
        "/api/v1/files/{id}/sources",
        "/api/v1/files/{id}/swarm",
        "/api/v1/files/{id}.meta4",
        "/api/v1/files/{id}.torrent",
        "/api/v1/transfers/report",
        "/api/v1/download/{id}",
        "/api/v1/manifest/{id}",
        "/api/v1/have/{id}",
        "/api/v1/next/{id}",
        "/api/v1/line",
        "/api/v1/line/{stream}",
        "/api/v1/stats",
        "/api/v1/openapi.json",
        "/ws",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path in ("/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/files", "/api/v1/files/", "/api/v1//files"):
        assert (await asked(site.port, path, Accept="text/html")).problem() == (404, "not_found"), path


async def test_a_body_of_another_type_is_refused(site: Site) -> None:
    await Peer(site, "p").register()
    for path in (
        "/api/v1/peers/challenge",
        "/api/v1/peers/register",
        "/api/v1/peers/heartbeat",
        "/api/v1/files/register",
    ):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"):
            answer = await asked(site.port, path, "POST", b"{}", X_Peer_ID="p", Content_Type=kind)
            assert answer.problem() == (415, "unsupported_media_type"), (path, kind)
        packed = await asked(site.port, path, "POST", b"{}", X_Peer_ID="p", Content_Encoding="gzip")
        assert packed.problem() == (415, "unsupported_encoding"), path
        chunked = await asked(site.port, path, "POST", X_Peer_ID="p", Transfer_Encoding="chunked")
        assert chunked.problem() == (411, "length_required"), path
