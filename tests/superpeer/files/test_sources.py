"""Who serves a file best, and why. Pure."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.peers import Load
from superpeer.files.sources import DISTRUSTED, EXPLORED, Candidate, busy, ranked


def candidate(peer_id: str, **changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "url": f"http://127.0.0.1/{peer_id}",
        "manifest": None,
        "region": "",
        "verified": True,
        "load": Load(0, 4),
    }
    return Candidate(peer_id, **(values | changes))


def order(*candidates: Candidate, region: str = "") -> list[str]:
    """Sorted with the luck against the expected order: the later, the luckier."""
    luck = [1 - n / 100 for n in range(len(candidates))]
    return [source.peer_id for source in ranked(candidates, region, luck)]


def test_nobody_is_no_source() -> None:
    assert ranked([], "", []) == []


def test_verified_peers_come_first() -> None:
    assert order(candidate("b"), candidate("a", verified=False)) == ["b", "a"]
    idle_program, busy_peer = candidate("a", verified=False), candidate("b", load=Load(4, 4))
    assert order(idle_program, busy_peer) == ["b", "a"]


def test_then_the_askers_region() -> None:
    here, away = candidate("here", region="north", load=Load(3, 4)), candidate("away", region="south", speed=1e9)
    assert order(away, here, region="north") == ["here", "away"]
    full = candidate("full", region="north", load=Load(4, 4))
    assert order(full, away, region="north") == ["away", "full"]


def test_without_a_region_none_is_better() -> None:
    assert order(candidate("a", region="north"), candidate("b", region="")) == ["b", "a"]


def test_then_the_free_ones() -> None:
    assert order(candidate("full", load=Load(4, 4)), candidate("half", load=Load(2, 4)), candidate("free")) == [
        "free",
        "half",
        "full",
    ]


def test_small_differences_of_load_are_left_to_chance() -> None:
    lucky, unlucky = candidate("lucky", load=Load(41, 1000)), candidate("unlucky", load=Load(40, 1000))
    assert [source.peer_id for source in ranked([lucky, unlucky], "", [0.1, 0.9])] == ["lucky", "unlucky"]
    assert [source.peer_id for source in ranked([lucky, unlucky], "", [0.9, 0.1])] == ["unlucky", "lucky"]


@pytest.mark.parametrize(
    ("load", "share"),
    [(Load(), 0.0), (Load(9, 0), 0.0), (Load(0, 4), 0.0), (Load(1, 4), 0.25), (Load(4, 4), 1.0), (Load(9, 4), 1.0)],
)
def test_the_share_of_slots_taken(load: Load, share: float) -> None:
    assert busy(load) == share


def test_each_source_says_why_it_stands_where_it_stands() -> None:
    (source,) = ranked([candidate("a", region="north", load=Load(1, 3))], "north", [0.5])
    assert source.why == "verified peer, in your region, 33% busy"
    (source,) = ranked([candidate("a", verified=False, region="south", load=Load())], "north", [0.5])
    assert source.why == "unverified program, in region south, load unknown"
    (source,) = ranked([candidate("a", region="")], "north", [0.5])
    assert "in region unknown" in source.why
    (source,) = ranked([candidate("a")], "", [0.5])
    assert source.why == "verified peer, 0% busy"


def test_a_source_is_told_whole() -> None:
    (source,) = ranked([candidate("a", manifest="m", region="north", load=Load(1, 3))], "", [0.5])
    assert (source.peer_id, source.url, source.manifest) == ("a", "http://127.0.0.1/a", "m")
    assert (source.complete, source.direct, source.reputation) == (True, True, 50)
    assert (source.region, source.load) == ("north", 0.333)


def test_the_whole_file_comes_before_pieces_of_it() -> None:
    seed = candidate("seed", verified=False, load=Load(4, 4), reputation=1)
    part = candidate("part", complete=False, speed=1e9)
    assert order(part, seed) == ["seed", "part"]


def test_a_distrusted_source_comes_after_the_others() -> None:
    bad = candidate("bad", reputation=DISTRUSTED - 1, speed=1e9)
    assert order(bad, candidate("far", region="south", load=Load(4, 4)), region="north") == ["far", "bad"]


def test_a_better_reputation_comes_first() -> None:
    assert order(candidate("a", reputation=40), candidate("b", reputation=90)) == ["b", "a"]


def test_the_fastest_measured_comes_first_as_far_as_it_is_free() -> None:
    slow, fast = candidate("slow", speed=1e6), candidate("fast", speed=1e8)
    assert order(slow, fast) == ["fast", "slow"]
    assert order(candidate("slow", speed=9e7), candidate("fast", speed=1e8, load=Load(3, 4))) == ["slow", "fast"]


def test_small_differences_of_speed_are_left_to_chance() -> None:
    assert order(candidate("a", speed=1.00e6), candidate("b", speed=1.05e6)) == ["b", "a"]
    assert order(candidate("b", speed=1.05e6), candidate("a", speed=1.00e6)) == ["a", "b"]


def test_who_was_never_measured_stands_below_the_typical_and_above_the_slow() -> None:
    slow, usual, fast = (candidate(f"{speed:.0e}", speed=speed) for speed in (1e6, 1e7, 1e8))
    assert order(slow, candidate("new"), usual, fast) == ["1e+08", "1e+07", "new", "1e+06"]


def test_now_and_then_who_was_never_measured_stands_first_and_says_so() -> None:
    found = [candidate("fast", speed=1e8), candidate("new")]
    first = ranked(found, "", [0.0, EXPLORED / 2])[0]
    assert (first.peer_id, first.why) == ("new", "verified peer, 0% busy, to be tried: never measured")
    assert ranked(found, "", [0.0, EXPLORED])[0].peer_id == "fast"


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_a_share_of_all_rankings_explores_however_many_are_new(count: int) -> None:
    chance = random.Random(count)
    found = [candidate("fast", speed=1e9), *(candidate(f"{n}") for n in range(count))]
    rounds = [ranked(found, "", [chance.random() for _ in found])[0].peer_id for _ in range(2000)]
    assert 0.1 < sum(first != "fast" for first in rounds) / 2000 < 0.2
    if count < 50:
        assert set(rounds) == {each.peer_id for each in found}


def test_exploring_tries_nobody_who_is_full_distrusted_or_elsewhere() -> None:
    fast = candidate("fast", speed=1e8, region="north")
    for worse in ({"load": Load(4, 4)}, {"reputation": 1}, {"region": "south"}, {"verified": False}):
        new = candidate("new", **({"region": "north"} | worse))
        assert ranked([fast, new], "north", [0.9, 0.0])[0].peer_id == "fast", worse


def test_where_nobody_was_measured_there_is_nothing_to_explore() -> None:
    told = ranked([candidate("busy", load=Load(3, 4)), candidate("free")], "", [0.0, 0.9])
    assert [source.peer_id for source in told] == ["free", "busy"]
    assert "tried" not in told[0].why + told[1].why


def test_reputation_and_speed_are_told() -> None:
    (source,) = ranked([candidate("a", reputation=72, speed=12.34e6, load=Load(1, 3))], "", [0.5])
    assert source.why == "verified peer, 33% busy, reputation 72, 12.3 MB/s measured"
    assert source.reputation == 72


CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.text("abcdefgh", min_size=1, max_size=9),
        verified=st.booleans(),
        complete=st.booleans(),
        region=st.sampled_from(["", "north", "south"]),
        load=st.builds(Load, st.integers(0, 9), st.integers(0, 5)),
        reputation=st.integers(0, 100),
        speed=st.one_of(st.none(), st.floats(0, 1e11)),
    ),
    max_size=8,
    unique_by=lambda each: each.peer_id,
)


@given(CANDIDATES, st.randoms())
def test_all_are_told_once_and_nobody_before_who_is_better_in_kind(found: list[Candidate], chance: Any) -> None:
    told = ranked(found, "north", [chance.random() for _ in found])
    by_id = {each.peer_id: each for each in found}
    assert sorted(source.peer_id for source in told) == sorted(by_id)
    kinds = []
    for source in told:
        c = by_id[source.peer_id]
        full = c.load.upload_slots > 0 and c.load.active_uploads >= c.load.upload_slots
        kinds.append((not c.complete, not c.verified, c.reputation < DISTRUSTED, full, c.region != "north"))
    assert kinds == sorted(kinds)


@given(CANDIDATES, st.integers(0, 7))
def test_being_faster_never_harms(found: list[Candidate], which: int) -> None:
    """Luck aside, and where nobody is tried for being new."""
    measured = [replace(each, speed=each.speed or 0.0) for each in found]
    if not measured:
        return
    one, luck = measured[which % len(measured)], [0.5 + n / 100 for n in range(len(measured))]
    faster = [replace(each, speed=(each.speed or 1.0) * 10) if each is one else each for each in measured]

    def place(these: list[Candidate]) -> int:
        return [source.peer_id for source in ranked(these, "north", luck)].index(one.peer_id)

    assert place(faster) <= place(measured)
