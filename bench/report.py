"""How a benchmark measures and tells: rounds that alternate between us and the rival, medians, one line a figure."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

Measure = Callable[[], float]


def paired(rounds: int, *measures: Measure) -> list[list[float]]:
    """Runs the measures in turn, `rounds` times, so that what disturbs the machine disturbs all alike."""
    results: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for result, measure in zip(results, measures, strict=True):
            result.append(measure())
    return results


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of each round: what slows both in one round does not count."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def line(name: str, value: str, wanted: str, reached: bool | None = None) -> None:
    """One figure of the table."""
    mark = {True: "reached", False: "MISSED", None: ""}[reached]
    print(f"  {name:52} {value:>26}   {wanted:22} {mark}", flush=True)


def title(text: str) -> None:
    """Begins a table."""
    print(f"\n{text}", flush=True)


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Appends the seconds that the block takes."""
    began = time.perf_counter()
    yield
    into.append(time.perf_counter() - began)
