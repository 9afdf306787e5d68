"""What is thought of a peer as a source, from what downloaders report: 0 to 100, and how fast it was. Pure.

Reports are weak evidence, and identities cost nothing. So a reporter has one opinion of a source, whose weight hardly
grows with what it reports; all opinions from one network together weigh no more than MOST_OF_NETWORK; those
far from what most weight holds hardly count; programs without a key weigh little; all of it fades. Time is wall time.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import NamedTuple

from common.http.addresses import canonical
from common.wire.transfer import Outcome

NEUTRAL = 50
HALF_LIFE = 7 * 86_400.0  # seconds
FORGOTTEN = 90 * 86_400.0
PRIOR = 4.0  # of good, and as much of bad, before anybody has said anything
MOST_OF_REPORTER = MOST_OF_NETWORK = 3.0
UNVERIFIED = 0.25
FAR, FAR_WEIGHT, CROWD = 0.35, 0.1, 3  # from the median, where so many networks have spoken
SMOOTHING = 0.3
SHORTEST, LEAST_BYTES = 0.05, 256 * 1024  # what is quicker or smaller says nothing of a speed
FASTEST = 1e11  # bytes a second

# Being busy is no malice; bytes that are not the file's are.
_WORTH: dict[Outcome, tuple[float, float]] = {
    "ok": (1.0, 0.0),
    "refused": (0.0, 0.25),
    "timeout": (0.0, 1.0),
    "corrupt": (0.0, 5.0),
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one reporter has seen of one source: good and bad as they stood `at` that time, bytes a second if any."""

    address: str
    verified: bool
    good: float
    bad: float
    speed: float | None
    at: float


class Standing(NamedTuple):
    """A peer as a source: 0 to 100, and bytes a second where it was measured."""

    reputation: int = NEUTRAL
    speed: float | None = None


NEW = Standing()


def after(before: Opinion | None, blank: Opinion, outcome: Outcome, count: int, seconds: float) -> Opinion:
    """An opinion after one more report of `count` bytes in `seconds`; `blank` says who reports, from where and when."""
    good, bad = _WORTH[outcome]
    faded = _faded(before, blank.at) if before else blank
    speed = _smoothed(faded.speed, count, seconds) if outcome == "ok" else faded.speed
    return replace(blank, good=faded.good + good, bad=faded.bad + bad, speed=speed)


def _faded(opinion: Opinion, now: float) -> Opinion:
    left = 0.5 ** (max(0.0, now - opinion.at) / HALF_LIFE)
    return replace(opinion, good=opinion.good * left, bad=opinion.bad * left)


def _smoothed(before: float | None, count: int, seconds: float) -> float | None:
    if count < LEAST_BYTES or seconds < SHORTEST:
        return before
    measured = min(FASTEST, count / seconds)
    return measured if before is None else before + SMOOTHING * (measured - before)


def standing(opinions: Iterable[Opinion], now: float) -> Standing:
    """What all of them come to."""
    faded = [_faded(opinion, now) for opinion in opinions]
    if not faded:
        return NEW
    return Standing(round(100 * _score(faded)), _speed(faded))


def _score(opinions: Sequence[Opinion]) -> float:
    """The mean of what was thought, each as weighty as it deserves, between as much prior good and bad."""
    heard = [(_weight(opinion), _share(opinion), network(opinion.address)) for opinion in opinions]
    in_all: dict[str, float] = defaultdict(float)
    for weight, _, where in heard:
        in_all[where] += weight
    weighed = [(weight * min(1.0, MOST_OF_NETWORK / (in_all[where] or 1.0)), share) for weight, share, where in heard]
    if len(in_all) >= CROWD:
        middle = _median([(share, weight) for weight, share in weighed])
        weighed = [(w * FAR_WEIGHT if abs(share - middle) > FAR else w, share) for w, share in weighed]
    total = sum(weight for weight, _ in weighed)
    return (PRIOR + sum(weight * share for weight, share in weighed)) / (2 * PRIOR + total)


def _weight(opinion: Opinion) -> float:
    seen = opinion.good + opinion.bad
    return MOST_OF_REPORTER * seen / (seen + 1.0) * (1.0 if opinion.verified else UNVERIFIED)


def _share(opinion: Opinion) -> float:
    seen = opinion.good + opinion.bad
    return opinion.good / seen if seen else 0.5


def _speed(opinions: Sequence[Opinion]) -> float | None:
    """The median of what was measured, each network counted once; programs without a key only where nobody else did."""
    measured = [o for o in opinions if o.speed is not None]
    believed = [o for o in measured if o.verified] or measured
    of_network: dict[str, float] = {}
    for opinion in sorted(believed, key=lambda o: o.at):
        of_network[network(opinion.address)] = opinion.speed or 0.0  # the latest
    return _median([(speed, 1.0) for speed in of_network.values()]) if of_network else None


def _median(weighed: Iterable[tuple[float, float]]) -> float:
    """The value with half the weight on either side; of (value, weight)."""
    ordered = sorted(weighed)
    half, passed = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        passed += weight
        if passed >= half:
            return value
    return ordered[-1][0]


def network(address: str) -> str:
    """What an address shares with its neighbours, who may all be one: a /24 or a /48."""
    try:
        known = canonical(address)
    except ValueError:
        return address
    bits, kept = (32, 24) if isinstance(known, IPv4Address) else (128, 48)
    return f"{known.version}:{int(known) >> (bits - kept):x}"


def may_rate(reporter: str, source: str) -> bool:
    """Whether what a peer at one address says of another counts: none rates its own machine's, unless all are on it."""
    try:
        return reporter != source or canonical(reporter).is_loopback
    except ValueError:
        return reporter != source


def least_worth(opinions: dict[int, Opinion]) -> int:
    """Of the opinions by reporter, whose goes when there are too many: the oldest of the network with most of them."""
    where = {n: network(opinion.address) for n, opinion in opinions.items()}
    counts: dict[str, int] = defaultdict(int)
    for each in where.values():
        counts[each] += 1
    return max(opinions, key=lambda n: (counts[where[n]], -opinions[n].at))
