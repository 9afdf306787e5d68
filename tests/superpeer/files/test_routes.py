"""Files over HTTP: catalogues in, lists, searches, sources and redirects out."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from aiohttp.test_utils import make_mocked_request

from common.http.addresses import networks
from superpeer.files.routes import local_address
from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.superpeers import INTERVAL, Site, serving
from tests.support.wire import Answer, asked, connected, request_bytes

ID = content_id("a")


async def keyed(site: Site, seed: str = "peer", port: int = 9001, **about: Any) -> KeyedPeer:
    peer = KeyedPeer(site, seed, port)
    await peer.register(**about)
    return peer


async def post_file(site: Site, body: Any, **headers: str) -> Answer:
    return await site.call("POST", "/api/v1/files/register", body, headers)


# Catalogues


async def test_a_catalogue_comes_as_deltas(site: Site) -> None:
    peer = await keyed(site)
    assert (await peer.try_announce([entry("a.txt")])).json() == {"status": "success", "catalogue_version": 1}
    peer.version = 1
    await peer.announce(entry("b.txt"), remove=["a.txt"])
    assert peer.version == 2
    assert await site.found() == ["b.txt"]


async def test_a_lost_answer_is_noticed_and_nothing_happens_twice(site: Site) -> None:
    peer = await keyed(site)
    await peer.share("a.txt")
    call = ([entry("b.txt")], ["a.txt"])
    assert (await peer.try_announce(*call, base=1)).status == 200
    again = await peer.try_announce(*call, base=1)
    assert again.problem() == (409, "catalogue_out_of_step")
    assert (again.json()["catalogue_id"], again.json()["catalogue_version"]) == ("c", 2)
    assert (await peer.beat())["catalogue_version"] == 2
    assert await site.found() == ["b.txt"]


async def test_a_beginning_repeated_after_a_lost_answer_leaves_one_thing(site: Site) -> None:
    peer = await keyed(site)
    for _ in range(2):
        await peer.announce(entry("a.txt"), entry("b.txt"), base=0)
        assert peer.version == 1
    await peer.announce(entry("c.txt"), complete=True)
    assert sorted(await site.found()) == ["a.txt", "b.txt", "c.txt"]
    assert (await site.get(f"/api/v1/peers/{peer.id}"))["shared_files"] == 3


async def test_another_catalogue_begins_anew(site: Site) -> None:
    peer = await keyed(site)
    await peer.share("a.txt")
    peer.catalogue = "another"
    refused = await peer.try_announce([entry("b.txt")])
    assert refused.problem() == (409, "catalogue_out_of_step")
    assert refused.json()["catalogue_id"] == "c"
    await peer.announce(entry("b.txt"), base=0, complete=True)
    assert await site.found() == ["b.txt"]
    assert (await peer.beat())["catalogue_id"] == "another"


async def test_a_thousand_entries_a_call_and_no_more(site: Site) -> None:
    peer = await keyed(site)
    entries = [entry(f"{n}.txt") for n in range(1001)]
    assert (await peer.try_announce(entries)).problem() == (400, "invalid_body")
    assert (await peer.try_announce([], [f"{n}" for n in range(1001)])).problem() == (400, "invalid_body")
    await peer.announce(*entries[:1000])
    await peer.announce(remove=[each["path"] for each in entries[:1000]])
    assert (await site.get("/api/v1/stats"))["total_files"] == 0


async def test_paths_that_lead_elsewhere_are_refused(site: Site) -> None:
    peer = await keyed(site)
    for path in ("..", "../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/", "x" * 2000):
        answer = await peer.try_announce([entry("good.txt"), entry(path)])
        assert answer.problem() == (400, "invalid_path"), path
        single = await post_file(site, {"filename": path, "hash": ID, "size": 1}, **peer.headers)
        assert single.problem() == (400, "invalid_path"), path
    for path in ("", "a\0b", "\ud800", "x" * 5000):
        assert (await peer.try_announce([entry("good.txt"), entry("b") | {"path": path}])).problem() == (
            400,
            "invalid_body",
        )
    assert (await peer.try_announce([entry("a"), entry("a", "other")])).problem() == (400, "invalid_path")
    assert (await peer.beat())["catalogue_version"] == 0
    assert await site.listed() == []


BAD_ENTRIES: list[Any] = [
    {"id": "x"},
    {"id": ID[:63]},
    {"id": ID + "0"},
    {"id": ID + "\n"},
    {"id": ID.upper()},
    {"id": None},
    {"id": 7},
    {"size": -1},
    {"size": 1.5},
    {"size": "1"},
    {"size": 2**53 + 1},
    {"size": None},
    {"modified": "yesterday"},
    {"modified": 5},
    {"tags": "jazz"},
    {"tags": ["x" * 65]},
    {"tags": ["x"] * 65},
    {"tags": [1]},
    {"tags": None},
    {"mime": "x" * 128},
    {"category": 1},
    {"manifest": "x"},
    {"manifest": ID + "\n"},
    {"audience": None},
    {"audience": ["public"]},
    {"audience": "x" * 65},
    {"path": 1},
    {"path": None},
]


async def test_an_entry_that_does_not_fit_is_refused(site: Site) -> None:
    peer = await keyed(site)
    for change in BAD_ENTRIES:
        answer = await peer.try_announce([entry("good.txt"), entry("a.txt") | change])
        assert answer.problem() == (400, "invalid_body"), change
    assert await site.listed() == []


BAD_DELTAS: list[Any] = [
    {"catalogue_id": ""},
    {"catalogue_id": "x" * 65},
    {"catalogue_id": None},
    {"catalogue_id": 1},
    {"base_version": -1},
    {"base_version": "0"},
    {"base_version": None},
    {"base_version": 2**53 + 1},
    {"add": {}},
    {"add": None},
    {"add": ["a.txt"]},
    {"remove": "a.txt"},
    {"remove": [1]},
    {"remove": [""]},
    {"complete": "yes"},
    {"complete": 1},
]


async def test_a_delta_that_does_not_fit_is_refused(site: Site) -> None:
    peer = await keyed(site)
    good = {"catalogue_id": "c", "base_version": 0, "add": [], "remove": [], "complete": False}
    for change in BAD_DELTAS:
        assert (await post_file(site, good | change, **peer.headers)).problem() == (400, "invalid_body"), change
    for missing in ("catalogue_id", "base_version"):
        body = {key: value for key, value in good.items() if key != missing}
        assert (await post_file(site, body, **peer.headers)).problem() == (400, "invalid_body"), missing
    assert (await post_file(site, good, **peer.headers)).status == 200


async def test_times_that_nobody_can_show_do_no_harm(site: Site) -> None:
    peer = await keyed(site)
    times = ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-10:00"]
    await peer.announce(*(entry(f"{n}.txt", modified=time) for n, time in enumerate(times)))
    await peer.announce(
        entry("go.txt", modified="0001-01-01T00:00:00Z"), entry("offset.txt", modified="2024-01-01T01:00:00+01:00")
    )
    files = {file["filename"]: file["modified"] for file in await site.get("/api/v1/files")}
    assert [files[f"{n}.txt"] for n in range(3)] == [None] * 3
    assert files["go.txt"] == "0001-01-01T00:00:00Z"
    assert files["offset.txt"] == "2024-01-01T00:00:00Z"


async def test_sizes_beyond_all_sense_do_no_harm(tmp_path: Path) -> None:
    async with serving(tmp_path, max_files_per_peer=10_000) as site:
        peer = await keyed(site)
        for n in range(2):
            await peer.announce(*(entry(f"{n}-{m}.txt", size=2**53) for m in range(600)))
        assert (await site.get("/api/v1/stats"))["total_bytes"] == 2**53
        assert (await site.get(f"/api/v1/peers/{peer.id}"))["shared_bytes"] == 2**53


async def test_quotas(tmp_path: Path) -> None:
    async with serving(tmp_path, max_files_per_peer=5, unverified_files_per_peer=2) as site:
        peer, program = await keyed(site), Peer(site, "p", 9002)
        await program.register()
        await peer.share(*(f"{n}" for n in range(5)))
        await program.share("x", "y")
        assert (await peer.try_announce([entry("5")])).problem() == (413, "too_many_entries")
        assert (await program.try_announce([entry("z")])).problem() == (413, "too_many_entries")
        assert (await post_file(site, {"filename": "z", "hash": ID, "size": 1, "owner": "p"})).status == 413
        assert (await peer.beat())["catalogue_version"] == 1
        await peer.announce(entry("5"), remove=["0"])


async def test_a_delta_has_a_bound_of_its_own(site: Site) -> None:
    peer = await keyed(site)
    headers = {name.replace("-", "_"): value for name, value in peer.headers.items()}
    long = [entry(f"{n}/" + "x" * 1000, tags=["y" * 60] * 40) for n in range(1000)]
    body = json.dumps({"catalogue_id": "c", "base_version": 0, "add": long}).encode()
    assert 3 * 2**20 < len(body) < 4 * 2**20
    assert (await asked(site.port, "/api/v1/files/register", "POST", body, **headers)).status == 200
    async with connected(site.port) as wire:
        # Refused by its length alone: nothing of it is read.
        wire.request("/api/v1/files/register", "POST", b"{", Content_Length=str(4 * 2**20 + 1), **headers)
        assert (await wire.answer()).problem() == (413, "too_large")


async def test_who_hangs_up_in_the_middle_can_go_on(site: Site) -> None:
    """The answer is lost at any moment: the version held, in memory and on disk, stays one and the same."""
    peer = await keyed(site)
    for n in range(25):
        delta = {"catalogue_id": "c", "base_version": peer.version, "add": [entry(f"{n}.txt")]}
        body = json.dumps(delta).encode()
        headers = {name.replace("-", "_"): value for name, value in peer.headers.items()}
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(request_bytes("/api/v1/files/register", "POST", body, **headers))
        await writer.drain()
        for _ in range(n * 3):
            await asyncio.sleep(0)
        writer.transport.abort()
        del reader
        # What comes after it is of one mind about whether it was taken.
        again = await peer.try_announce([entry(f"{n}.txt")], base=peer.version)
        held = again.json()["catalogue_version"]
        assert held == peer.version + 1
        assert (await peer.beat())["catalogue_version"] == held
        peer.version = held
    assert len(await site.found()) == 25


async def test_a_database_that_is_lost_is_whole_again_after_one_round(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with serving(folder) as site:
        peer = await keyed(site)
        await peer.share("a.txt", "b.txt")
        token, version = peer.token, peer.version
    shutil.rmtree(folder)
    async with serving(folder) as site:
        peer.site = site
        assert (peer.token, peer.version) == (token, version)
        assert (await peer.try_beat()).problem() == (404, "peer_not_found")
        told = await peer.register()
        assert (told["catalogue_id"], told["catalogue_version"]) == (None, 0)
        await peer.announce(entry("a.txt"), entry("b.txt"), base=0, complete=True)
        assert sorted(await site.found()) == ["a.txt", "b.txt"]


async def test_an_older_copy_of_the_database_is_noticed_by_the_next_heartbeat(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with serving(folder) as site:
        peer = await keyed(site)
        await peer.share("a.txt")
    shutil.copytree(folder, tmp_path / "copy")
    async with serving(folder) as site:
        peer.site = site
        await peer.share("b.txt")
        assert (await peer.beat())["catalogue_version"] == 2
    async with serving(tmp_path / "copy") as site:
        peer.site = site
        assert (await peer.beat())["catalogue_version"] == 1
        await peer.announce(entry("a.txt"), entry("b.txt"), base=0, complete=True)
        assert sorted(await site.found()) == ["a.txt", "b.txt"]


# Single files


async def test_a_program_announces_single_files(site: Site) -> None:
    program = Peer(site, "p")
    await program.register()
    body = {"filename": "dir/song.mp3", "hash": ID, "size": 3, "tags": None, "category": "", "id": "ignored"}
    answer = await post_file(site, body | {"owner": "p"})
    assert answer.json() == {"status": "success", "file_id": ID, "message": "File registered successfully"}
    found = await site.get(f"/api/v1/files/{ID}")
    assert (found["filename"], found["category"], found["owner"]) == ("song.mp3", "audio", "p")
    assert found["peer_address"] == "127.0.0.1:9001"
    for _ in range(3):
        assert (await post_file(site, body | {"owner": "p"})).status == 200
    assert (await site.get("/api/v1/peers/p"))["shared_files"] == 1
    assert (await program.beat())["catalogue_version"] == 4


async def test_a_single_file_is_whose_it_says(site: Site) -> None:
    program = Peer(site, port=9007)
    await program.register()
    body = {"filename": "a", "hash": ID, "size": 1}
    assert (await post_file(site, body, **{"X-Peer-ID": program.id})).status == 200
    for address in ("127.0.0.1:9007", "elsewhere:9007", ":9007", "9007"):
        assert (await post_file(site, body | {"peer_address": address})).status == 200, address
        assert (await post_file(site, body | {"peer_address": address, "owner": ""})).status == 200, address
    for address in ("127.0.0.1:9008", "127.0.0.1:", "x", "", "127.0.0.1:²", "127.0.0.1:٩٠٠٧", "127.0.0.1:99999999999"):
        answer = await post_file(site, body | {"peer_address": address})
        assert answer.problem() in ((400, "invalid_parameter"), (404, "peer_not_found")), address
    assert (await post_file(site, body)).problem() == (400, "invalid_parameter")
    assert (await post_file(site, body | {"owner": "nobody"})).problem() == (404, "peer_not_found")


async def test_nobody_announces_for_a_peer_with_a_key(site: Site) -> None:
    peer = await keyed(site, port=9007)
    body = {"filename": "a", "hash": ID, "size": 1}
    assert (await post_file(site, body | {"owner": peer.id})).problem() == (401, "token_required")
    assert (await post_file(site, body | {"peer_address": "127.0.0.1:9007"})).problem() == (404, "peer_not_found")
    wrong = {"Authorization": "Bearer wrong"}
    assert (await post_file(site, body | {"owner": peer.id}, **wrong)).problem() == (401, "token_invalid")
    assert (await post_file(site, body, **peer.headers)).status == 200
    assert (await post_file(site, body | {"owner": "somebody else"}, **peer.headers)).status == 200
    assert (await site.get(f"/api/v1/files/{ID}"))["owner"] == peer.id


BAD_FILES: list[Any] = [
    {},
    {"filename": "a"},
    {"filename": "a", "hash": ID},
    {"filename": "", "hash": ID, "size": 1},
    {"filename": "a", "hash": "x", "size": 1},
    {"filename": "a", "hash": ID, "size": "1"},
    {"filename": "a", "hash": ID, "size": 1, "owner": 5},
    {"filename": "a", "hash": ID, "size": 1, "tags": "x"},
    {"filename": "a", "hash": ID, "size": 1, "peer_address": "x" * 301},
    [],
    "a",
    7,
    None,
]


async def test_a_single_file_that_does_not_fit_is_refused(site: Site) -> None:
    await Peer(site, "p").register()
    for body in BAD_FILES:
        raw = json.dumps(body).encode()
        answer = await asked(site.port, "/api/v1/files/register", "POST", raw, X_Peer_ID="p")
        assert answer.problem() == (400, "invalid_body"), body
    assert (await post_file(site, None, **{"X-Peer-ID": "p"})).problem() == (400, "body_required")


# Lists and searches


async def test_a_search_answers_in_its_shape(site: Site) -> None:
    assert await site.get("/api/v1/files/search", q="Any") == {
        "results": [],
        "count": 0,
        "total": 0,
        "total_exact": True,
        "query": "Any",
        "next_cursor": None,
    }
    peer = await keyed(site)
    await peer.share(*(f"any {n}.txt" for n in range(5)))
    answer = await site.get("/api/v1/files/search", q="Any", limit=2)
    assert (answer["count"], answer["total"], answer["query"]) == (2, 5, "Any")
    assert len(answer["results"]) == 2
    assert answer["next_cursor"]


async def test_totals_and_the_next_page_are_in_the_headers(site: Site) -> None:
    peer = await keyed(site)
    await peer.share(*(f"{n:02} & ü?.txt" for n in range(7)), tags=["x y", "z"])
    for path, query in (
        ("/api/v1/files", [("limit", "2")]),
        ("/api/v1/files/search", [("q", "& ü?"), ("tag", "x y"), ("tag", "z"), ("limit", "2"), ("sort", "name")]),
        ("/api/v1/files/search", [("q", "txt"), ("limit", "3")]),
    ):
        answer = await site.call("GET", path, query=query)
        assert answer.headers["X-Total-Count"] == "7"
        assert answer.headers["Link"].startswith(f"<{path}?")
        assert "X-Total-Exact" not in answer.headers
        names = [file["filename"] for file in await site.pages(path, **_as_dict(query))]
        assert sorted(names) == [f"{n:02} & ü?.txt" for n in range(7)]
    whole = await site.call("GET", "/api/v1/files")
    assert "Link" not in whole.headers


def _as_dict(query: list[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in query:
        found[name] = [*found[name], value] if isinstance(found.get(name), list) else [value]
    return {name: value if len(value) > 1 else value[0] for name, value in found.items()}


async def test_a_tag_may_be_asked_for_more_than_once(site: Site) -> None:
    peer = await keyed(site)
    await peer.announce(entry("both", tags=["a", "b"]), entry("one", tags=["a"]))
    answer = await site.call("GET", "/api/v1/files/search?tag=a&tag=b")
    assert [file["filename"] for file in answer.json()["results"]] == ["both"]
    answer = await site.call("GET", "/api/v1/files/search?" + "&".join(f"tag=t{n}" for n in range(17)))
    assert answer.problem() == (400, "invalid_parameter")


async def test_a_list_shows_offline_files_and_the_newest_first(site: Site) -> None:
    peer = await keyed(site)
    for name in ("one", "two"):
        site.clock.advance(1)
        await peer.share(name)
    await peer.leave()
    assert await site.listed() == ["two", "one"]
    assert await site.listed(online="true") == []
    assert await site.listed(sort="name", limit=1) == ["one"]
    assert await site.found() == []


ODD_QUERIES = [
    b"q=%FF%FE",
    b"q=%ED%A0%80",
    b"q=%",
    b"q=%zz",
    b"q=a&q=b",
    b"q[]=a",
    b"q=" + b"a" * 1024,
    b"q=" + b"%22" * 1000,
    b"q=" + b"%F0%9F%8E%89" * 300,
    b"q=a%00b",
    b"q=" + b"a" * 3900,
    b"q=" + b"a" * 10_240,
    b"limit=%31",
    b"=&=&&&",
    b"unknown=1",
    b"cursor=",
    b"sort=name&cursor=%00",
    b"sort=relevance&sort=colour",
    b"min_size=%20%201",
    b"online=TRUE",
    b"online=1",
    "q=ü".encode(),
    b"tag=%00",
    b"ext=%F0%9F%8E%89",
    b"region=%FF",
    b"modified_after=1e400",
    b"modified_after=99999999999999999",
    b"modified_after=nan",
]


async def test_an_odd_query_gets_an_answer_or_a_refusal(site: Site) -> None:
    peer = await keyed(site)
    await peer.share("a.txt")
    for query in ODD_QUERIES:
        for path in (b"/api/v1/files/search", b"/api/v1/files", b"/search"):
            target = (path + b"?" + query).decode("latin-1")
            answer = await asked(site.port, target)
            assert answer.status == 200 or 400 <= answer.status < 500, (target, answer)
    assert (await site.get("/healthz"))["status"] == "ok"


async def test_a_file_that_is_not_there_is_not_found(site: Site) -> None:
    for wanted in (ID, ID[:63], ID + "0", "x", ID + ".meta4", ID + ".torrent", "%00", "%FF", ID.upper(), "..%2F.."):
        for path in (f"/api/v1/files/{wanted}", f"/api/v1/files/{wanted}/sources", f"/api/v1/download/{wanted}"):
            answer = await asked(site.port, path)
            assert answer.problem() == (404, "file_not_found"), path


async def test_an_id_may_be_written_in_capitals(site: Site) -> None:
    peer = await keyed(site)
    await peer.share("a.txt")
    assert (await site.get(f"/api/v1/files/{content_id('a.txt').upper()}"))["filename"] == "a.txt"


# Sources and downloads


async def test_sources_are_those_online_best_first(site: Site) -> None:
    one, two = await keyed(site, "one", 9001, region="north"), await keyed(site, "two", 9002, region="south")
    program = Peer(site, "program", 9003)
    await program.register(region="south")
    for peer in (program, two, one):
        await peer.announce(entry("a.txt"))
    await one.beat(load={"active_uploads": 1, "upload_slots": 4, "upload_rate": 5})
    await two.beat(load={"active_uploads": 3, "upload_slots": 4, "upload_rate": 5})
    path = f"/api/v1/files/{content_id('a.txt')}/sources"
    found = await site.get(path)
    assert [source["peer_id"] for source in found] == [one.id, two.id, "program"]
    assert found[0]["url"] == f"http://127.0.0.1:9001/api/v1/download/{content_id('a.txt')}"
    assert (found[0]["load"], found[1]["load"], found[2]["load"]) == (0.25, 0.75, 0.0)
    assert found[2]["why"] == "unverified program, load unknown"
    assert [source["peer_id"] for source in await site.get(path, region="south")] == [two.id, one.id, "program"]
    assert [source["peer_id"] for source in await site.get(path, limit=1)] == [one.id]
    assert await site.refused(path, limit=0) == (400, "invalid_limit")
    await one.leave()
    assert [source["peer_id"] for source in await site.get(path)] == [two.id, "program"]
    await site.pass_time(3 * INTERVAL + 1)
    assert await site.get(path) == []


async def test_among_equals_chance_decides(site: Site) -> None:
    for n in range(4):
        await (await keyed(site, str(n), 9001 + n)).announce(entry("a.txt"))
    path = f"/api/v1/files/{content_id('a.txt')}/sources"
    firsts = {(await site.get(path, limit=1))[0]["peer_id"] for _ in range(60)}
    assert len(firsts) == 4


async def test_a_download_is_a_redirect_to_the_best_source(site: Site) -> None:
    program, peer = Peer(site, "program", 9003), await keyed(site)
    await program.register()
    await program.announce(entry("a.txt"))
    await peer.announce(entry("a.txt"))
    path = f"/api/v1/download/{content_id('a.txt')}"
    answer = await site.call("GET", path)
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["Location"] == f"http://127.0.0.1:9001{path}"
    assert answer.headers["Cache-Control"] == "no-store"
    head = await site.call("HEAD", path)
    assert (head.status, head.headers["Location"]) == (307, answer.headers["Location"])


async def test_a_download_that_nobody_can_serve_says_when_to_come_back(site: Site) -> None:
    peer = await keyed(site)
    await peer.share("a.txt")
    await peer.leave()
    answer = await site.call("GET", f"/api/v1/download/{content_id('a.txt')}")
    assert answer.problem() == (503, "no_source_online")
    assert int(answer.headers["Retry-After"]) > 0


async def test_redirects_are_counted_and_survive_a_restart(tmp_path: Path) -> None:
    path = f"/api/v1/download/{content_id('a.txt')}"
    async with serving(tmp_path) as site, site.events() as events:
        peer = await keyed(site)
        await peer.share("a.txt")
        for _ in range(3):
            await site.call("GET", path)
        await site.call("HEAD", path)
        await site.write_behind()
        while (await events.of("stats_update"))["data"]["total_downloads"] != 3:
            pass
        assert (await site.get(f"/api/v1/files/{content_id('a.txt')}"))["downloads"] == 3
        await site.call("GET", path)
    async with serving(tmp_path) as site:
        assert (await site.get("/api/v1/stats"))["total_downloads"] == 4
        assert [file["downloads"] for file in await site.get("/api/v1/files")] == [4]


async def test_a_peer_on_the_super_peers_machine_is_reached_where_the_super_peer_was(tmp_path: Path) -> None:
    """What only this machine can dial is no use to who came from elsewhere."""
    from common.wire.peers import Load
    from superpeer.files.at_hand import url_of
    from superpeer.peers.presence import Seat

    def url(address: str, here: str) -> str:
        seat = Seat(1, "p", "", address, 9001, address, "", True, b"", 0, None, 0, True, 0.0, 0.0, Load())
        return url_of(seat, "ID", here)

    assert url("127.0.0.1", "127.0.0.1") == "http://127.0.0.1:9001/api/v1/download/ID"
    assert url("127.0.0.1", "192.168.1.5") == "http://192.168.1.5:9001/api/v1/download/ID"
    assert url("::1", "fe80::1%eth0") == "http://[fe80::1%eth0]:9001/api/v1/download/ID"
    assert url("192.168.1.9", "192.168.1.5") == "http://192.168.1.9:9001/api/v1/download/ID"
    assert url("2001:db8::1", "192.168.1.5") == "http://[2001:db8::1]:9001/api/v1/download/ID"
    assert url("127.0.0.1", "") == "http://127.0.0.1:9001/api/v1/download/ID"


@pytest.mark.parametrize(
    ("sockname", "told"),
    [
        (("192.168.1.5", 8080), "192.168.1.5"),
        (("::ffff:192.168.1.5", 8080, 0, 0), "192.168.1.5"),
        (("fe80::1%eth0", 8080, 0, 2), "fe80::1%eth0"),
        (None, ""),
    ],
)
def test_the_address_of_ours_is_told_as_others_know_it(sockname: tuple[Any, ...] | None, told: str) -> None:
    transport = mock.Mock(**{"get_extra_info.return_value": sockname})
    assert local_address(make_mocked_request("GET", "/", transport=transport)) == told


async def test_an_announced_address_is_where_others_are_sent(tmp_path: Path) -> None:
    async with serving(tmp_path, advertise_allow=networks(["198.51.100.0/24", "2001:db8::/32"])) as site:
        peer = await keyed(site)
        await peer.share("a.txt")
        await peer.register_at("198.51.100.7")
        answer = await site.call("GET", f"/api/v1/download/{content_id('a.txt')}")
        assert answer.headers["Location"].startswith("http://198.51.100.7:9001/")
        assert (await site.get("/api/v1/files"))[0]["peer_address"] == "198.51.100.7:9001"
        await peer.register_at("2001:db8::7")
        assert (await site.get("/api/v1/files"))[0]["peer_address"] == "[2001:db8::7]:9001"


# Nobody's eyes


async def test_what_is_not_for_everybody_is_nowhere(site: Site) -> None:
    peer = await keyed(site)
    secret = content_id("secret.txt")
    async with site.events() as events:
        await peer.announce(entry("secret.txt", audience="friends", tags=["hush"], size=999))
        await peer.announce(entry("open.txt", size=1))
        assert (await events.of("file_registered"))["data"]["filename"] == "open.txt"
        await peer.announce(remove=["secret.txt"])
        await peer.announce(remove=["open.txt"])
        assert (await events.of("file_removed", "files_removed"))["data"]["id"] == content_id("open.txt")
    await peer.announce(entry("secret.txt", audience="friends", tags=["hush"], size=999))
    assert await site.listed() == []
    for query in ({}, {"q": "secret"}, {"tag": "hush"}, {"peer": peer.id}, {"category": "document"}):
        assert await site.found(online="false", **query) == []
    for path in (f"/api/v1/files/{secret}", f"/api/v1/files/{secret}/sources", f"/api/v1/download/{secret}"):
        assert await site.refused(path) == (404, "file_not_found")
    stats = await site.get("/api/v1/stats")
    assert (stats["total_files"], stats["total_bytes"]) == (0, 0)
    seen = await site.get(f"/api/v1/peers/{peer.id}")
    assert (seen["shared_files"], seen["shared_bytes"]) == (0, 0)
    for page in ("/", "/search", "/search?q=secret&online=false", "/peers", f"/files/{secret}"):
        answer = await site.call("GET", page, headers={"Accept": "text/html"})
        assert b"secret.txt" not in answer.body, page
        assert b"hush" not in answer.body, page


async def test_hidden_bursts_are_not_counted_aloud(site: Site) -> None:
    peer = await keyed(site)
    async with site.events() as events:
        await peer.announce(*(entry(f"{n}", audience="friends") for n in range(50)))
        await peer.announce(*(entry(f"open {n}") for n in range(20)))
        assert (await events.of("files_registered"))["data"] == {"peer_id": peer.id, "count": 20}
        await peer.announce(remove=[f"{n}" for n in range(50)])
        await peer.announce(remove=[f"open {n}" for n in range(20)])
        assert (await events.of("files_removed"))["data"] == {"peer_id": peer.id, "count": 20}


@pytest.mark.parametrize("audience", ["friends", ""])
async def test_a_single_file_may_be_hidden_too(site: Site, audience: str) -> None:
    await Peer(site, "p").register()
    body = {"filename": "a", "hash": ID, "size": 1, "owner": "p", "audience": audience}
    assert (await post_file(site, body)).status == 200
    assert await site.listed() == []
