"""How fast lines let bytes pass, in virtual time: each mover asks, reserves, waits, moves, and asks again."""

import heapq
from collections import Counter
from collections.abc import Callable
from threading import Thread

import pytest

from common.serving.bandwidth import BURST, FEW, MOST_REMEMBERED, Bandwidth, Bucket, Line, Rates

MB = 1_000_000
BLOCK = 4 * 1024 * 1024


def unlimited() -> Bandwidth:
    return Bandwidth(lambda address: address.startswith("192.168."))


def limited(total: int = 0, per_peer: int = 0, per_transfer: int = 0, lan_exempt: bool = False) -> Bandwidth:
    made = unlimited()
    made.set(Rates(total, per_peer, per_transfer, lan_exempt))
    return made


def moved(
    lines: list[Line],
    seconds: float,
    wanted: int = BLOCK,
    late: float = 0.0,
    since: float = 100.0,
    on_time: Callable[[float], None] = lambda now: None,
) -> Counter[Line]:
    """Bytes that each line moves in so many seconds, each of its waits lasting `late` longer than asked."""
    done: Counter[Line] = Counter()
    turns = [(since, place, 0) for place in range(len(lines))]
    while turns[0][0] < since + seconds:
        now, place, count = heapq.heappop(turns)
        on_time(now)
        done[lines[place]] += count
        share = lines[place].share(wanted)
        wait = lines[place].reserve(share, now)
        heapq.heappush(turns, (now + wait + (late if wait else 0.0), place, share))
    return done


@pytest.mark.parametrize("late", [0.0, 0.001, 0.015])
@pytest.mark.parametrize("number", [1, 2, 8, 50])
@pytest.mark.parametrize("rate", [1000, 50_000, 5 * MB, 20 * MB, 1000 * MB])
def test_a_limit_holds_within_a_few_percent_however_many_share_it(rate: int, number: int, late: float) -> None:
    bandwidth = limited(total=rate)
    done = moved([bandwidth.line("10.0.0.1", str(place)) for place in range(number)], 10.0, late=late)
    assert 0.95 * 10 * rate <= done.total() <= 1.05 * 10 * rate + 16 * number


@pytest.mark.parametrize("rate", [1000, 5 * MB])
def test_lines_of_one_bucket_get_equal_parts(rate: int) -> None:
    bandwidth = limited(total=rate)
    lines = [bandwidth.line(f"10.0.0.{place}", "a") for place in range(8)]
    done = moved(lines, 60.0)
    assert min(done.values()) >= 0.95 * max(done.values())


def test_what_one_line_may_not_use_is_for_the_others() -> None:
    bandwidth = limited(total=8 * MB, per_transfer=5 * MB)
    slow = [bandwidth.line("10.0.0.1", "a") for _ in range(5)]
    others = [bandwidth.line("10.0.0.2", "b")]
    done = moved(slow + others, 10.0)
    assert done.total() == pytest.approx(80 * MB, rel=0.05)
    assert done[others[0]] <= 1.05 * 50 * MB


def test_each_address_and_each_transfer_has_a_limit_of_its_own() -> None:
    bandwidth = limited(per_peer=4 * MB, per_transfer=1 * MB)
    one = [bandwidth.line("10.0.0.1", "a") for _ in range(8)]
    other = [bandwidth.line("10.0.0.2", name) for name in "abcdefgh"]
    done = moved(one + other, 10.0)
    assert sum(done[line] for line in one) == pytest.approx(10 * MB, rel=0.05)
    assert sum(done[line] for line in other) == pytest.approx(40 * MB, rel=0.05)


def test_many_short_lines_are_one_transfer() -> None:
    bandwidth = limited(per_peer=MB)
    now, sent = 100.0, 0
    while now < 110.0:
        with bandwidth.line("10.0.0.1", "a") as line:
            left = 20_000
            while left:
                share = line.share(left)
                now += line.reserve(share, now) + 0.0001
                left -= share
                sent += share
    assert sent == pytest.approx(10 * MB, rel=0.05)


def test_a_changed_limit_holds_within_a_second() -> None:
    bandwidth = limited(total=20 * MB)
    lines = [bandwidth.line("10.0.0.1", "a") for _ in range(8)]
    assert moved(lines, 10.0).total() == pytest.approx(200 * MB, rel=0.05)
    for rate, at in ((1000, 111.0), (5 * MB, 122.0), (0, 133.0), (MB, 134.0)):
        for line in lines:
            line.share(BLOCK)
        bandwidth.set(Rates(rate))
        if rate:
            assert moved(lines, 1.0, since=at).total() == pytest.approx(rate, rel=0.1, abs=8 * 16)
            assert moved(lines, 9.0, since=at + 1).total() == pytest.approx(9 * rate, rel=0.05, abs=8 * 16)


