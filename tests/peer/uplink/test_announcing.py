"""A catalogue is announced once, in batches, and anew only where the super-peer has another one."""

from typing import Any

import pytest
from aiohttp import web

from common.wire.files import MAX_ENTRIES
from peer.uplink import session
from tests.peer.uplink.scripted import ScriptedSuperPeer, cut, refusing, saying
from tests.peer.uplink.stage import Stage, id_of
from tests.support.sources import Handler


def deltas(server: ScriptedSuperPeer, begin: int = 0) -> list[tuple[int, list[str], list[str], bool]]:
    """The announcements from the one with index `begin` on: base version, added, removed, complete."""
    return [
        (body["base_version"], [entry["path"] for entry in body["add"]], body["remove"], body["complete"])
        for body in server.bodies("announce")[begin:]
    ]


async def test_a_batch_is_no_larger_than_a_call_may_be() -> None:
    assert session.ENTRIES == MAX_ENTRIES


async def test_a_full_announcement_goes_in_batches_and_the_last_says_complete(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ENTRIES", 3)
    for number in range(7):
        stage.shelf.offer(f"f{number}")
    await stage.registered()
    assert deltas(stage.server) == [
        (0, ["f0", "f1", "f2"], [], False),
        (1, ["f3", "f4", "f5"], [], False),
        (2, ["f6"], [], True),
    ]
    assert {body["catalogue_id"] for body in stage.server.bodies("announce")} == {"c1"}


async def test_a_full_announcement_that_ends_with_a_full_batch_is_complete(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ENTRIES", 2)
    for number in range(4):
        stage.shelf.offer(f"f{number}")
    await stage.registered()
    assert [complete for *_, complete in deltas(stage.server)] == [False, True]


async def test_an_empty_catalogue_is_announced_as_such(stage: Stage) -> None:
    await stage.registered()
    assert deltas(stage.server) == [(0, [], [], True)]


async def test_only_what_changed_is_announced(stage: Stage) -> None:
    for path in ("a", "b", "c"):
        stage.shelf.offer(path)
    await stage.registered()
    stage.shelf.offer("b", "changed")
    stage.shelf.withdraw("c")
    stage.shelf.offer("d")
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["b", "d"], ["c"], False)]
    assert stage.server.held == {"a": id_of("a"), "b": id_of("bchanged"), "d": id_of("d")}
    await stage.until(lambda: not stage.shelf.changed.is_set())


async def test_a_heartbeat_that_finds_nothing_new_leads_to_no_announcement(stage: Stage) -> None:
    stage.shelf.offer("a")
    await stage.registered()
    await stage.beat()
    await stage.beat()
    assert stage.server.count("announce") == 1


async def test_a_super_peer_that_knows_the_catalogue_is_told_changes_only(stage: Stage) -> None:
    """As after a restart of the peer."""
    for path in ("a", "b"):
        stage.shelf.offer(path)
    shelf, server = stage.shelf, stage.server
    shelf.announced, shelf.announced_version, shelf.restarting = {"a": shelf.offered["a"]}, 4, False
    server.catalogue_id, server.version, server.held = "c1", 4, dict(shelf.announced)
    await stage.registered()
    assert deltas(server) == [(4, ["b"], [], False)]


async def test_a_super_peer_that_forgot_all_is_told_all(stage: Stage) -> None:
    for path in ("a", "b"):
        stage.shelf.offer(path)
    await stage.registered()
    await stage.beat()
    stage.server.forget()
    await stage.beat()
    await stage.announced()
    assert deltas(stage.server, 1) == [(0, ["a", "b"], [], True)]
    assert (stage.server.count("register"), stage.pauses.lengths) == (2, [])
    await stage.beat()
    assert [beat["sequence"] for beat in stage.server.bodies("heartbeat")] == [1, 2, 1]


@pytest.mark.parametrize("code", ["peer_not_found", "token_invalid", "token_required", "replay"])
async def test_who_is_not_known_any_more_registers_again_and_repeats_nothing(stage: Stage, code: str) -> None:
    stage.shelf.offer("a")
    await stage.registered()
    await stage.beat()
    stage.server.next["heartbeat"].append(refusing(409 if code == "replay" else 401, code, sequence=17))
    await stage.beat()
    await stage.until(lambda: stage.server.count("register") == 2)
    stage.shelf.offer("b")
    await stage.announced()
    await stage.beat()
    assert deltas(stage.server, 1) == [(1, ["b"], [], False)]
    assert [beat["sequence"] for beat in stage.server.bodies("heartbeat")] == [1, 2, 1]


