"""Peers over HTTP: who is let in, who is refused and how, what a heartbeat says."""

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from common.http.addresses import networks
from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.superpeers import INTERVAL, Site, serving
from tests.support.wire import Answer, asked

# What a peer must not be able to send others to, in every spelling that some reader takes for an address.
NOT_TO_BE_ANNOUNCED = [
    "169.254.169.254",
    "localhost",
    "[::ffff:127.0.0.1]",
    "::ffff:127.0.0.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "127.0.0.2",
    "0.0.0.0",
    "::",
    "::1",
    "[::1]",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "10.0.0.1",
    "192.168.1.1",
    "203.0.113.5",
    "8.8.8.8",
    "224.0.0.1",
    "255.255.255.255",
    "１２７.0.0.1",
    "127.0.0.1 ",
    "127.0.0.1:80",
    "evil.example",
    "http://127.0.0.1",
    "127.0.0.1\n127.0.0.1",
    "é",
]


async def post(site: Site, path: str, body: Any = None, **headers: str) -> Answer:
    return await site.call("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})


async def peers(site: Site, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await site.get("/api/v1/peers", **query)
    return found


# With a key


async def test_a_peer_with_a_key_registers(site: Site) -> None:
    peer = KeyedPeer(site)
    told = await peer.register(name="Desk", region="attic", version="9")
    assert told["status"] == "success"
    assert told["message"] == "Peer registered successfully"
    assert told["peer_id"] == peer.id
    assert len(peer.id) == 52
    assert told["heartbeat_interval"] == INTERVAL
    assert (told["catalogue_id"], told["catalogue_version"]) == (None, 0)
    assert told["hash_algorithm"] == "sha256"
    assert told["address"] == "127.0.0.1"
    seen = await site.get(f"/api/v1/peers/{peer.id}")
    assert seen["verified"] is True
    assert (seen["name"], seen["region"], seen["version"]) == ("Desk", "attic", "9")


async def test_the_id_need_not_be_named(site: Site) -> None:
    peer = KeyedPeer(site)
    assert (await peer.register(id=None))["peer_id"] == peer.id


async def test_registered_again_a_peer_is_the_same_one_wherever_it_listens_now(site: Site) -> None:
    peer = KeyedPeer(site)
    first = await peer.register(name="Desk")
    await peer.share("a.txt")
    again = await peer.register(port=9005, **peer.sign(await peer.challenge(), port=9005))
    assert (again["catalogue_id"], again["catalogue_version"]) == ("c", 1)
    assert again["token"] != first["token"]
    (seen,) = await peers(site)
    assert (seen["id"], seen["port"], seen["name"], seen["shared_files"]) == (peer.id, 9005, "Desk", 1)


async def test_a_nonce_is_good_once(site: Site) -> None:
    peer = KeyedPeer(site)
    proof = peer.sign(await peer.challenge())
    assert (await peer.try_register(**proof)).status == 200
    assert (await peer.try_register(**proof)).problem() == (401, "challenge_expired")


async def test_a_nonce_is_good_for_a_minute(site: Site) -> None:
    peer = KeyedPeer(site)
    in_time, late = peer.sign(await peer.challenge()), peer.sign(await peer.challenge())
    site.clock.advance(60)
    assert (await peer.try_register(**in_time)).status == 200
    site.clock.advance(0.01)
    assert (await peer.try_register(**late)).problem() == (401, "challenge_expired")


async def test_a_nonce_of_another_key_is_refused(site: Site) -> None:
    peer, other = KeyedPeer(site), KeyedPeer(site, "other")
    proof = peer.sign(await other.challenge())
    assert (await peer.try_register(**proof)).problem() == (401, "challenge_expired")


async def test_a_nonce_that_was_never_given_is_refused(site: Site) -> None:
    peer = KeyedPeer(site)
    challenge = await peer.challenge() | {"nonce": base64.b64encode(b"x" * 32).decode()}
    assert (await peer.try_register(**peer.sign(challenge))).problem() == (401, "challenge_expired")


async def test_a_signature_binds_every_part(site: Site) -> None:
    peer, other = KeyedPeer(site), KeyedPeer(site, "other")

    async def refused(proof: dict[str, Any], **changes: Any) -> bool:
        return (await peer.try_register(**(proof | changes))).problem() == (401, "signature_invalid")

    challenge = await peer.challenge()
    assert await refused(peer.sign(challenge), port=9002)
    assert await refused(peer.sign(challenge), address="127.0.0.1")
    assert await refused(peer.sign(challenge | {"super_peer_id": "another"}))
    assert await refused(peer.sign(challenge), nonce=(await peer.challenge())["nonce"])
    assert await refused(other.sign(challenge), public_key=peer.public_key)
    assert await refused(peer.sign(challenge), signature=None)
    assert await refused(peer.sign(challenge), nonce=None)
    assert await peers(site) == []
    assert (await peer.try_register(**peer.sign(challenge))).status == 200


async def test_nobody_gets_the_id_of_another_key(site: Site) -> None:
    victim, thief = KeyedPeer(site, "victim"), KeyedPeer(site, "thief")
    await victim.register()
    answer = await thief.try_register(id=victim.id)
    assert answer.problem() == (401, "signature_invalid")
    assert (await thief.try_register(id="some-word")).problem() == (401, "signature_invalid")
    assert [seen["id"] for seen in await peers(site)] == [victim.id]


async def test_a_key_that_proves_nothing_gets_no_challenge(site: Site) -> None:
    signed = {"port": 9001, "nonce": "", "signature": base64.b64encode(b"\0" * 64).decode()}
    for key in (b"\0" * 32, b"\1" + b"\0" * 31, b"\xec" + b"\xff" * 30 + b"\x7f", b"x" * 31, b""):
        body = {"public_key": base64.b64encode(key).decode()}
        assert (await post(site, "/api/v1/peers/challenge", body)).problem() == (400, "invalid_body")
        assert (await post(site, "/api/v1/peers/register", body | signed)).problem() == (400, "invalid_body")


async def test_a_peer_with_a_key_announces_no_address_but_its_own(site: Site) -> None:
    peer = KeyedPeer(site)
    for address in NOT_TO_BE_ANNOUNCED:
        assert (await peer.register_at(address)).problem() == (422, "address_not_allowed"), address
    assert await peers(site) == []


async def test_its_own_address_may_be_named(site: Site) -> None:
    answer = await KeyedPeer(site).register_at("127.0.0.1")
    assert answer.json()["address"] == "127.0.0.1"


async def test_an_address_that_the_operator_allows_is_taken(tmp_path: Path) -> None:
    allow = networks(["198.51.100.0/24", "10.0.0.0/8", "0.0.0.0/0"])
    async with serving(tmp_path, advertise_allow=allow) as site:
        peer = KeyedPeer(site)
        assert (await peer.register_at("198.51.100.7")).json()["address"] == "198.51.100.7"
        assert (await site.get(f"/api/v1/peers/{peer.id}"))["address"] == "198.51.100.7"
        # What merely lies in a wide network is not thereby allowed.
        assert (await peer.register_at("169.254.169.254")).problem() == (422, "address_not_allowed")


# Without a key


async def test_a_program_without_a_key_keeps_the_id_that_it_names(site: Site) -> None:
    told = await Peer(site, "my-script").register()
    assert told["peer_id"] == "my-script"
    assert (await site.get("/api/v1/peers/my-script"))["verified"] is False


async def test_without_an_id_address_and_port_make_the_peer(site: Site) -> None:
    first = await Peer(site, port=9001).register()
    again = await Peer(site, port=9001).register()
    other = await Peer(site, port=9002).register()
    assert first["peer_id"] == again["peer_id"] != other["peer_id"]
    assert first["token"] != again["token"]
    assert len(await peers(site)) == 2


async def test_an_id_of_the_keyed_form_is_not_given_to_a_program_without_a_key(site: Site) -> None:
    keyed = KeyedPeer(site, port=9002)
    for wanted in (keyed.id, "a" * 52, "a b", "a/b", "", "é", "x" * 64 + "\n"[:0]):
        told = await Peer(site).register(id=wanted)
        if wanted == "x" * 64:
            assert told["peer_id"] == wanted
        else:
            assert told["peer_id"] != wanted
    await keyed.register()
    program = Peer(site)
    await program.register(id=keyed.id)
    assert program.id != keyed.id
    assert (await site.get(f"/api/v1/peers/{keyed.id}"))["port"] == 9002


async def test_an_id_is_taken_by_whoever_registered_it(tmp_path: Path) -> None:
    proxy = networks(["127.0.0.1"])
    async with serving(tmp_path, trusted_proxies=proxy) as site:
        body = {"port": 9001, "id": "p"}
        mine = await post(site, "/api/v1/peers/register", body, X_Forwarded_For="10.0.0.1")
        token = mine.json()["token"]
        assert mine.json()["address"] == "10.0.0.1"
        theirs = {"X_Forwarded_For": "10.0.0.2"}
        assert (await post(site, "/api/v1/peers/register", body, **theirs)).problem() == (403, "id_taken")
        wrong = {"Authorization": "Bearer wrong"}
        assert (await post(site, "/api/v1/peers/register", body, **theirs, **wrong)).problem() == (403, "id_taken")
        moved = await post(site, "/api/v1/peers/register", body, **theirs, Authorization=f"Bearer {token}")
        assert moved.json()["address"] == "10.0.0.2"
        assert [seen["address"] for seen in await peers(site)] == ["10.0.0.2"]


async def test_the_address_of_a_program_without_a_key_is_where_it_was_seen(site: Site) -> None:
    for address in NOT_TO_BE_ANNOUNCED:
        told = await Peer(site, "p").register(address=address)
        assert told["address"] == "127.0.0.1", address
        assert told["message"].endswith("; your address is 127.0.0.1")
        assert (await site.get("/api/v1/peers/p"))["address"] == "127.0.0.1"


async def test_an_address_that_is_right_needs_no_remark(site: Site) -> None:
    assert (await Peer(site, "p").register(address="127.0.0.1"))["message"] == "Peer registered successfully"


async def test_a_network_may_take_peers_with_a_key_only(tmp_path: Path) -> None:
    async with serving(tmp_path, security={"require_identity": True}) as site:
        assert (await Peer(site, "p").try_register()).problem() == (403, "identity_required")
        await KeyedPeer(site).register()


async def test_the_public_profile_takes_peers_with_a_key_only(tmp_path: Path) -> None:
    async with serving(tmp_path / "a", security={"profile": "public"}) as site:
        assert (await Peer(site, "p").try_register()).problem() == (403, "identity_required")
    async with serving(tmp_path / "b", security={"profile": "public", "require_identity": False}) as site:
        await Peer(site, "p").register()


# Everybody


async def test_a_peer_that_hashes_otherwise_is_refused(site: Site) -> None:
    refused = await Peer(site, "p").try_register(hash_algorithm="blake3")
    assert refused.problem() == (409, "hash_algorithm_differs")
    assert "set security.hash_algorithm to sha256 where the peer runs" in refused.json()["detail"]
    assert (await KeyedPeer(site).try_register(hash_algorithm="md5")).problem() == (409, "hash_algorithm_differs")
    await Peer(site, "p").register(hash_algorithm="sha256")


async def test_one_address_does_not_fill_the_network(tmp_path: Path) -> None:
    async with serving(tmp_path, max_peers_per_address=2) as site:
        await Peer(site, "p", 9001).register()
        await KeyedPeer(site, port=9002).register()
        for newcomer in (Peer(site, "q", 9003), KeyedPeer(site, "other", 9004)):
            refused = await newcomer.try_register()
            assert refused.problem() == (429, "too_many_peers")
            assert int(refused.headers["Retry-After"]) > 0
        await Peer(site, "p", 9001).register()
        site.clock.advance(200_000)
        await site.pass_time(0)
        await site.clean_up()
        await Peer(site, "q", 9003).register()


async def test_a_full_network_takes_no_new_peer_but_knows_the_old(tmp_path: Path) -> None:
    async with serving(tmp_path, max_peers=2) as site:
        await Peer(site, "p", 9001).register()
        await KeyedPeer(site, port=9002).register()
        refused = await Peer(site, "q", 9003).try_register()
        assert refused.problem() == (503, "network_full")
        assert int(refused.headers["Retry-After"]) > 0
        await Peer(site, "p", 9001).register()
        await KeyedPeer(site, port=9002).register()


UNFIT = [
    {},
    {"port": 0},
    {"port": 65536},
    {"port": "9001"},
    {"port": 9001.5},
    {"port": True},
    {"port": None},
    {"port": 9001, "id": 7},
    {"port": 9001, "id": "x" * 65},
    {"port": 9001, "address": "x" * 256},
    {"port": 9001, "name": ""},
    {"port": 9001, "name": "x" * 256},
    {"port": 9001, "region": "x" * 65},
    {"port": 9001, "shared_files": -1},
    {"port": 9001, "public_key": "not base64"},
    [],
    "text",
    None,
]


async def test_a_registration_that_does_not_fit_is_refused(site: Site) -> None:
    for body in UNFIT:
        answer = await asked(site.port, "/api/v1/peers/register", "POST", json.dumps(body).encode())
        assert answer.problem() == (400, "invalid_body"), body
    assert await peers(site) == []


async def test_a_registration_without_a_body_is_refused(site: Site) -> None:
    assert (await post(site, "/api/v1/peers/register")).problem() == (400, "body_required")


async def test_keys_that_are_not_known_are_ignored(site: Site) -> None:
    await Peer(site, "p").register(reputation=99, is_online=False, last_seen="yesterday", unheard_of={"a": [1]})
    assert (await site.get("/api/v1/peers/p"))["reputation"] == 50


# Tokens


async def test_a_keyed_peer_needs_its_token(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    token, peer.token = peer.token, None
    assert (await peer.try_beat()).problem() == (401, "token_required")
    assert (await peer.try_announce([entry("a")])).problem() == (401, "token_required")
    peer.token = "wrong"
    assert (await peer.try_beat()).problem() == (401, "token_invalid")
    assert (await peer.try_announce([entry("a")])).problem() == (401, "token_invalid")
    answer = await post(site, "/api/v1/peers/unregister", X_Peer_ID=peer.id, Authorization="Bearer wrong")
    assert answer.problem() == (401, "token_invalid")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    peer.token = token
    await peer.beat()


async def test_a_keyless_program_needs_none_where_it_registered_but_a_wrong_one_is_refused(site: Site) -> None:
    peer = Peer(site, "p")
    await peer.register()
    await peer.beat()
    peer.token = None
    await peer.beat()
    await peer.share("a.txt")
    peer.token = "wrong"
    assert (await peer.try_beat()).problem() == (401, "token_invalid")
    assert (await peer.try_announce()).problem() == (401, "token_invalid")


async def test_from_elsewhere_a_keyless_program_needs_its_token(tmp_path: Path) -> None:
    async with serving(tmp_path, trusted_proxies=networks(["127.0.0.1"])) as site:
        peer = Peer(site, "p")
        await peer.register()
        away = {"X_Peer_ID": "p", "X_Forwarded_For": "10.0.0.2"}
        assert (await post(site, "/api/v1/peers/heartbeat", **away)).problem() == (401, "token_required")
        with_token = {**away, "Authorization": f"Bearer {peer.token}"}
        assert (await post(site, "/api/v1/peers/heartbeat", **with_token)).status == 200


async def test_who_is_not_trusted_cannot_say_where_it_is(site: Site) -> None:
    told = await post(site, "/api/v1/peers/register", {"port": 9001, "id": "p"}, X_Forwarded_For="10.0.0.1")
    assert told.json()["address"] == "127.0.0.1"


async def test_a_new_registration_voids_the_former_token(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    former = peer.token
    await peer.register()
    peer.token = former
    assert (await peer.try_beat()).problem() == (401, "token_invalid")


async def test_one_peers_token_is_not_anothers(site: Site) -> None:
    one, other = KeyedPeer(site, "one", 9001), KeyedPeer(site, "other", 9002)
    await one.register()
    await other.register()
    one.token = other.token
    assert (await one.try_beat()).problem() == (401, "token_invalid")


async def test_a_token_of_any_bytes_is_just_wrong(site: Site) -> None:
    await Peer(site, "p").register()
    for token in ("\xff\xfe", "é", "x" * 4000, "\x7f"):
        answer = await asked(
            site.port, "/api/v1/peers/heartbeat", "POST", X_Peer_ID="p", Authorization=f"Bearer {token}"
        )
        assert answer.status in (400, 401), answer


async def test_tokens_are_not_on_disk(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    assert peer.token is not None
    written = b"".join(path.read_bytes() for path in site.folder.iterdir())
    assert peer.id.encode() in written
    assert peer.token.encode() not in written
    assert hashlib.sha256(peer.token.encode()).digest() in written


# Heartbeats


async def test_a_heartbeat_says_what_is_held(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    always = {"heartbeat_interval": INTERVAL, "direct": True}
    assert await peer.beat() == {"catalogue_id": None, "catalogue_version": 0, **always}
    await peer.share("a.txt")
    assert await peer.beat() == {"catalogue_id": "c", "catalogue_version": 1, **always}


async def test_a_sequence_must_rise(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.beat(sequence=0)
    await peer.beat(sequence=7)
    for sequence in (7, 6, 0):
        answer = await peer.try_beat(sequence=sequence)
        assert answer.problem() == (409, "replay")
        assert answer.json()["sequence"] == 7
    await peer.beat(sequence=2**53)


async def test_a_registration_begins_the_sequence_anew(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.beat(sequence=1000)
    await peer.register()
    await peer.beat(sequence=1)


async def test_a_peer_with_a_key_sends_a_sequence(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    assert (await peer.try_beat(sequence=None)).problem() == (400, "invalid_body")
    assert (await post(site, "/api/v1/peers/heartbeat", **_underscored(peer))).problem() == (400, "invalid_body")


async def test_a_refused_heartbeat_is_no_sign_of_life(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.beat(sequence=5)
    await site.pass_time(3 * INTERVAL)
    assert (await peer.try_beat(sequence=5)).status == 409
    await site.pass_time(1)
    assert (await site.get(f"/api/v1/peers/{peer.id}"))["is_online"] is False


def _underscored(peer: Peer) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in peer.headers.items()}


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/x-www-form-urlencoded", "x"])
async def test_a_keyless_heartbeat_needs_no_body_whatever_its_type(site: Site, kind: str | None) -> None:
    await Peer(site, "p").register()
    headers = {"X-Peer-ID": "p", "Content-Length": "0"} | ({"Content-Type": kind} if kind else {})
    lines = [f"{name}: {value}" for name, value in headers.items()]
    answer = await asked(site.port, "/api/v1/peers/heartbeat", "POST", **dict(_pairs(lines)))
    assert answer.status == 200
    assert answer.json()["catalogue_version"] == 0


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    return [(line.partition(": ")[0].replace("-", "_"), line.partition(": ")[2]) for line in lines]


async def test_a_heartbeat_without_an_id_is_refused(site: Site) -> None:
    assert (await post(site, "/api/v1/peers/heartbeat")).problem() == (400, "invalid_parameter")
    assert (await post(site, "/api/v1/peers/heartbeat", X_Peer_ID="")).problem() == (400, "invalid_parameter")


async def test_a_heartbeat_of_nobody_says_to_register(site: Site) -> None:
    for nobody in ("nobody", "a" * 52, "x" * 4000, "\xff"):
        answer = await asked(site.port, "/api/v1/peers/heartbeat", "POST", X_Peer_ID=nobody)
        assert answer.problem() == (404, "peer_not_found")


@pytest.mark.parametrize(
    "load", [{"active_uploads": -1}, {"upload_slots": 2**53 + 1}, {"upload_rate": "fast"}, [], "busy"]
)
async def test_a_load_that_does_not_fit_is_refused(site: Site, load: Any) -> None:
    peer = Peer(site, "p")
    await peer.register()
    assert (await peer.try_beat(load=load)).problem() == (400, "invalid_body")


# Presence


async def test_a_silent_peer_is_offline_after_three_intervals_and_back_with_a_heartbeat(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.share("a.txt")
    await site.pass_time(3 * INTERVAL)
    assert (await peers(site, online="true"))[0]["id"] == peer.id
    assert await site.found("a.txt") == ["a.txt"]
    await site.pass_time(0.1)
    assert await peers(site, online="true") == []
    (seen,) = await peers(site, online="false")
    assert seen["is_online"] is False
    assert await site.found("a.txt") == []
    assert await site.listed() == ["a.txt"]
    await peer.beat()
    assert (await peers(site, online="true"))[0]["is_online"] is True
    assert await site.found("a.txt") == ["a.txt"]


async def test_who_leaves_is_offline_at_once_and_its_files_are_known(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.share("a.txt")
    await peer.leave()
    (seen,) = await peers(site)
    assert seen["is_online"] is False
    assert await site.found("a.txt") == []
    assert await site.found("a.txt", online="false") == ["a.txt"]
    await peer.leave()
    await peer.register()
    assert await site.found("a.txt") == ["a.txt"]


async def test_who_was_forgotten_registers_again(site: Site) -> None:
    peer = KeyedPeer(site)
    await peer.register()
    await peer.share("a.txt")
    await site.pass_time(86_401)
    await site.clean_up()
    assert await peers(site) == []
    assert await site.listed() == []
    assert (await peer.try_beat()).problem() == (404, "peer_not_found")
    assert (await peer.try_announce([entry("b")])).problem() == (404, "peer_not_found")
    told = await peer.register()
    assert (told["catalogue_id"], told["catalogue_version"]) == (None, 0)


async def test_the_jobs_do_what_time_asks_for(tmp_path: Path) -> None:
    """Nobody calls them here: the daemon's own turn finds the silence and the grace that are over."""
    async with serving(tmp_path, cleanup_interval=0.1, peer_grace=600.0) as site, site.events() as events:
        await Peer(site, "p").register()
        site.clock.advance(3 * INTERVAL + 1)
        assert (await events.of("peer_offline"))["data"]["id"] == "p"
        site.clock.advance(601)
        while await peers(site):
            await events.of("stats_update")


async def test_last_seen_is_told_from_memory_and_written_behind(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        peer = KeyedPeer(site)
        await peer.register()
        first = (await site.get(f"/api/v1/peers/{peer.id}"))["last_seen"]
        site.clock.advance(5)
        await peer.beat()
        last = (await site.get(f"/api/v1/peers/{peer.id}"))["last_seen"]
        assert last > first
        clock = site.clock
    async with serving(tmp_path, clock) as site:
        assert (await site.get(f"/api/v1/peers/{peer.id}"))["last_seen"] == last


# Looking


async def test_peers_are_listed_in_pages(site: Site) -> None:
    for n in range(7):
        await Peer(site, f"p{n}", 9000 + n).register(region="north" if n % 2 else "south")
    assert [peer["id"] for peer in await site.pages("/api/v1/peers", limit=3)] == [f"p{n}" for n in range(7)]
    assert [peer["id"] for peer in await site.pages("/api/v1/peers", limit=1, region="north")] == ["p1", "p3", "p5"]
    answer = await site.call("GET", "/api/v1/peers", query={"region": "north", "limit": 2})
    assert answer.headers["X-Total-Count"] == "3"
    assert await peers(site, region="nowhere") == []


async def test_an_empty_network_lists_nobody(site: Site) -> None:
    answer = await site.call("GET", "/api/v1/peers")
    assert (answer.json(), answer.headers["X-Total-Count"]) == ([], "0")
    assert "Link" not in answer.headers


UNREADABLE = [
    ({"limit": 0}, "invalid_limit"),
    ({"limit": 1001}, "invalid_limit"),
    ({"limit": "many"}, "invalid_limit"),
    ({"limit": ""}, "invalid_limit"),
    ({"cursor": "?"}, "invalid_cursor"),
    ({"cursor": "AAAA"}, "invalid_cursor"),
    ({"cursor": base64.urlsafe_b64encode(b'["peers",1000000000000000000000000000000]').decode()}, "invalid_cursor"),
    ({"cursor": base64.urlsafe_b64encode(b'["peers",true]').decode()}, "invalid_cursor"),
    ({"cursor": base64.urlsafe_b64encode(b'["name",1]').decode()}, "invalid_cursor"),
    ({"online": "perhaps"}, "invalid_parameter"),
    ({"region": "x" * 65}, "invalid_parameter"),
]


async def test_a_list_that_cannot_be_read_is_refused(site: Site) -> None:
    for query, code in UNREADABLE:
        assert await site.refused("/api/v1/peers", **query) == (400, code), query


async def test_a_peer_that_is_not_known_is_not_found(site: Site) -> None:
    for wanted in ("nobody", "%00", "%FF", "%ED%A0%80", "..%2f", "x" * 3000, "';%20DROP%20TABLE%20peers"):
        answer = await asked(site.port, f"/api/v1/peers/{wanted}")
        assert answer.problem()[0] == 404, wanted


async def test_many_peers_at_once(site: Site) -> None:
    crowd = [KeyedPeer(site, str(n), 9000 + n) for n in range(40)]
    await asyncio.gather(*(peer.register() for peer in crowd))
    await asyncio.gather(*(peer.announce(entry(f"{peer.port}"), entry("same", "same")) for peer in crowd))
    await asyncio.gather(*(peer.beat() for peer in crowd))
    assert len(await peers(site)) == 40
    assert (await site.get(f"/api/v1/files/{content_id('same')}"))["sources"] == 40
