"""Flash crowds in virtual time, beside the bound that no schedule can go below. No clock of the machine is involved."""

import pytest

from tests.simulation.crowd import Crowd, fluid_bound

RATE = 20e6
SIZE = 128 << 20


@pytest.mark.parametrize(
    ("members", "latency", "most"), [(1, 0.005, 1.06), (8, 0.002, 1.06), (8, 0.05, 1.10), (32, 0.005, 1.20)]
)
def test_a_crowd_is_done_soon_after_the_earliest_possible_moment(members: int, latency: float, most: float) -> None:
    crowd = Crowd(members, SIZE, RATE, latency)
    assert crowd.run() <= most * fluid_bound(members, SIZE, RATE)


def test_hardly_a_piece_is_sent_twice() -> None:
    crowd = Crowd(8, SIZE // 2, RATE, 0.01, seed=3)
    crowd.run()
    assert crowd.sent <= 1.02 * 8 * SIZE // 2