async def test_a_token_refused_in_an_announcement_leads_to_a_registration(stage: Stage) -> None:
    await stage.registered()
    await stage.beat()
    stage.server.next["announce"].append(refusing(401, "token_invalid"))
    stage.shelf.offer("a")
    await stage.announced()
    assert (stage.server.count("register"), stage.pauses.lengths) == (2, [])
    assert deltas(stage.server, 1) == [(1, ["a"], [], False)] * 2


@pytest.mark.parametrize("held", [("c1", 7), ("c1", 0), ("another", 1), (None, 0)])
async def test_a_heartbeat_that_shows_another_catalogue_leads_to_a_full_announcement(
    stage: Stage, held: tuple[str | None, int]
) -> None:
    stage.shelf.offer("a")
    await stage.registered()
    stage.server.catalogue_id, stage.server.version = held
    await stage.beat()
    await stage.until(lambda: stage.server.count("announce") == 2)
    await stage.announced()
    assert deltas(stage.server, 1) == [(0, ["a"], [], True)]


# Lost answers


@pytest.mark.parametrize("answer", [cut, refusing(503, "timed_out"), saying(b"<html>", 502), saying(b"oops")])
async def test_a_call_whose_answer_was_lost_is_taken_as_done(stage: Stage, answer: Handler) -> None:
    stage.shelf.offer("a")
    await stage.registered()

    async def taken(request: web.Request) -> web.StreamResponse:
        await stage.server.honest(request)
        return await answer(request)

    stage.server.next["announce"].append(taken)
    stage.shelf.offer("b")
    await stage.announced()
    stage.shelf.offer("c")
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["b"], [], False), (2, ["c"], [], False)]


@pytest.mark.parametrize("held", [("c1", 7), ("another", 2), (None, 0)])
async def test_a_lost_answer_and_another_catalogue_lead_to_a_full_announcement(
    stage: Stage, held: tuple[str | None, int]
) -> None:
    await stage.registered()
    stage.server.catalogue_id, stage.server.version = held
    stage.server.next["announce"].append(cut)
    stage.shelf.offer("a")
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["a"], [], False), (0, ["a"], [], True)]


async def test_a_registration_shows_that_a_call_was_taken(stage: Stage) -> None:
    await stage.registered()
    await stage.beat()
    stage.server.next["announce"].append(stage.server.mute)
    stage.server.next["heartbeat"].append(refusing(401, "token_invalid"))
    stage.shelf.offer("a")
    await stage.announced()
    stage.shelf.offer("b")
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["a"], [], False), (2, ["b"], [], False)]
    assert stage.server.count("register") == 2


async def test_a_change_after_a_lost_answer_is_announced_too(stage: Stage) -> None:
    await stage.registered()
    stage.server.next["announce"].append(stage.server.mute)
    stage.pauses.meanwhile.append(lambda: stage.shelf.offer("later"))
    stage.shelf.offer("a")
    await stage.announced()
    assert stage.server.held == {"a": id_of("a"), "later": id_of("later")}
    assert deltas(stage.server, 1) == [(1, ["a"], [], False), (2, ["later"], [], False)]


async def test_a_file_that_went_while_a_call_failed_is_not_announced(stage: Stage) -> None:
    await stage.registered()
    stage.server.next["announce"].append(cut)
    stage.pauses.meanwhile.append(lambda: stage.shelf.withdraw("brief"))
    stage.shelf.offer("brief")
    stage.shelf.offer("a")
    await stage.announced()
    assert deltas(stage.server, 2) == [(1, ["a"], [], False)]


async def test_what_became_of_a_call_is_asked_once(stage: Stage) -> None:
    await stage.registered()
    stage.server.next["announce"].append(cut)
    stage.pauses.meanwhile.append(lambda: stage.shelf.withdraw("brief"))
    stage.shelf.offer("brief")
    for heartbeats in (1, 2):
        await stage.until(lambda due=heartbeats: stage.server.count("heartbeat") == due)  # type: ignore[misc]
        await stage.until(lambda: not stage.shelf.changed.is_set())
        stage.pass_interval()
    assert stage.server.count("announce") == 2


