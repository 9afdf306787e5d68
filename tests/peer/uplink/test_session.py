"""Whatever a super-peer answers: the session goes on, waits longer each time, and never asks without a pause."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from common.http.outgoing import Outgoing
from peer.uplink import session, super_peer
from peer.uplink.session import LONGEST_INTERVAL, SHORTEST_INTERVAL, sensible
from tests.peer.uplink.scripted import BAD, ScriptedSuperPeer, problem, refusing, saying, silent
from tests.peer.uplink.stage import Stage

LOST = {"peer_not_found": 404, "token_invalid": 401, "token_required": 401, "replay": 409}
KEPT_REFUSALS = {"signature_invalid": 401, "challenge_expired": 401, "id_taken": 403, "too_many_peers": 429}
OUTSIDE = [pytest.param(answer, id=name) for name, answer in BAD.items()]


def doubling(lengths: list[float]) -> bool:
    """Whether each pause is twice the one before, give or take what spreads a crowd."""
    return all(0.8 * 2**n <= length <= 1.2 * 2**n for n, length in enumerate(lengths))


async def heals(stage: Stage) -> None:
    """The super-peer comes to its senses, and so the session does."""
    stage.server.always.clear()
    stage.pauses.wake()
    await stage.announced()
    await stage.beat()
    await stage.until(lambda: stage.session.trouble == "")
    assert stage.session.is_registered


# Registering


@pytest.mark.parametrize("kind", ["challenge", "register"])
@pytest.mark.parametrize("answer", OUTSIDE)
async def test_a_registration_badly_answered_is_tried_again_later_and_later(
    stage: Stage, kind: str, answer: Any
) -> None:
    stage.server.always[kind] = answer
    stage.start()
    assert doubling(await stage.paused(4))
    assert [stage.server.count(kind), stage.server.count("challenge")] == [4, 4]
    assert stage.server.count("/elsewhere") == 0
    assert stage.session.trouble and not stage.session.is_registered
    await heals(stage)


@pytest.mark.parametrize(("code", "status"), (LOST | KEPT_REFUSALS).items())
@pytest.mark.parametrize("kind", ["challenge", "register"])
async def test_a_registration_refused_is_tried_again_later_and_later(
    stage: Stage, kind: str, code: str, status: int
) -> None:
    stage.server.always[kind] = refusing(status, code, sequence=3)
    stage.start()
    assert doubling(await stage.paused(4))
    assert stage.server.count(kind) == 4
    assert stage.session.trouble == f"Refused: {code}."
    await heals(stage)


async def test_a_registration_without_an_answer_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.server.always["challenge"] = silent
    with monkeypatch.context() as hasty:
        hasty.setitem(Outgoing.post_json.__kwdefaults__, "deadline", 0.02)
        stage.start()
        assert doubling(await stage.paused(3))
    assert "in time" in stage.session.trouble
    await heals(stage)


@pytest.mark.parametrize(("code", "status"), LOST.items())
async def test_a_registration_that_does_not_last_is_repeated_later_and_later(
    stage: Stage, code: str, status: int
) -> None:
    stage.server.always["announce"] = refusing(status, code)
    stage.start()
    assert doubling(await stage.paused(4))
    assert (stage.server.count("register"), stage.server.count("announce")) == (4, 4)
    await heals(stage)


async def test_a_registration_lost_by_its_first_heartbeat_is_not_repeated_at_once(stage: Stage) -> None:
    await stage.registered()
    stage.server.forget()
    stage.pass_interval()
    assert doubling(await stage.paused(1))
    assert stage.server.count("register") == 1
    await heals(stage)


async def test_one_that_lasted_is_followed_by_short_pauses_again(stage: Stage) -> None:
    stage.server.always["register"] = refusing(503, "network_full")
    stage.start()
    await stage.paused(4)
    await heals(stage)
    stage.server.always["register"] = refusing(503, "network_full")
    stage.server.forget()
    stage.pass_interval()
    assert doubling(await stage.paused(2))


# Announcing and heartbeats


@pytest.mark.parametrize("answer", OUTSIDE)
async def test_an_announcement_badly_answered_is_repeated_later_and_later(stage: Stage, answer: Any) -> None:
    await stage.registered()
    stage.server.always["announce"] = answer
    stage.shelf.offer("a")
    assert await stage.paused(4) == [1, 2, 4, 8]
    assert (stage.server.count("announce"), stage.server.count("register")) == (5, 1)
    assert stage.server.count("/elsewhere") == 0
    assert stage.session.trouble and stage.session.is_registered
    await heals(stage)


async def test_an_announcement_without_an_answer_is_repeated(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.registered()
    stage.server.always["announce"] = silent
    with monkeypatch.context() as hasty:
        hasty.setattr(super_peer, "DELTA_DEADLINE", 0.02)
        stage.shelf.offer("a")
        assert await stage.paused(3) == [1, 2, 4]
    await heals(stage)


@pytest.mark.parametrize("answer", OUTSIDE)
async def test_a_heartbeat_badly_answered_leaves_the_registration_and_waits_for_the_next(
    stage: Stage, answer: Any
) -> None:
    await stage.registered()
    heard = stage.session.last_heartbeat
    stage.server.always["heartbeat"] = answer
    await stage.beat()
    stage.shelf.offer("a")
    await stage.announced()
    assert (stage.server.count("heartbeat"), stage.server.count("register")) == (1, 1)
    assert stage.session.trouble and stage.session.is_registered
    assert (stage.pauses.lengths, stage.session.last_heartbeat) == ([1], heard)
    await heals(stage)
    assert [beat["sequence"] for beat in stage.server.bodies("heartbeat")] == [1, 2]


async def test_a_super_peer_that_is_silent_for_three_intervals_is_not_called_ours(stage: Stage) -> None:
    await stage.registered()
    stage.server.always["heartbeat"] = refusing(503, "not_ready")
    for _ in range(3):
        await stage.beat()
    stage.clock.advance(1)
    assert not stage.session.is_registered
    assert stage.session.trouble
    del stage.server.always["heartbeat"]
    await stage.beat()
    await stage.until(lambda: stage.session.is_registered)
    assert (stage.server.count("register"), stage.session.trouble) == (1, "")


@pytest.mark.parametrize("listens_to_all", [True, False])
async def test_a_peer_that_only_this_machine_reaches_says_what_is_wrong(stage: Stage, listens_to_all: bool) -> None:
    stage.session.listens_to_all = listens_to_all
    stage.server.next["register"].append(at_192_168_1_7(stage))
    await stage.registered()
    for _ in range(2):
        assert stage.session.is_registered
        assert ("192.168.1.7" in stage.session.trouble and "--lan" in stage.session.trouble) is not listens_to_all
        await stage.beat()


def at_192_168_1_7(stage: Stage) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(stage.server.registered(await request.json(), address="192.168.1.7"))

    return answer


async def test_a_heartbeat_without_an_answer_leaves_the_registration(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.registered()
    stage.server.always["heartbeat"] = silent
    with monkeypatch.context() as hasty:
        hasty.setitem(Outgoing.post_json.__kwdefaults__, "deadline", 0.02)
        stage.pass_interval()
        assert await stage.paused(1) == [1]
    assert stage.session.is_registered
    await heals(stage)


async def test_an_outage_of_a_night_is_sat_out(stage: Stage) -> None:
    await stage.registered()
    stage.server.always |= dict.fromkeys(("announce", "heartbeat"), refusing(503, "not_ready"))
    stage.shelf.offer("a")
    lengths = await stage.paused(1100)
    assert max(lengths) == lengths[-1] == 30
    await heals(stage)


async def test_who_is_always_out_of_step_is_told_later_and_later(stage: Stage) -> None:
    await stage.registered()
    stage.server.always["announce"] = refusing(409, "catalogue_out_of_step", catalogue_id="c1", catalogue_version=1)
    stage.shelf.offer("a")
    assert await stage.paused(4) == [1, 2, 4, 8]
    assert stage.server.count("announce") == 5
    await heals(stage)


async def test_who_forgets_between_two_calls_is_not_told_without_a_pause(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes every first call of a catalogue and no second."""
    monkeypatch.setattr(session, "ENTRIES", 1)

    async def forgetful(request: web.Request) -> web.StreamResponse:
        if stage.server.said[-1].body["base_version"]:
            return problem(409, "catalogue_out_of_step", catalogue_id="another", catalogue_version=1)
        return await stage.server.honest(request)

    stage.server.always["announce"] = forgetful
    for path in ("a", "b"):
        stage.shelf.offer(path)
    stage.start()
    assert await stage.paused(4) == [1] * 4
    assert stage.server.count("announce") == 8
    await heals(stage)


