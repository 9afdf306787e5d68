"""Programs written for the earlier system, byte for byte as they speak: they register, stay, list and search here.

Its peer is written in Go, its pages run in a browser; what each sends is given as it goes over the wire.
"""

import json
from datetime import datetime
from typing import Any

import pytest

from tests.support.peers import content_id
from tests.support.superpeers import INTERVAL, Site
from tests.support.wire import Answer, connected

PEER_ID = "peer_6f1c2a9b3d4"
HASH = content_id("holiday")

# The keys that these programs read, with the types that their structures have.
PEER: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "address": str,
    "port": int,
    "last_seen": str,
    "is_online": bool,
    "reputation": int,
    "shared_files": int,
    "region": str,
}
FILE: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "filename": str,
    "size": int,
    "hash": str,
    "category": str,
    "tags": list,
    "owner": str,
    "peer_address": str,
    "upload_time": str,
    "downloads": int,
    "rating": (int, float),
}
STATS: dict[str, type | tuple[type, ...]] = {
    "total_peers": int,
    "online_peers": int,
    "total_files": int,
    "total_downloads": int,
    "network_health": (int, float),
    "last_updated": str,
}


def check(value: Any, shape: dict[str, type | tuple[type, ...]]) -> None:
    for key, kind in shape.items():
        assert isinstance(value[key], kind), (key, value)
        assert kind is bool or not isinstance(value[key], bool), (key, value)


def go_time(text: str) -> datetime:
    """As Go's time.Time reads it: RFC 3339, any fraction."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


async def send(site: Site, *lines: str, body: str = "") -> Answer:
    """One request, exactly these lines."""
    async with connected(site.port) as wire:
        wire.send("\r\n".join([*lines, "", body]).encode())
        return await wire.answer()


async def go_post(site: Site, path: str, body: str) -> Answer:
    """http.Post(url, "application/json", …)"""
    return await send(
        site,
        f"POST {path} HTTP/1.1",
        "Host: localhost:8080",
        "User-Agent: Go-http-client/1.1",
        f"Content-Length: {len(body.encode())}",
        "Content-Type: application/json",
        "Accept-Encoding: gzip",
        body=body,
    )


async def go_heartbeat(site: Site, peer_id: str) -> Answer:
    """http.NewRequest("POST", url, nil) with the header X-Peer-ID, which Go writes in its own way."""
    return await send(
        site,
        "POST /api/v1/peers/heartbeat HTTP/1.1",
        "Host: localhost:8080",
        "User-Agent: Go-http-client/1.1",
        "Content-Length: 0",
        f"X-Peer-Id: {peer_id}",
        "Accept-Encoding: gzip",
    )


async def go_get(site: Site, path: str) -> Any:
    answer = await send(
        site,
        f"GET {path} HTTP/1.1",
        "Host: localhost:8080",
        "User-Agent: Go-http-client/1.1",
        "Accept-Encoding: gzip",
    )
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in answer.headers
    return answer.json()


REGISTRATION = f'{{"address":"127.0.0.1","id":"{PEER_ID}","port":9001,"region":"local","shared_files":2}}'


def registration_of_a_file(name: str, content: str, category: str, tags: str = "null") -> str:
    return (
        f'{{"category":"{category}","filename":"{name}","hash":"{content_id(content)}","owner":"{PEER_ID}",'
        f'"peer_address":"127.0.0.1:9001","size":{len(content)},"tags":{tags}}}'
    )


@pytest.fixture
async def registered(site: Site) -> Site:
    """A network in which the earlier system's peer has told all that it tells."""
    assert (await go_post(site, "/api/v1/peers/register", REGISTRATION)).status == 200
    for body in (
        registration_of_a_file("holiday_movie.mp4", "holiday", "video", '["video"]'),
        registration_of_a_file("Music Album.zip", "album", "archive", '["music"]'),
        registration_of_a_file("notes", "notes", "other"),
    ):
        assert (await go_post(site, "/api/v1/files/register", body)).status == 200
    return site


async def test_it_registers(site: Site) -> None:
    answer = await go_post(site, "/api/v1/peers/register", REGISTRATION)
    assert answer.status == 200
    told = answer.json()
    assert (told["status"], told["peer_id"]) == ("success", PEER_ID)
    assert told["message"] == "Peer registered successfully"