async def test_a_call_that_is_taken_after_all_leads_to_a_full_announcement(stage: Stage) -> None:
    """After the heartbeat that said that it was not: the next call is refused, and nothing of it was taken."""
    await stage.registered()

    async def belated(request: web.Request) -> web.StreamResponse:
        stage.server.held["a"], stage.server.version = id_of("a"), 2
        return await stage.server.honest(request)

    stage.server.next["announce"].extend([cut, belated])
    stage.pauses.meanwhile.append(lambda: stage.shelf.offer("later"))
    stage.shelf.offer("a")
    await stage.announced()
    again = ["a", "later"]
    assert deltas(stage.server, 2) == [(1, again, [], False), (0, again, [], True)]


async def test_the_begin_of_a_catalogue_is_not_taken_for_done_by_what_was_held_before(stage: Stage) -> None:
    stage.server.catalogue_id, stage.server.version, stage.server.held = "c1", 1, {"old": id_of("old")}
    stage.server.next["announce"].append(cut)
    stage.shelf.offer("a")
    await stage.registered()
    assert deltas(stage.server) == [(0, ["a"], [], True)] * 2


@pytest.mark.parametrize("batch", [1, 2, 3])
async def test_a_lost_answer_does_not_begin_a_full_announcement_anew(
    stage: Stage, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ENTRIES", 2)
    for number in range(6):
        stage.shelf.offer(f"f{number}")
    lost = [stage.server.honest] * (batch - 1) + [stage.server.mute]
    stage.server.next["announce"].extend(lost)
    await stage.registered()
    assert [base for base, *_ in deltas(stage.server)] == ([0, 0, 1, 2] if batch == 1 else [0, 1, 2])
    assert (stage.shelf.announced_version, stage.server.version) == (3, 3)


async def test_a_call_that_was_not_taken_is_repeated(stage: Stage) -> None:
    await stage.registered()
    stage.server.next["announce"].append(saying(b"", 500))
    stage.shelf.offer("a")
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["a"], [], False)] * 2


async def test_a_call_whose_content_is_refused_is_made_anew(stage: Stage) -> None:
    await stage.registered()
    stage.server.next["announce"].append(refusing(413, "too_many_entries"))
    stage.pauses.meanwhile.append(lambda: stage.shelf.withdraw("many"))
    stage.shelf.offer("many")
    stage.shelf.offer("few")
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["many", "few"], [], False), (1, ["few"], [], False)]


# Out of step


@pytest.mark.parametrize("held", [("c1", 7), ("another", 1), (None, 0)])
async def test_a_call_out_of_step_leads_to_a_full_announcement(stage: Stage, held: tuple[str | None, int]) -> None:
    stage.shelf.offer("a")
    await stage.registered()
    stage.server.catalogue_id, stage.server.version = held
    stage.shelf.offer("b")
    await stage.until(lambda: stage.server.count("announce") == 3)
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["b"], [], False), (0, ["a", "b"], [], True)]


@pytest.mark.parametrize("version", ["x", "2", "", [2], {"a": 1}, None, True, -1, 1e300, 10**400, 2.5])
@pytest.mark.parametrize("catalogue_id", ["c1", ["c1"], {}, 7])
async def test_a_call_out_of_step_with_nonsense_leads_to_a_full_announcement(
    stage: Stage, catalogue_id: Any, version: Any
) -> None:
    for path in ("a", "b"):
        stage.shelf.offer(path)
        await (stage.registered() if path == "a" else stage.announced())
    held = {"catalogue_id": catalogue_id, "catalogue_version": version}
    stage.server.next["announce"].append(refusing(409, "catalogue_out_of_step", **held))
    stage.shelf.offer("c")
    await stage.announced()
    assert deltas(stage.server, 2) == [(2, ["c"], [], False), (0, ["a", "b", "c"], [], True)]


@pytest.mark.parametrize("version", [0, 1, 3, -7, 10**30])
async def test_an_accepted_call_that_leads_to_another_version_is_asked_again(stage: Stage, version: int) -> None:
    await stage.registered()
    stage.server.next["announce"].append(saying(f'{{"catalogue_version": {version}}}'))
    stage.shelf.offer("a")
    await stage.announced()
    assert deltas(stage.server, 1) == [(1, ["a"], [], False)] * 2
    assert stage.shelf.announced_version == 2
