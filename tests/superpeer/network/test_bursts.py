"""News without floods, by a clock that the test holds. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from superpeer.network.bursts import SINGLE, WINDOW, Bursts


def ids(count: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def test_a_few_are_told_one_by_one() -> None:
    bursts = Bursts()
    assert bursts.take("p", ids(SINGLE), 0.0) == ids(SINGLE)
    assert bursts.due() == {}


def test_many_at_once_are_told_as_a_count() -> None:
    bursts = Bursts()
    assert bursts.take("p", ids(SINGLE + 1), 0.0) == []
    assert bursts.due() == {"p": SINGLE + 1}
    assert bursts.due() == {}


def test_a_few_after_many_belong_to_the_burst() -> None:
    bursts = Bursts()
    assert bursts.take("p", ids(100), 0.0) == []
    assert bursts.take("p", ["x"], WINDOW / 2) == []
    assert bursts.due() == {"p": 101}


def test_what_comes_one_by_one_too_quickly_becomes_a_count() -> None:
    bursts = Bursts()
    told = [found for n in range(50) for found in bursts.take("p", [f"{n}"], 0.0)]
    assert told == ids(SINGLE)
    assert bursts.due() == {"p": 50 - SINGLE}


def test_a_new_moment_begins_anew() -> None:
    bursts = Bursts()
    bursts.take("p", ids(100), 5.0)
    assert bursts.take("p", ["x"], 5.0 + WINDOW) == ["x"]
    assert bursts.due() == {"p": 100}


def test_one_peers_flood_is_not_anothers() -> None:
    bursts = Bursts()
    assert bursts.take("p", ids(100), 0.0) == []
    assert bursts.take("q", ["x"], 0.0) == ["x"]
    assert bursts.due() == {"p": 100}


def test_nothing_is_nothing() -> None:
    bursts = Bursts()
    assert bursts.take("p", [], 0.0) == []
    assert bursts.due() == {}


@given(st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 30), st.floats(0, 0.5)), max_size=30))
def test_everything_is_told_once_and_never_much_at_a_time(calls: list[tuple[str, int, float]]) -> None:
    bursts, now, counted = Bursts(), 0.0, 0
    told: list[tuple[str, float]] = []
    for peer, count, pause in calls:
        now += pause
        told += [(peer, now) for _ in bursts.take(peer, ids(count), now)]
        counted += sum(bursts.due().values()) if pause > 0.3 else 0
    counted += sum(bursts.due().values())
    assert len(told) + counted == sum(count for _, count, _ in calls)
    for peer, since in told:
        # Windows follow each other, so any second touches two of them at most.
        assert sum(p == peer and since <= when < since + WINDOW for p, when in told) <= 2 * SINGLE