async def test_it_registers_its_files(site: Site) -> None:
    await go_post(site, "/api/v1/peers/register", REGISTRATION)
    answer = await go_post(site, "/api/v1/files/register", registration_of_a_file("a.mp4", "holiday", "video"))
    assert answer.status == 200
    assert answer.json() == {"status": "success", "file_id": HASH, "message": "File registered successfully"}


async def test_it_stays_by_heartbeats_under_its_own_id(registered: Site) -> None:
    for _ in range(5):
        await registered.pass_time(2 * INTERVAL)
        assert (await go_heartbeat(registered, PEER_ID)).status == 200
    (peer,) = await go_get(registered, "/api/v1/peers")
    assert peer["is_online"] is True


async def test_what_it_leaves_out_does_not_matter(site: Site) -> None:
    answer = await go_post(site, "/api/v1/peers/register", '{"port":9001}')
    told = answer.json()
    assert answer.status == 200
    assert told["peer_id"]
    answer = await go_heartbeat(site, told["peer_id"])
    assert answer.status == 200


async def test_a_structure_with_every_key_at_its_zero_is_taken(site: Site) -> None:
    """What json.Marshal makes of the structures themselves."""
    peer = {
        "id": PEER_ID,
        "address": "127.0.0.1",
        "port": 9001,
        "last_seen": "0001-01-01T00:00:00Z",
        "is_online": False,
        "reputation": 0,
        "shared_files": 0,
        "region": "",
    }
    assert (await go_post(site, "/api/v1/peers/register", json.dumps(peer))).status == 200
    file = {
        "id": "",
        "filename": "a.txt",
        "size": 0,
        "hash": HASH,
        "category": "",
        "tags": None,
        "owner": PEER_ID,
        "peer_address": "",
        "upload_time": "0001-01-01T00:00:00Z",
        "downloads": 0,
        "rating": 0,
    }
    assert (await go_post(site, "/api/v1/files/register", json.dumps(file))).status == 200
    assert (await go_get(site, "/api/v1/files"))[0]["filename"] == "a.txt"


async def test_peers_have_the_keys_that_it_reads(registered: Site) -> None:
    (peer,) = await go_get(registered, "/api/v1/peers")
    check(peer, PEER)
    go_time(peer["last_seen"])
    assert (peer["id"], peer["address"], peer["port"], peer["region"]) == (PEER_ID, "127.0.0.1", 9001, "local")
    assert peer["shared_files"] == 3


async def test_files_have_the_keys_that_it_reads(registered: Site) -> None:
    files = await go_get(registered, "/api/v1/files")
    assert len(files) == 3
    for file in files:
        check(file, FILE)
        go_time(file["upload_time"])
    movie = next(file for file in files if file["filename"] == "holiday_movie.mp4")
    assert (movie["hash"], movie["category"], movie["tags"], movie["size"]) == (HASH, "video", ["video"], 7)
    assert (movie["owner"], movie["peer_address"]) == (PEER_ID, "127.0.0.1:9001")


async def test_the_numbers_have_the_keys_that_it_reads(registered: Site) -> None:
    stats = await go_get(registered, "/api/v1/stats")
    check(stats, STATS)
    go_time(stats["last_updated"])
    assert (stats["total_peers"], stats["online_peers"], stats["total_files"]) == (1, 1, 3)
    assert stats["network_health"] == 100


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=MUSIC", {"Music Album.zip"}),
        ("q=video", {"holiday_movie.mp4"}),
        ("q=oti", set()),
        ("q=ote", {"notes"}),
        ("q=archive", {"Music Album.zip"}),
        ("q=&category=video", {"holiday_movie.mp4"}),
        ("q=nothing&category=", set()),
        ("category=archive&sort=size&limit=10", {"Music Album.zip"}),
        ("", {"holiday_movie.mp4", "Music Album.zip", "notes"}),
    ],
)
async def test_it_searches(registered: Site, query: str, names: set[str]) -> None:
    answer = await go_get(registered, f"/api/v1/files/search?{query}")
    assert {file["filename"] for file in answer["results"]} == names
    assert answer["count"] == len(names)
    assert isinstance(answer["results"], list), "never null"
    for file in answer["results"]:
        check(file, FILE)