@pytest.mark.parametrize(("before", "after"), [(0, 1000), (20 * MB, 1000), (1000, 20 * MB), (1000, 0)])
def test_nobody_waits_long_for_what_was_begun_under_another_limit(before: int, after: int) -> None:
    bandwidth = limited(total=before)
    line = bandwidth.line("10.0.0.1", "a")
    share = line.share(BLOCK)
    line.reserve(share, 100.0)
    share = line.share(BLOCK)
    bandwidth.set(Rates(after))
    line.reserve(share, 100.0)
    assert line.reserve(line.share(BLOCK), 100.0) <= 0.2


def test_no_limit_means_no_waiting_and_whole_blocks() -> None:
    bandwidth = unlimited()
    line = bandwidth.line("10.0.0.1", "a")
    assert [line.share(BLOCK), line.reserve(BLOCK, 1.0), line.reserve(BLOCK, 1.0)] == [BLOCK, 0.0, 0.0]
    assert not bandwidth.is_drained(1.0)


def test_near_addresses_are_spared_only_if_that_is_wished() -> None:
    bandwidth = limited(total=1000, lan_exempt=True)
    near, far = bandwidth.line("192.168.1.2", "a"), bandwidth.line("203.0.113.2", "a")
    assert near.share(BLOCK) == BLOCK
    assert near.reserve(BLOCK, 1.0) == 0.0
    assert far.share(BLOCK) < 1000
    bandwidth.set(Rates(1000))
    assert near.share(BLOCK) < 1000


def test_it_is_drained_while_somebody_waits() -> None:
    bandwidth = limited(total=MB)
    line = bandwidth.line("10.0.0.1", "a")
    assert not bandwidth.is_drained(1.0)
    line.reserve(100_000, 1.0)
    assert bandwidth.is_drained(1.0)
    assert bandwidth.is_drained(1.08)
    assert not bandwidth.is_drained(1.11)


def test_a_burst_is_no_more_than_its_share_of_a_second() -> None:
    bucket = Bucket(MB)
    assert bucket.reserve(int(MB * BURST), 50.0) == 0.0
    assert bucket.reserve(1000, 50.0) == 0.0
    assert bucket.reserve(1000, 50.0) == pytest.approx(0.001)
    assert bucket.reserve(1000, 49.0) == pytest.approx(0.002)  # another thread's clock was read earlier


def test_a_line_is_never_told_to_move_nothing() -> None:
    bandwidth = limited(total=1)
    lines = [bandwidth.line("10.0.0.1", "a") for _ in range(1000)]
    assert lines[0].share(BLOCK) >= 1
    assert lines[0].share(1) == 1


def test_lines_that_are_closed_are_forgotten() -> None:
    bandwidth = limited(total=MB, per_peer=MB, per_transfer=MB)
    for place in range(5000):
        with bandwidth.line(f"10.0.{place // 250}.{place % 250}", "a") as line:
            line.reserve(line.share(BLOCK), 1.0)
        line.close()
        assert len(bandwidth._buckets) <= 2 * MOST_REMEMBERED + 2
    assert not bandwidth._lines
    bandwidth.line("10.9.9.9", "a").reserve(1, 100_000.0)
    for place in range(5000):
        bandwidth.line(f"10.1.{place // 250}.{place % 250}", "a").close()
    assert len(bandwidth._buckets) <= FEW
    assert len(bandwidth._lines) == 1


def test_the_buckets_of_open_lines_are_not_forgotten() -> None:
    bandwidth = limited(per_peer=MB)
    lines = [bandwidth.line(f"10.0.{place // 250}.{place % 250}", "a") for place in range(2000)]
    assert [line.reserve(100_000, 1.0) for line in lines] == [0.0] * 2000
    again = [bandwidth.line(line.address, "a") for line in lines]
    assert min(line.reserve(1, 1.0) for line in again) == pytest.approx(0.1 - BURST)


def test_threads_share_a_limit_and_lose_no_byte_of_it() -> None:
    bandwidth = limited(total=MB)
    lines = [bandwidth.line("10.0.0.1", "a") for _ in range(4)]

    def reserve(line: Line) -> None:
        for _ in range(2000):
            line.reserve(100, 1.0)

    threads = [Thread(target=reserve, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines[0].reserve(1, 1.0) == pytest.approx(0.8 - BURST)
