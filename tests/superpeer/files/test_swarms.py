"""Who is in which swarm, as time passes. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from superpeer.files.swarms import (
    MISSED_INTERVALS,
    MOST_MEMBERS,
    MOST_SWARMS,
    QUICK,
    SLOW,
    Swarms,
    interval,
)


def members(swarms: Swarms, file_id: str = "f", now: float = 0.0) -> list[int]:
    return sorted(swarms.of(file_id, now))


def test_who_joins_is_a_member_and_who_joins_again_still_one() -> None:
    swarms = Swarms()
    swarms.join("f", 1, "m", 0, 0.0)
    swarms.join("f", 1, "m2", 7, 1.0)
    (member,) = swarms.of("f", 1.0).values()
    assert (member.manifest, member.proven) == ("m2", 7)
    assert (len(swarms), swarms.members) == (1, 1)


def test_who_leaves_is_gone_at_once_and_may_leave_again() -> None:
    swarms = Swarms()
    swarms.join("f", 1, "m", 0, 0.0)
    for _ in range(2):
        swarms.leave("f", 1, 0.0)
        assert members(swarms) == []
    swarms.leave("g", 1, 0.0)
    assert len(swarms) == 0


def test_who_goes_offline_leaves_all_swarms() -> None:
    swarms = Swarms()
    for file_id in ("f", "g"):
        for n in (1, 2):
            swarms.join(file_id, n, "m", 0, 0.0)
    swarms.leave_all(1, 0.0)
    assert (members(swarms, "f"), members(swarms, "g")) == ([2], [2])
    swarms.leave_all(1, 0.0)


def test_who_misses_three_intervals_is_no_member_any_more() -> None:
    swarms = Swarms()
    told = swarms.join("f", 1, "m", 0, 100.0)
    end = 100.0 + MISSED_INTERVALS * told
    assert members(swarms, now=end) == [1]
    assert members(swarms, now=end + 0.1) == []
    swarms.expire(end)
    assert len(swarms) == 1
    swarms.expire(end + 0.1)
    assert len(swarms) == 0


def test_coming_back_prolongs_membership() -> None:
    swarms = Swarms()
    for now in range(0, 100, 5):
        swarms.join("f", 1, "m", 0, float(now))
        swarms.expire(float(now))
        assert members(swarms, now=float(now)) == [1]


def test_one_comes_back_soon_after_a_change_and_seldom_in_a_quiet_swarm() -> None:
    swarms = Swarms()
    assert swarms.join("f", 1, "m", 0, 0.0) == QUICK
    assert swarms.join("f", 1, "m", 0, 1000.0) == SLOW
    assert swarms.join("f", 2, "m", 0, 1001.0) == QUICK
    assert swarms.join("f", 1, "m", 0, 1002.0) == QUICK
    assert swarms.join("f", 1, "m", 0, 2000.0) == SLOW
    swarms.leave("f", 2, 2000.0)
    assert swarms.join("f", 1, "m", 0, 2001.0) == QUICK


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, MOST_MEMBERS))
def test_the_interval_grows_with_quiet_and_keeps_its_bounds(one: float, other: float, count: int) -> None:
    less, more = sorted((one, other))
    assert QUICK <= interval(less, count) <= interval(more, count) <= SLOW
    assert count / interval(less, count) <= 100.001


def test_a_full_swarm_takes_nobody_else_but_keeps_its_own() -> None:
    swarms = Swarms()
    for n in range(MOST_MEMBERS):
        swarms.join("f", n, "m", 0, 0.0)
    assert swarms.join("f", MOST_MEMBERS, "m", 0, 0.0) == SLOW
    swarms.join("f", 0, "new", 1, 0.0)
    assert len(swarms.of("f", 0.0)) == MOST_MEMBERS
    assert swarms.of("f", 0.0)[0].manifest == "new"


def test_a_peer_is_in_no_more_swarms_than_it_may() -> None:
    swarms = Swarms()
    for n in range(MOST_SWARMS + 1):
        swarms.join(f"{n}", 1, "m", 0, 0.0)
    assert len(swarms) == MOST_SWARMS
    swarms.leave("0", 1, 0.0)
    swarms.join("another", 1, "m", 0, 0.0)
    assert members(swarms, "another") == [1]


STEP = st.tuples(
    st.sampled_from(["join", "leave", "offline", "expire"]), st.sampled_from("abc"), st.integers(1, 4), st.floats(0, 60)
)


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_both_sides_of_the_books_agree(steps: list[tuple[str, str, int, float]]) -> None:
    swarms, now = Swarms(), 0.0
    for what, file_id, n, passed in steps:
        now += passed
        match what:
            case "join":
                swarms.join(file_id, n, "m", 1, now)
                assert n in swarms.of(file_id, now)
            case "leave":
                swarms.leave(file_id, n, now)
                assert n not in swarms.of(file_id, now)
            case "offline":
                swarms.leave_all(n, now)
                assert not any(n in swarms.of(each, now) for each in "abc")
            case _:
                swarms.expire(now)
        in_swarms = {(n, file_id) for file_id, swarm in swarms._swarms.items() for n in swarm.members}
        assert in_swarms == {(n, file_id) for n, theirs in swarms._of_peer.items() for file_id in theirs}
        assert all(swarm.members for swarm in swarms._swarms.values())