async def test_it_searches_in_an_order_and_up_to_a_limit(registered: Site) -> None:
    async def names(query: str) -> list[str]:
        answer = await go_get(registered, f"/api/v1/files/search?{query}")
        return [file["filename"] for file in answer["results"]]

    assert await names("sort=name") == ["holiday_movie.mp4", "Music Album.zip", "notes"]
    assert (await names("sort=size"))[0] == "holiday_movie.mp4"
    assert len(await names("sort=downloads&limit=2")) == 2
    assert len(await names("sort=rating&limit=1")) == 1
    assert (await go_get(registered, "/api/v1/files/search?q=Music"))["query"] == "Music"


async def test_the_same_file_announced_at_every_sweep_is_one_file(registered: Site) -> None:
    body = registration_of_a_file("holiday_movie.mp4", "holiday", "video")
    for _ in range(4):
        assert (await go_post(registered, "/api/v1/files/register", body)).status == 200
    assert len(await go_get(registered, "/api/v1/files")) == 3


async def test_a_peer_that_starts_again_is_the_same_peer(registered: Site) -> None:
    assert (await go_post(registered, "/api/v1/peers/register", REGISTRATION)).status == 200
    assert len(await go_get(registered, "/api/v1/peers")) == 1


async def test_a_download_leads_to_a_path_that_a_peer_has(registered: Site) -> None:
    answer = await send(registered, f"GET /api/v1/download/{HASH} HTTP/1.1", "Host: localhost:8080")
    assert answer.status == 307
    assert answer.headers["Location"] == f"http://127.0.0.1:9001/api/v1/download/{HASH}"


async def test_refusals_keep_the_status_that_they_had(site: Site) -> None:
    assert (await go_post(site, "/api/v1/peers/register", "{")).status == 400
    assert (await go_post(site, "/api/v1/files/register", "[]")).status == 400
    assert (await go_heartbeat(site, "")).status == 400
    unknown = await send(site, f"GET /api/v1/download/{HASH} HTTP/1.1", "Host: localhost:8080")
    assert unknown.status == 404
    nowhere = await send(site, "GET /api/v1/nowhere HTTP/1.1", "Host: localhost:8080")
    assert nowhere.status == 404


async def test_the_dashboard_hears_what_it_waits_for(site: Site) -> None:
    async with site.events(origin=f"http://127.0.0.1:{site.port}") as events:
        first = await events.next()
        assert first["type"] == "stats_update"
        check(first["data"], STATS)
        await go_post(site, "/api/v1/peers/register", REGISTRATION)
        registered = await events.of("peer_registered", "file_registered")
        assert registered["type"] == "peer_registered"
        check(registered["data"], PEER)
        go_time(registered["timestamp"])
        await go_post(site, "/api/v1/files/register", registration_of_a_file("a.mp4", "holiday", "video"))
        announced = await events.of("file_registered")
        check(announced["data"], FILE)
        assert announced["data"]["filename"] == "a.mp4"
        await go_post(site, "/api/v1/files/register", registration_of_a_file("a.mp4", "holiday", "video"))
        assert (await events.of("file_registered"))["data"]["filename"] == "a.mp4"
        check((await events.of("stats_update"))["data"], STATS)


async def test_what_its_page_says_on_the_socket_does_no_harm(site: Site) -> None:
    async with site.events() as events:
        await events.socket.send_str('{"type":"ping"}')
        await events.socket.send_str("hello")
        await go_post(site, "/api/v1/peers/register", REGISTRATION)
        assert (await events.of("peer_registered"))["data"]["id"] == PEER_ID


async def test_the_peers_page_searches_from_its_own_origin(registered: Site) -> None:
    """The page lies on the peer's port and asks the super-peer's."""
    answer = await send(
        registered,
        "GET /api/v1/files/search?q=holiday&category= HTTP/1.1",
        "Host: localhost:8080",
        "Origin: http://localhost:9001",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Mode: cors",
        "Accept: */*",
    )
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.json()["count"] == 1