# What the super-peer wishes


@pytest.mark.parametrize(("wish", "kept"), [("7", 7), ("3600", 3600), ("86400", LONGEST_INTERVAL), ("9" * 400, 3600)])
@pytest.mark.parametrize("kind", ["register", "announce"])
async def test_a_pause_that_is_asked_for_is_kept_within_bounds(stage: Stage, kind: str, wish: str, kept: float) -> None:
    stage.server.next[kind].append(refusing(503, "network_full", {"Retry-After": wish}))
    stage.shelf.offer("a")
    await stage.registered()
    assert stage.pauses.lengths == [kept]


@pytest.mark.parametrize("wish", ["0", "-5", "soon", "1e300", "nan", "inf", "Wed, 21 Oct 2099 07:28:00 GMT", ""])
@pytest.mark.parametrize("kind", ["register", "announce"])
async def test_a_pause_that_makes_no_sense_is_replaced_by_our_own(stage: Stage, kind: str, wish: str) -> None:
    stage.server.always[kind] = refusing(503, "network_full", {"Retry-After": wish})
    stage.start()
    assert doubling(await stage.paused(3))
    await heals(stage)


@pytest.mark.parametrize(
    ("asked", "kept"), [(0, 1), (-1, 1), (1e-9, 1), (0.99, 1), (1, 1), (30.5, 30.5), (3600, 3600), (1e300, 3600)]
)
async def test_the_time_between_heartbeats_is_what_is_asked_for_within_bounds(
    stage: Stage, asked: float, kept: float
) -> None:
    assert (SHORTEST_INTERVAL, LONGEST_INTERVAL, sensible(asked)) == (1, 3600, kept)
    stage.server.interval = asked
    await stage.registered()
    for beats in (1, 2):
        stage.clock.advance(kept * 0.89)  # up to a tenth is left out, to spread a crowd
        stage.shelf.offer(f"{beats}")
        await stage.announced()
        assert stage.server.count("heartbeat") == beats - 1
        stage.pass_interval(kept * 0.11)
        await stage.until(lambda due=beats: stage.server.count("heartbeat") == due)  # type: ignore[misc]
        await stage.until(lambda: stage.session.last_heartbeat == stage.clock.now())


