"""Which manifest is believed, and who answers for it."""

from msgspec.structs import replace

from common.wire.files import Source
from peer.downloads.claims import ATTEMPTS, Claims, alone, is_alone
from peer.downloads.standing import LONGEST_PAUSE, SourceTrouble
from tests.support.sources import source

TRUE, FALSE = "aa" * 32, "ff" * 32


def named(name: str, manifest: str | None = None, complete: bool = True, reputation: int = 50) -> Source:
    return replace(source(f"http://127.0.0.1:2000/{name}", name, complete), manifest=manifest, reputation=reputation)


def claims(*sources: Source, has_one_piece: bool = False) -> Claims:
    made = Claims(has_one_piece)
    for each in sources:
        made.tell(each)
    return made


def trouble(outcome: str, retry_after: float | None = None) -> SourceTrouble:
    return SourceTrouble(outcome, "", retry_after)


def test_who_announces_no_manifest_is_asked_once_at_a_time() -> None:
    a, b = named("a"), named("b", TRUE)
    these = claims(a, b)
    assert these.to_ask(0) == [a]
    assert these.to_ask(0) == []
    these.learned(a.url, FALSE)
    assert these.to_ask(1000) == []
    assert these.under(FALSE) == [a]


def test_a_file_of_one_piece_needs_no_manifest() -> None:
    a = named("a", TRUE)
    these = claims(a, has_one_piece=True)
    assert these.to_ask(0) == []
    assert these.best() == alone(a.url)


def test_a_source_that_has_none_stands_alone_and_one_with_a_part_only_claims_nothing() -> None:
    a, part = named("a"), named("part", complete=False)
    these = claims(a, part)
    these.to_ask(0)
    for each in (a, part):
        these.not_learned(each.url, trouble("refused"), 0)
    assert is_alone(these.best() or "")
    assert these.under(alone(a.url)) == [a]
    assert these.under(alone(part.url)) == []


def test_one_that_is_away_is_asked_again_later_and_not_for_ever() -> None:
    a = named("a")
    these, now = claims(a), 0.0
    for _ in range(ATTEMPTS):
        assert these.may_learn()
        assert these.to_ask(now) == [a]
        these.not_learned(a.url, trouble("unreachable"), now)
        assert these.to_ask(now) == []
        now += LONGEST_PAUSE
    assert these.to_ask(now) == []
    assert not these.may_learn()
    assert [each.outcome for each in these.troubles()] == ["unreachable"]


def test_one_that_makes_its_manifest_first_is_asked_when_it_said_however_often() -> None:
    a = named("a")
    these, now = claims(a), 0.0
    for _ in range(20):
        assert these.to_ask(now) == [a]
        these.not_learned(a.url, trouble("busy", 7.0), now)
        assert these.to_ask(now + 6.9) == []
        now += 7.0
    these.to_ask(now)
    these.not_learned(a.url, trouble("busy", 1e9), now)
    assert these.to_ask(now + LONGEST_PAUSE) == [a]


def test_manifests_come_before_sources_alone_and_the_best_reputed_whole_ones_before_many_parts() -> None:
    a = named("a")
    these = claims(a, *(named(f"part{n}", FALSE, complete=False) for n in range(9)), named("whole", TRUE))
    these.to_ask(0)
    these.not_learned(a.url, trouble("refused"), 0)
    assert these.best() == TRUE
    assert these.best(frozenset({named("whole").url})) == FALSE
    these.tell(named("other", FALSE, reputation=90))
    assert these.best() == FALSE


def test_a_false_manifest_is_blamed_on_those_who_claimed_all_of_the_file_and_on_nobody_else() -> None:
    liar, deceived, honest = named("liar", FALSE), named("deceived", FALSE, complete=False), named("honest", TRUE)
    these = claims(liar, deceived, honest)
    assert these.refute(FALSE) == [liar]
    assert these.best() == TRUE
    these.tell(named("liar", TRUE))
    assert these.under(TRUE) == [honest], "who was found out is not asked under another claim"
    these.tell(named("deceived", TRUE, complete=False))
    assert {each.peer_id for each in these.under(TRUE)} == {"honest", "deceived"}


def test_a_new_claim_takes_the_old_ones_place_and_silence_leaves_it() -> None:
    a = named("a", FALSE)
    these = claims(a)
    these.tell(named("a"))
    assert these.best() == FALSE
    these.tell(named("a", TRUE))
    assert (these.under(FALSE), [each.peer_id for each in these.under(TRUE)]) == ([], ["a"])


def test_nobody_claims_nothing() -> None:
    assert claims().best() is None
    assert not claims().may_learn()
