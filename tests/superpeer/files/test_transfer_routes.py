"""Swarms and reports over HTTP."""

from typing import Any

from superpeer.files.swarms import QUICK, SLOW
from superpeer.files.transfer_routes import REPORTS_A_SECOND, REPORTS_AT_ONCE
from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.superpeers import INTERVAL, Site, serving
from tests.support.wire import Answer

FILE = content_id("a.txt")
MANIFEST = content_id("manifest")
MB = 1_000_000


async def keyed(site: Site, seed: str, port: int = 9001, **about: Any) -> KeyedPeer:
    peer = KeyedPeer(site, seed, port)
    await peer.register(**about)
    return peer


async def call_swarm(peer: Peer, file_id: str = FILE, **body: Any) -> Answer:
    told = {"manifest": MANIFEST, "proven": 1, **body}
    return await peer.site.call("POST", f"/api/v1/files/{file_id}/swarm", told, peer.headers)


async def join(peer: Peer, file_id: str = FILE, **body: Any) -> dict[str, Any]:
    answer = await call_swarm(peer, file_id, **body)
    assert answer.status == 200, answer
    told: dict[str, Any] = answer.json()
    return told


async def sources(site: Site, file_id: str = FILE) -> list[tuple[str, bool]]:
    found = await site.get(f"/api/v1/files/{file_id}/sources")
    return [(source["peer_id"], source["complete"]) for source in found]


async def report(reporter: Peer, source: Peer | str, outcome: str = "ok", **more: Any) -> Answer:
    body = {
        "file_id": FILE,
        "source": source if isinstance(source, str) else source.id,
        "bytes": 5 * MB,
        "seconds": 1.0,
        "outcome": outcome,
        **more,
    }
    return await reporter.site.call("POST", "/api/v1/transfers/report", body, reporter.headers)


async def downloads(site: Site) -> int:
    await site.write_behind()
    return int((await site.get(f"/api/v1/files/{FILE}"))["downloads"])


# Swarms


async def test_members_hear_of_the_seed_and_of_one_another(site: Site) -> None:
    seed, one, two = [await keyed(site, seed, 9001 + n) for n, seed in enumerate(("seed", "one", "two"))]
    await seed.share("a.txt")
    first = await join(one, proven=0)
    assert first["interval"] == QUICK
    assert [source["peer_id"] for source in first["sources"]] == [seed.id]
    second = (await join(two, proven=3))["sources"]
    assert [(source["peer_id"], source["complete"]) for source in second] == [(seed.id, True), (one.id, False)]
    assert second[1]["manifest"] == MANIFEST
    assert second[1]["url"] == f"http://127.0.0.1:9002/api/v1/download/{FILE}"
    assert second[1]["why"] == "verified peer, has some pieces, load unknown"
    third = (await join(one, proven=1))["sources"]
    assert [source["peer_id"] for source in third] == [seed.id, two.id]


async def test_sources_list_members_with_pieces_after_those_with_the_whole(site: Site) -> None:
    seed, one, two = [await keyed(site, seed, 9001 + n) for n, seed in enumerate(("seed", "one", "two"))]
    program = Peer(site, "program", 9010)
    await program.register()
    await seed.share("a.txt")
    await program.announce(entry("a.txt"))
    await seed.beat(load={"active_uploads": 4, "upload_slots": 4})
    await join(one, proven=0)
    await join(two, proven=2)
    assert await sources(site) == [(seed.id, True), ("program", True), (two.id, False)]
    redirect = await site.call("GET", f"/api/v1/download/{FILE}")
    assert ":9001/" in redirect.headers["Location"]


async def test_a_member_that_announces_the_file_is_a_source_of_the_whole(site: Site) -> None:
    seed, one = await keyed(site, "seed"), await keyed(site, "one", 9002)
    await seed.share("a.txt")
    await join(one)
    await one.share("a.txt")
    assert sorted(await sources(site)) == sorted([(seed.id, True), (one.id, True)])


async def test_who_leaves_or_stays_away_is_listed_no_more(site: Site) -> None:
    seed, one, two = [await keyed(site, seed, 9001 + n) for n, seed in enumerate(("seed", "one", "two"))]
    await seed.share("a.txt")
    await join(one)
    await join(two)
    assert (await join(two, leaving=True)) == {"interval": SLOW, "sources": []}
    assert await sources(site) == [(seed.id, True), (one.id, False)]
    site.clock.advance(3 * QUICK + 0.1)
    assert await sources(site) == [(seed.id, True)]


async def test_who_goes_offline_leaves_all_swarms(site: Site) -> None:
    seed, one = await keyed(site, "seed"), await keyed(site, "one", 9002)
    await seed.share("a.txt")
    await join(one)
    await one.leave()
    assert await sources(site) == [(seed.id, True)]
    await one.beat()
    assert await sources(site) == [(seed.id, True)]  # it has to join again
    await join(one)
    assert await sources(site) == [(seed.id, True), (one.id, False)]
    await one.leave()
    assert (await join(one))["sources"]  # told, but not taken in: nobody could reach it
    await one.beat()
    assert await sources(site) == [(seed.id, True)]


