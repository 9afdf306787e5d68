"""The rate shown, and what counts as a crawl."""

from peer.downloads.rate import WINDOW, Meter, Pace


def test_a_steady_flow_has_its_rate() -> None:
    meter = Meter(0)
    for second in range(1, 21):
        meter.add(1000, second)
    assert meter.rate(20) == 1000
    assert meter.eta(5000, 20) == 5


def test_only_the_last_seconds_count() -> None:
    meter = Meter(0)
    meter.add(1_000_000, 1)
    for second in range(2, 12):
        meter.add(10, second)
    assert meter.rate(11) == 10


def test_nothing_yet_has_no_rate_and_no_end() -> None:
    meter = Meter(3)
    assert meter.rate(3) == 0
    assert meter.eta(1, 3) is None
    assert meter.eta(1, 4) is None


def test_a_flow_that_stops_slows_down() -> None:
    meter = Meter(0)
    meter.add(1000, 1)
    assert meter.rate(1 + WINDOW) < meter.rate(2) < meter.rate(1)


def test_many_small_pieces_are_not_all_remembered() -> None:
    meter = Meter(0)
    for step in range(1, 20_001):
        meter.add(1, step / 1000)
    assert len(meter._samples) < 30
    assert round(meter.rate(20)) == 1000


def test_a_crawl_is_told_at_the_end_of_its_window_only() -> None:
    pace = Pace(window=10, slowest=100, now=0)
    assert not pace.crawls(500, 9)
    assert pace.crawls(400, 10)
    assert not pace.crawls(0, 19)
    assert pace.crawls(0, 20)
    assert not pace.crawls(1001, 30)
