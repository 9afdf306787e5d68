"""The way from sources to a proven file: which claim is followed, when the next one is, and how it ends."""

import random

from common.content.grid import SMALLEST_PIECE
from common.content.manifest import Manifest
from common.content.pieces import all_of, lowest
from common.wire.files import Source
from peer.downloads.course import STUCK, Check, Course, Fail, Learn, Publish, Step, TakeUp
from peer.downloads.requests import Ask, Cancel
from peer.downloads.standing import KEPT, LONGEST_PAUSE, Patience, SourceTrouble
from tests.support.sources import source

COUNT = 4
SIZE = COUNT * SMALLEST_PIECE
TRUE, FALSE = Manifest(SIZE, b"t" * 32 * COUNT), Manifest(SIZE, b"f" * 32 * COUNT)


def named(name: str, manifest: Manifest | None = None, complete: bool = True) -> Source:
    plain = source(f"http://127.0.0.1:2000/{name}", name, complete)
    digest = None if manifest is None else manifest.digest
    return Source(plain.peer_id, plain.url, complete, digest, 50, "", 0.0, True, "")


def course(*sources: Source, size: int = SIZE, waiting: float = 120.0) -> Course:
    made = Course(size, Patience(waiting=waiting), random.Random(1))
    made.sources(sources, 0)
    return made


def trouble(outcome: str, retry_after: float | None = None) -> SourceTrouble:
    return SourceTrouble(outcome, f"was {outcome}", retry_after)


def only(steps: list[Step], kind: type) -> list[Step]:
    return [step for step in steps if isinstance(step, kind)]


def failure(steps: list[Step]) -> str:
    (fail,) = steps
    assert isinstance(fail, Fail)
    return fail.refusal.code


def gathering(made: Course, *, proven: int = 0, now: float = 0.0) -> list[Ask]:
    """Answers a TakeUp that is the next step; what is asked for then."""
    (take_up,) = made.step(now)
    assert isinstance(take_up, TakeUp)
    made.taken_up(proven)
    return [step for step in made.step(now) if isinstance(step, Ask)]


def bring_all(made: Course, now: float = 0.0) -> None:
    """Every piece that is asked for comes."""
    while not made.plan.is_done:
        made.step(now)
        for request in list(made.plan.requests):
            made.plan.answered(request, now, lowest(made.plan.free) if made.plan.free else -1)
            while request.at >= 0 and request.at <= request.last:
                made.plan.received(request, request.received + 1)
                made.proven(request, request.at)
            made.plan.ended(request, None, now)


def test_a_manifest_is_learnt_taken_up_gathered_checked_and_published() -> None:
    a = named("a")
    made = course(a)
    assert made.step(0) == [Learn(a)]
    assert made.step(0) == []
    made.learned(a.url, TRUE)
    assert made.step(0) == [TakeUp(TRUE)]
    assert made.step(0) == []
    made.taken_up(0)
    assert only(made.step(0), Ask)
    bring_all(made)
    assert made.step(1) == [Check()]
    assert made.step(1) == []
    assert made.checked(True) == Publish()
    assert made.step(2) == []


def test_an_announced_manifest_is_asked_of_who_announced_it_until_somebody_tells_it() -> None:
    a, b = named("a", TRUE), named("b", TRUE)
    made = course(a, b)
    assert made.step(0) == [Learn(a)]
    assert made.step(0) == [], "one at a time"
    made.not_learned(a.url, trouble("unreachable"), 0)
    assert made.step(0) == [Learn(b)]
    made.learned(b.url, TRUE)
    assert made.step(0) == [TakeUp(TRUE)]
    made.taken_up(0)
    assert set(made.plan.standings) == {a.url, b.url}


def test_an_empty_file_is_checked_without_anybody() -> None:
    made = course(size=0)
    assert made.step(0) == [Check()]
    assert made.checked(True) == Publish()
    wrong = course(size=0)
    wrong.step(0)
    fail = wrong.checked(False)
    assert isinstance(fail, Fail)
    assert fail.refusal.code == "proof_failed"


def test_a_source_that_stands_alone_waits_for_the_manifests_of_others() -> None:
    a, b = named("a"), named("b")
    made = course(a, b)
    assert made.step(0) == [Learn(a), Learn(b)]
    made.not_learned(a.url, trouble("refused"), 0)
    assert made.step(0) == []
    made.learned(b.url, TRUE)
    assert made.step(0) == [TakeUp(TRUE)]
    made.taken_up(0)
    assert set(made.plan.standings) == {b.url}