async def test_members_go_on_when_nobody_has_the_whole_file_any_more(site: Site) -> None:
    seed, one, two = [await keyed(site, seed, 9001 + n) for n, seed in enumerate(("seed", "one", "two"))]
    await seed.share("a.txt")
    await join(one)
    await seed.leave()
    assert await sources(site) == [(one.id, False)]
    assert (await site.call("GET", f"/api/v1/download/{FILE}")).problem() == (503, "no_source_online")
    await seed.beat()
    await seed.announce(remove=["a.txt"])
    assert await sources(site) == [(one.id, False)]
    assert [source["peer_id"] for source in (await join(two))["sources"]] == [one.id]
    for peer in (one, two):
        await join(peer, leaving=True)
    assert await site.refused(f"/api/v1/files/{FILE}/sources") == (404, "file_not_found")
    assert (await call_swarm(one)).problem() == (404, "file_not_found")


async def test_a_file_that_nobody_announced_gets_no_swarm(site: Site) -> None:
    peer = await keyed(site, "one")
    for wanted in (FILE, "x", FILE + "0", "%00"):
        assert (await call_swarm(peer, wanted)).problem() == (404, "file_not_found"), wanted
    assert (await join(peer, leaving=True))["sources"] == []


async def test_a_hidden_file_stays_hidden_whoever_joins(site: Site) -> None:
    seed, one, two = [await keyed(site, seed, 9001 + n) for n, seed in enumerate(("seed", "one", "two"))]
    await seed.announce(entry("a.txt", audience="friends"))
    assert (await call_swarm(one)).problem() == (404, "file_not_found")
    assert await site.refused(f"/api/v1/files/{FILE}/sources") == (404, "file_not_found")
    await seed.announce(entry("a.txt", audience="public"))
    await join(one)
    await seed.announce(entry("a.txt", audience="friends"))
    assert await site.refused(f"/api/v1/files/{FILE}/sources") == (404, "file_not_found")
    assert (await call_swarm(two)).problem() == (404, "file_not_found")


async def test_a_swarm_is_for_peers_that_prove_who_they_are(site: Site) -> None:
    seed, one = await keyed(site, "seed"), await keyed(site, "one", 9002)
    await seed.share("a.txt")
    for changes, refusal in (
        ({"Authorization": "Bearer wrong"}, (401, "token_invalid")),
        ({"X-Peer-ID": "nobody"}, (404, "peer_not_found")),
    ):
        for path, body in (
            (f"/api/v1/files/{FILE}/swarm", {"manifest": MANIFEST, "proven": 1}),
            (
                "/api/v1/transfers/report",
                {"file_id": FILE, "source": seed.id, "bytes": 1, "seconds": 1, "outcome": "ok"},
            ),
        ):
            answer = await site.call("POST", path, body, one.headers | changes)
            assert answer.problem() == refusal
    assert await sources(site) == [(seed.id, True)]


async def test_what_is_no_swarm_request_is_refused(site: Site) -> None:
    seed = await keyed(site, "seed")
    await seed.share("a.txt")
    for body in ({"proven": -1}, {"proven": "1"}, {"manifest": "x"}, {"manifest": None}, {"leaving": 1}):
        assert (await call_swarm(seed, **body)).problem() == (400, "invalid_body"), body


async def test_of_a_large_swarm_a_sample_is_told_another_each_time(site: Site) -> None:
    seed = await keyed(site, "seed")
    await seed.share("a.txt")
    members = [Peer(site, f"p{n}", 9100 + n) for n in range(80)]
    for member in members:
        await member.register()
        await join(member, proven=1)
    heard: set[str] = set()
    for _ in range(10):
        told = (await join(members[0]))["sources"]
        assert (len(told), told[0]["peer_id"]) == (64, seed.id)
        heard |= {source["peer_id"] for source in told}
    assert len(heard) > 64 and members[0].id not in heard


async def test_a_quiet_swarm_is_asked_about_less_often(site: Site) -> None:
    seed, one = await keyed(site, "seed"), await keyed(site, "one", 9002)
    await seed.share("a.txt")
    intervals = []
    for _ in range(40):
        intervals.append((await join(one))["interval"])
        site.clock.advance(intervals[-1])
        await seed.beat()
        await one.beat()
    assert intervals == sorted(intervals) and intervals[0] == QUICK and intervals[-1] == SLOW


# Reports


async def test_reports_make_a_reputation_that_lists_show(site: Site) -> None:
    good, bad, reporter = [await keyed(site, seed, 9001 + n) for n, seed in enumerate(("good", "bad", "reporter"))]
    await good.share("a.txt")
    await bad.announce(entry("a.txt"))
    for _ in range(3):
        assert (await report(reporter, good)).status == 202
        assert (await report(reporter, bad, "corrupt")).status == 202
    told = {peer["id"]: peer["reputation"] for peer in await site.get("/api/v1/peers")}
    assert told[good.id] > 50 > told[bad.id] and told[reporter.id] == 50
    assert (await site.get(f"/api/v1/peers/{good.id}"))["reputation"] == told[good.id]
    first, second = await site.get(f"/api/v1/files/{FILE}/sources")
    assert (first["peer_id"], first["reputation"]) == (good.id, told[good.id])
    assert "5.0 MB/s measured" in first["why"] and f"reputation {told[good.id]}" in first["why"]
    assert (second["peer_id"], second["reputation"]) == (bad.id, told[bad.id])


