"""Who serves a file best, and why. Pure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.peers import Load
from superpeer.files.sources import Candidate, busy, ranked


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
    here, away = candidate("here", region="north", load=Load(4, 4)), candidate("away", region="south")
    assert order(away, here, region="north") == ["here", "away"]


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


@given(
    st.lists(
        st.builds(
            candidate,
            st.sampled_from("abcdefgh"),
            verified=st.booleans(),
            region=st.sampled_from(["", "north", "south"]),
            load=st.builds(Load, st.integers(0, 9), st.integers(0, 5)),
        ),
        max_size=8,
    ),
    st.randoms(),
)
def test_all_are_told_and_no_unverified_one_before_a_verified_one(found: list[Candidate], chance: Any) -> None:
    told = ranked(found, "north", [chance.random() for _ in found])
    assert sorted(source.peer_id for source in told) == sorted(each.peer_id for each in found)
    whys = [source.why.startswith("verified") for source in told]
    assert whys == sorted(whys, reverse=True)