def test_a_false_manifest_is_refuted_and_what_fits_the_next_one_is_kept() -> None:
    liar, deceived, honest = named("liar", FALSE), named("part", FALSE, complete=False), named("honest", TRUE)
    made = course(liar, deceived, honest)
    made.learned(liar.url, FALSE)
    made.learned(honest.url, TRUE)
    assert made.step(0) == [TakeUp(FALSE)], "more claim it"
    made.taken_up(0)
    bring_all(made)
    assert only(made.step(1), Check)
    assert made.checked(False) is None
    assert [each.peer_id for each, _ in made.blamed] == ["liar"]
    (next_one,) = made.step(1)
    assert next_one == TakeUp(TRUE), "nothing is thrown away"
    made.taken_up(0b0110)
    bring_all(made)
    assert only(made.step(2), Check)
    assert made.checked(True) == Publish()


def test_bytes_of_an_earlier_run_are_not_held_against_one_that_stands_alone() -> None:
    a = named("a")
    made = course(a)
    made.step(0)
    made.not_learned(a.url, trouble("refused"), 0)
    gathering(made, proven=0b0011)
    bring_all(made)
    assert only(made.step(1), Check)
    again = made.checked(False)
    assert isinstance(again, TakeUp)
    assert again.afresh
    assert not made.blamed
    made.taken_up(0)
    bring_all(made)
    assert only(made.step(2), Check)
    assert made.checked(False) is None
    assert [each.peer_id for each, _ in made.blamed] == ["a"]
    assert failure(made.step(3)) == "proof_failed"


def test_one_that_stands_alone_and_is_busy_keeps_nobody_else_waiting() -> None:
    a, b = named("a"), named("b")
    made = course(a, b)
    made.step(0)
    for each in (a, b):
        made.not_learned(each.url, trouble("refused"), 0)
    (ask,) = gathering(made)
    first = ask.request.standing.source
    made.plan.ended(ask.request, trouble("busy", LONGEST_PAUSE), 0)
    assert made.step(STUCK / 2) == []
    assert made.step(STUCK) == []
    (other,) = gathering(made, now=STUCK)
    assert other.request.standing.source != first


def test_where_nobody_has_what_is_missing_another_claim_is_followed() -> None:
    part, whole = named("part", FALSE, complete=False), named("whole", TRUE)
    made = course(part)
    made.learned(part.url, FALSE)
    gathering(made)
    made.sources([whole], 0)
    made.learned(whole.url, TRUE)
    assert made.step(STUCK - 0.1) == []
    assert made.step(STUCK) == []
    assert TakeUp(TRUE) in made.step(STUCK)


def test_nobody_at_all_is_told_at_once() -> None:
    assert failure(course().step(0)) == "no_source_online"


def test_one_whose_address_is_refused_is_a_reason_too() -> None:
    made = course()
    lost = named("lost")
    assert made.refused(lost, trouble("refused"))
    assert not made.refused(lost, trouble("refused"))
    assert failure(made.step(0)) == "source_unavailable"


def test_it_gives_up_when_nothing_came_for_too_long_and_says_what_is_kept() -> None:
    a = named("a", TRUE)
    made = course(a, waiting=50.0)
    made.step(0)
    made.learned(a.url, TRUE)
    (ask, *_) = gathering(made, proven=0b0001)
    for request in list(made.plan.requests):
        made.plan.ended(request, trouble("busy", 1000.0), 0)
    assert made.waits(0) == LONGEST_PAUSE
    assert made.step(1) == []
    now = 0.0
    while not (steps := only(made.step(now), Fail)):
        for request in list(made.plan.requests):
            made.plan.ended(request, trouble("busy", 1000.0), now)
        now += 1.0
        assert now < 60
    (fail,) = steps
    assert isinstance(fail, Fail)
    assert fail.refusal.code == "source_unavailable"
    assert KEPT in fail.refusal.detail
    assert ask.request not in made.plan.requests


def test_one_that_comes_back_is_used_again() -> None:
    a = named("a", TRUE)
    made = course(a)
    made.step(0)
    made.learned(a.url, TRUE)
    gathering(made)
    standing = made.plan.standings[a.url]
    standing.dropped, standing.latest = True, trouble("timeout")
    made.sources([a], 5)
    assert not standing.dropped


def test_pieces_that_a_part_has_are_known_before_it_is_followed() -> None:
    whole, part = named("whole", TRUE), named("part", TRUE, complete=False)
    made = course(whole, part)
    made.has(part.url, 0b0100)
    made.step(0)
    made.learned(whole.url, TRUE)
    gathering(made)
    assert made.plan.standings[part.url].have == 0b0100
    made.has(part.url, 0b1000)
    assert made.plan.standings[part.url].have == 0b1100
    assert made.plan.standings[whole.url].have == all_of(COUNT)


def test_a_source_that_claims_something_else_now_is_asked_no_more_under_the_old_claim() -> None:
    a, b = named("a", TRUE), named("b", TRUE)
    made = course(a, b)
    made.step(0)
    made.learned(a.url, TRUE)
    gathering(made)
    of_b = [request for request in made.plan.requests if request.standing.source == b]
    made.sources([named("b", FALSE)], 1)
    assert {step.request for step in made.step(1) if isinstance(step, Cancel)} >= set(of_b)
    assert b.url not in made.plan.standings