async def test_an_interval_that_a_heartbeat_answers_holds_from_then_on(stage: Stage) -> None:
    stage.server.interval = 3000
    await stage.registered()
    stage.server.interval = 30
    stage.pass_interval(3000)
    await stage.until(lambda: stage.server.count("heartbeat") == 1)
    stage.pass_interval(30)
    await stage.until(lambda: stage.server.count("heartbeat") == 2)


@pytest.mark.parametrize("token", ["", "a\r\nX-Peer-ID: another", "é", "x" * 100_000, "\u0000"])
async def test_a_token_that_cannot_be_said_ends_nothing(stage: Stage, server: ScriptedSuperPeer, token: str) -> None:
    async def odd(request: web.Request) -> web.StreamResponse:
        return web.json_response(server.registered(server.said[-1].body, token=token))

    server.next["register"].append(odd)
    server.next["announce"].extend([refusing(401, "token_invalid")])
    stage.start()
    await stage.until(lambda: stage.session.is_registered)
    await stage.until(lambda: server.count("announce") or stage.pauses.lengths)
    assert all(said.headers.get("X-Peer-ID") in (None, stage.identity.peer_id) for said in server.said)


async def test_what_does_not_succeed_is_told_apart_from_silence(stage: Stage) -> None:
    stage.server.always["register"] = saying(b"oops", 500)
    stage.start()
    await stage.paused(1)
    assert stage.session.trouble.endswith("answered 500.")


async def test_a_peer_that_others_cannot_dial_is_told_so_and_says_it(stage: Stage) -> None:
    await stage.registered()
    assert (stage.session.dialled.is_set(), stage.session.undialled.is_set()) == (True, False)
    for direct in (False, True):
        held = {"catalogue_id": stage.server.catalogue_id, "catalogue_version": stage.server.version}
        said = json.dumps(held | {"heartbeat_interval": 30.0, "direct": direct})
        stage.server.next["heartbeat"].append(saying(said))
        await stage.beat()
        await stage.until(lambda expected=direct: stage.session.dialled.is_set() is expected)  # type: ignore[misc]
        assert stage.session.undialled.is_set() is not direct
        assert ("through the super-peer" in stage.session.trouble) is not direct


async def test_the_first_heartbeat_comes_when_the_super_peer_knows_more(stage: Stage) -> None:
    async def soon(request: web.Request) -> web.Response:
        return web.json_response(stage.server.registered(await request.json(), first_heartbeat=4.0))

    stage.server.next["register"].append(soon)
    await stage.registered()
    stage.pass_interval(4.0)
    await stage.until(lambda: stage.server.count("heartbeat") == 1)
