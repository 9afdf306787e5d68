"""Background jobs: named, supervised, backed off, stopped in reverse with a deadline.

A job may fail: it is logged and started again after 1 s, 2 s, 4 s, up to 60 s, and from 1 s again once it has been
healthy, which is to succeed or to last a minute. It may not die silently, nor hold up the stop.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Literal

from common.runtime.clock import Clock, SystemClock

log = logging.getLogger("shoal.jobs")

Work = Callable[[], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]
Interval = float | Callable[[], float]

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0


@dataclass(slots=True)
class JobState:
    """How a job fares; `last_success` is a timestamp, `failing` counts failures since then."""

    name: str
    status: Literal["new", "running", "waiting", "backing off", "stopped"] = "new"
    runs: int = 0
    failures: int = 0
    failing: int = 0
    last_success: float | None = None
    last_error: str = ""


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Returns when it is done, however often the caller is cancelled meanwhile; only then is it cancelled."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


class Jobs:
    """The jobs of one daemon. `sleep` is how they wait, for tests that do not."""

    def __init__(self, clock: Clock | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._jobs: dict[str, _Job] = {}
        self._started = False

    def every(self, name: str, interval: Interval, work: Work, *, jitter: float = 0.0, delay: float = 0.0) -> None:
        """Runs `work` again and again, `interval` seconds (give or take the share `jitter`) after it has ended.

        The first run comes after `delay` seconds. An interval that may change is given as a function.
        """

        def pause() -> float:
            seconds = interval() if callable(interval) else interval
            return seconds * random.uniform(1 - jitter, 1 + jitter)

        self._add(_Job(name, work, pause, delay, self._clock, self._sleep))

    def forever(self, name: str, work: Work) -> None:
        """Keeps `work` running; that it returns is a failure like any other."""

        def pause() -> float:
            raise RuntimeError("it ended by itself, which it is not meant to")

        self._add(_Job(name, work, pause, 0.0, self._clock, self._sleep))

    def start(self) -> None:
        """Starts the jobs in the order in which they were named; those named later start at once."""
        self._started = True
        for job in self._jobs.values():
            job.start()

    async def stop(self, deadline: float = 5.0) -> list[str]:
        """Ends the jobs, last first, within `deadline` seconds in all; returns the names of those that did not end."""
        self._started = False
        clock = asyncio.get_running_loop().time
        end = clock() + deadline
        jobs = list(reversed(self._jobs.values()))
        stuck = []
        for left, job in zip(range(len(jobs), 0, -1), jobs, strict=True):
            # Each gets its share of what is left, so one that will not end does not cost the others theirs.
            if not await job.stop((end - clock()) / left):
                stuck.append(job.state.name)
        return stuck

    def names(self) -> list[str]:
        """In the order of their start."""
        return list(self._jobs)

    def states(self) -> list[JobState]:
        """How each job fares now."""
        return [replace(job.state) for job in self._jobs.values()]

    def _add(self, job: "_Job") -> None:
        if job.state.name in self._jobs:
            raise ValueError(f"there is already a job named {job.state.name}")
        self._jobs[job.state.name] = job
        if self._started:
            job.start()


class _Job:
    """One job. `pause` says how long to wait after the work has ended, or raises if it should not have."""

    def __init__(
        self, name: str, work: Work, pause: Callable[[], float], delay: float, clock: Clock, sleep: Sleep
    ) -> None:
        self.state = JobState(name)
        self._work = work
        self._pause = pause
        self._delay = delay
        self._clock = clock
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._told_to_stop = False

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._supervise(), name=f"job {self.state.name}")
            self._task.add_done_callback(self._ended)

    async def stop(self, deadline: float) -> bool:
        """Whether it ended in time."""
        if self._task is None:
            return True
        self._told_to_stop = True
        self._task.cancel()
        await asyncio.wait((self._task,), timeout=max(deadline, 0.0))
        if not self._task.done():
            log.error("job does not stop and is left behind", extra={"job": self.state.name})
        return self._task.done()

    async def _supervise(self) -> None:
        if self._delay > 0:
            await self._wait("waiting", self._delay)
        while not _cancelled():
            pause = await self._attempt()
            if not _cancelled():
                await self._wait("backing off" if self.state.failing else "waiting", pause)

    async def _attempt(self) -> float:
        """Runs the work once, and says how long to wait before the next time."""
        self.state.status = "running"
        self.state.runs += 1
        began = self._clock.monotonic()
        try:
            await self._work()
            pause = self._pause()
        except asyncio.CancelledError as error:
            # One that nobody sent to this task leaked out of something that the work was waiting for.
            if _cancelled():
                raise
            return self._failed(error, began)
        except Exception as error:
            return self._failed(error, began)
        self.state.failing = 0
        self.state.last_success = self._clock.now()
        return pause

    def _failed(self, error: BaseException, began: float) -> float:
        state = self.state
        healthy = self._clock.monotonic() - began >= LONGEST_BACKOFF
        state.failing = 1 if healthy else state.failing + 1
        state.failures += 1
        state.last_error = f"{type(error).__name__}: {error}"[:200]
        backoff = min(FIRST_BACKOFF * 2.0 ** min(state.failing - 1, 10), LONGEST_BACKOFF)
        log.error("job failed", exc_info=error, extra={"job": state.name, "retry_in": backoff})
        return backoff

    async def _wait(self, status: Literal["waiting", "backing off"], seconds: float) -> None:
        self.state.status = status
        await self._sleep(seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.state.status = "stopped"
        error = None if task.cancelled() else task.exception()
        if error is not None or not self._told_to_stop:
            log.critical("job ended without being told to", exc_info=error, extra={"job": self.state.name})


def _cancelled() -> bool:
    """Whether the running task was told to end, whatever became of the exception that told it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
