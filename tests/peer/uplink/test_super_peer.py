"""What is said to a super-peer: signed registrations, heartbeats, goodbyes."""

import base64
import socket
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from common.ids import keyed_peer_id
from common.wire.peers import Load
from tests.peer.uplink.scripted import ID, NONCE, ScriptedSuperPeer, cut, refusing
from tests.peer.uplink.stage import PORT, Stage


async def test_a_registration_is_signed_over_nonce_super_peer_id_address_and_port(stage: Stage) -> None:
    stage.shelf.offer("a")
    await stage.registered()
    [challenge], [told] = stage.server.bodies("challenge"), stage.server.bodies("register")
    key = base64.b64decode(told["public_key"])
    assert challenge == {"public_key": told["public_key"]}
    assert told["id"] == keyed_peer_id(key) == stage.identity.peer_id
    text = f"p2p-register/1\n{ID}\n{NONCE}\n{told['id']}\n{told['address'] or ''}\n{told['port']}"
    VerifyKey(key).verify(text.encode(), base64.b64decode(told["signature"]))
    assert (told["nonce"], told["port"], told["address"]) == (NONCE, PORT, None)
    about = (told["name"], told["region"], told["version"], told["shared_files"], told["hash_algorithm"])
    assert about == ("desk", "local", "1.0", 1, "sha256")


async def test_what_the_super_peer_answers_is_known(stage: Stage) -> None:
    assert not stage.session.is_registered
    await stage.registered()
    session = stage.session
    assert (session.is_registered, session.address, session.trouble) == (True, "127.0.0.1", "")
    assert session.last_heartbeat == stage.clock.now()


async def test_heartbeats_rise_and_tell_the_load_and_the_catalogue(stage: Stage) -> None:
    stage.shelf.offer("a")
    await stage.registered()
    await stage.beat()
    stage.load = Load(3, 16, 7)
    await stage.beat()
    first, second = stage.server.bodies("heartbeat")
    common = {"catalogue_id": "c1", "catalogue_version": 1}
    assert first == common | {
        "sequence": 1,
        "load": {"active_uploads": 2, "upload_slots": 16, "upload_rate": 2_500_000},
    }
    assert second == common | {"sequence": 2, "load": {"active_uploads": 3, "upload_slots": 16, "upload_rate": 7}}
    await stage.until(lambda: stage.session.last_heartbeat == stage.clock.now())


async def test_every_call_after_the_registration_names_the_peer_and_its_newest_token(stage: Stage) -> None:
    await stage.registered()
    await stage.beat()
    stage.server.forget()
    await stage.beat()
    await stage.until(lambda: stage.server.tokens == 2)
    await stage.announced()
    await stage.beat()
    await stage.stop()
    await stage.session.leave()
    me = stage.identity.peer_id
    told = [(said.kind, said.names) for said in stage.server.said if said.names != (None, None)]
    assert told == [
        ("announce", (me, "Bearer token1")),
        ("heartbeat", (me, "Bearer token1")),
        ("heartbeat", (me, "Bearer token1")),
        ("announce", (me, "Bearer token2")),
        ("heartbeat", (me, "Bearer token2")),
        ("leave", (me, "Bearer token2")),
    ]


async def test_a_goodbye_is_said_once(stage: Stage) -> None:
    await stage.registered()
    await stage.stop()
    await stage.session.leave()
    await stage.session.leave()
    assert (stage.server.count("leave"), stage.session.is_registered) == (1, False)


async def test_who_was_never_registered_says_no_goodbye(stage: Stage) -> None:
    await stage.session.leave()
    assert stage.server.said == []


async def test_who_is_not_registered_any_more_says_no_goodbye(stage: Stage) -> None:
    await stage.registered()
    stage.server.always["challenge"] = refusing(503, "network_full")
    stage.server.forget()
    stage.pass_interval()
    await stage.paused(1)
    await stage.stop()
    await stage.session.leave()
    assert stage.server.count("leave") == 0


@pytest.mark.parametrize("answer", [cut, refusing(500, "internal_error"), refusing(401, "token_invalid")])
async def test_a_goodbye_that_is_not_taken_is_let_go(stage: Stage, answer: object) -> None:
    await stage.registered()
    await stage.stop()
    stage.server.always["leave"] = answer  # type: ignore[assignment]
    await stage.session.leave()
    assert (stage.server.count("leave"), stage.session.is_registered) == (1, False)


async def test_nobody_listens_at_all(tmp_path: Path, server: ScriptedSuperPeer) -> None:
    with socket.socket() as taken:  # bound and not listening: refused, and nobody else's
        taken.bind(("127.0.0.1", 0))
        stage = Stage(tmp_path, server, f"127.0.0.1:{taken.getsockname()[1]}")
        stage.start()
        lengths = await stage.paused(8)
        await stage.stop()
        await stage.session.leave()
        await stage.close()
    assert all(
        0.8 * pause <= length <= 1.2 * pause
        for pause, length in zip((1, 2, 4, 8, 16, 30, 30, 30), lengths, strict=True)
    )
    assert "cannot be reached" in stage.session.trouble
    assert not stage.session.is_registered