async def test_reputation_survives_a_restart(tmp_path: Any) -> None:
    async with serving(tmp_path) as site:
        source, reporter = await keyed(site, "source"), await keyed(site, "reporter", 9002)
        await source.share("a.txt")
        await report(reporter, source)
        before = await site.get(f"/api/v1/peers/{source.id}")
    async with serving(tmp_path) as site:
        after = await site.get(f"/api/v1/peers/{source.id}")
        assert after["reputation"] == before["reputation"] > 50
        assert "5.0 MB/s" in (await site.get(f"/api/v1/files/{FILE}/sources"))[0]["why"]


async def test_nobody_rates_itself(site: Site) -> None:
    peer = await keyed(site, "peer")
    await peer.share("a.txt")
    assert (await report(peer, peer)).status == 202
    assert (await site.get(f"/api/v1/peers/{peer.id}"))["reputation"] == 50
    assert await downloads(site) == 0


async def test_a_finished_download_counts_once_whatever_the_number_of_its_sources(site: Site) -> None:
    one, two, reporter = [await keyed(site, seed, 9001 + n) for n, seed in enumerate(("one", "two", "reporter"))]
    for peer in (one, two):
        await peer.announce(entry("a.txt"))
    for source in (one, two, one):
        await report(reporter, source)
    assert await downloads(site) == 1
    for outcome in ("corrupt", "timeout", "refused"):
        await report(two, one, outcome)
    assert await downloads(site) == 1
    await report(two, one)
    assert await downloads(site) == 2
    assert (await site.get("/api/v1/stats"))["total_downloads"] == 2


async def test_a_redirected_fetch_that_is_reported_counts_once(site: Site) -> None:
    source, reporter = await keyed(site, "source"), await keyed(site, "reporter", 9002)
    await source.share("a.txt")
    await site.call("GET", f"/api/v1/download/{FILE}")
    await report(reporter, source)
    assert await downloads(site) == 1


async def test_going_on_with_a_download_is_not_another_one(site: Site) -> None:
    source = await keyed(site, "source")
    await source.share("a.txt")
    path = f"/api/v1/download/{FILE}"
    for headers in ({}, {"Range": "bytes=3-"}, {"Range": "bytes=-2"}, {"Range": "bytes=0-1"}):
        assert (await site.call("GET", path, headers=headers)).status == 307
    assert await downloads(site) == 2


async def test_what_is_not_known_is_taken_and_forgotten(site: Site) -> None:
    source, reporter = await keyed(site, "source"), await keyed(site, "reporter", 9002)
    assert (await report(reporter, "nobody")).status == 202
    assert (await report(reporter, source)).status == 202  # of a file that nobody announced
    await source.announce(entry("a.txt", audience="friends"))
    assert (await report(reporter, source)).status == 202
    assert (await site.get("/api/v1/stats"))["total_downloads"] == 0


async def test_what_is_no_report_is_refused(site: Site) -> None:
    source, reporter = await keyed(site, "source"), await keyed(site, "reporter", 9002)
    for change in (
        {"outcome": "fine"},
        {"bytes": -1},
        {"seconds": -0.1},
        {"seconds": 1e9},
        {"file_id": "x"},
    ):
        assert (await report(reporter, source, **change)).problem() == (400, "invalid_body"), change
    assert (await report(reporter, "x" * 65)).problem() == (400, "invalid_body")


async def test_too_many_reports_are_put_off(site: Site) -> None:
    source, reporter = await keyed(site, "source"), await keyed(site, "reporter", 9002)
    for _ in range(REPORTS_AT_ONCE):
        assert (await report(reporter, source, "refused")).status == 202
    refused = await report(reporter, source)
    assert refused.problem() == (429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await report(source, reporter)).status == 202
    site.clock.advance(1)
    for _ in range(int(REPORTS_A_SECOND)):
        assert (await report(reporter, source, "refused")).status == 202
    assert (await report(reporter, source)).status == 429


async def test_a_forgotten_peer_takes_its_reputation_along(site: Site) -> None:
    source, reporter = await keyed(site, "source"), await keyed(site, "reporter", 9002)
    await report(reporter, source, "corrupt")
    await site.write_behind()
    await source.leave()
    site.clock.advance(INTERVAL)
    await reporter.beat()
    site.clock.advance(2 * 86_400)
    await reporter.beat()
    await site.clean_up()
    await site.write_behind()
    await source.register()
    assert (await site.get(f"/api/v1/peers/{source.id}"))["reputation"] == 50
