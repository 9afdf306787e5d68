"""Jobs run as often as they should, come back after failures, end when told. Nothing here waits for time to pass."""

import asyncio
import logging

import pytest

from common.runtime.clock import ManualClock
from common.runtime.tasks import LONGEST_BACKOFF, Jobs, to_the_end


class Sleeps:
    """Stands in for asyncio.sleep: whoever sleeps is held until the test has seen for how long."""

    def __init__(self, clock):
        self.clock = clock
        self._asked = asyncio.Queue()

    async def __call__(self, seconds):
        over = asyncio.Event()
        self._asked.put_nowait((seconds, over))
        await over.wait()

    async def asked(self):
        """The next wait that begins, left waiting: (seconds, event that ends it)."""
        return await self._asked.get()

    async def pass_one(self):
        """Lets the next wait be over and returns its seconds."""
        seconds, over = await self.asked()
        self.clock.advance(seconds)
        over.set()
        return seconds


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def sleeps(clock):
    return Sleeps(clock)


@pytest.fixture
async def jobs(clock, sleeps):
    jobs = Jobs(clock, sleeps)
    yield jobs
    assert await jobs.stop() == []


def the(jobs, name):
    (state,) = [state for state in jobs.states() if state.name == name]
    return state


async def nothing():
    pass


async def endless():
    await asyncio.Event().wait()


async def test_a_periodic_job_runs_at_once_and_again_after_each_interval(jobs, sleeps):
    runs = []

    async def work():
        runs.append(len(runs))

    jobs.every("count", 30.0, work)
    jobs.start()
    assert [await sleeps.pass_one() for _ in range(3)] == [30.0, 30.0, 30.0]
    await sleeps.asked()
    assert runs == [0, 1, 2, 3]


async def test_a_delay_comes_before_the_first_run(jobs, sleeps):
    jobs.every("sweep", 30.0, nothing, delay=5.0)
    jobs.start()
    seconds, over = await sleeps.asked()
    assert (seconds, the(jobs, "sweep").runs, the(jobs, "sweep").status) == (5.0, 0, "waiting")
    over.set()
    await sleeps.asked()
    assert the(jobs, "sweep").runs == 1


async def test_an_interval_may_change_from_run_to_run(jobs, sleeps):
    intervals = iter([30.0, 10.0])
    jobs.every("heartbeat", lambda: next(intervals), nothing)
    jobs.start()
    assert [await sleeps.pass_one(), await sleeps.pass_one()] == [30.0, 10.0]


async def test_jitter_spreads_the_interval_by_its_share(jobs, sleeps):
    jobs.every("spread", 100.0, nothing, jitter=0.1)
    jobs.start()
    waits = [await sleeps.pass_one() for _ in range(50)]
    assert all(90.0 <= wait <= 110.0 for wait in waits)
    assert len(set(waits)) > 1


async def test_failures_back_off_from_one_second_to_a_minute_and_are_logged(jobs, sleeps, caplog):
    async def work():
        raise ValueError("no luck")

    jobs.every("unlucky", 30.0, work)
    with caplog.at_level(logging.ERROR):
        jobs.start()
        waits = [await sleeps.pass_one() for _ in range(9)]
        await sleeps.asked()
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    state = the(jobs, "unlucky")
    assert (state.status, state.runs, state.failures, state.failing) == ("backing off", 10, 10, 10)
    assert state.last_error == "ValueError: no luck" and state.last_success is None
    first = next(entry for entry in caplog.records if entry.name == "shoal.jobs")
    assert (first.getMessage(), first.job, first.retry_in) == ("job failed", "unlucky", 1.0)
    assert isinstance(first.exc_info[1], ValueError)


async def test_a_success_ends_the_back_off(jobs, sleeps, clock):
    ends = iter([ValueError("a"), ValueError("b"), None, ValueError("c")])

    async def work():
        if error := next(ends):
            raise error

    jobs.every("shaky", 30.0, work)
    jobs.start()
    assert [await sleeps.pass_one() for _ in range(3)] == [1.0, 2.0, 30.0]
    assert (await sleeps.asked())[0] == 1.0
    assert the(jobs, "shaky").last_success == clock.now() - 30.0
    assert (the(jobs, "shaky").failures, the(jobs, "shaky").failing) == (3, 1)


async def test_an_endless_job_that_returns_has_failed(jobs, sleeps):
    jobs.forever("watch", nothing)
    jobs.start()
    assert [await sleeps.pass_one(), await sleeps.pass_one()] == [1.0, 2.0]
    assert "ended by itself" in the(jobs, "watch").last_error


async def test_an_endless_job_that_lasted_a_minute_starts_its_back_off_anew(jobs, sleeps, clock):
    lasts = iter([0.0, 0.0, LONGEST_BACKOFF, 0.0])

    async def work():
        clock.advance(next(lasts))
        raise OSError("gone")

    jobs.forever("line", work)
    jobs.start()
    assert [await sleeps.pass_one() for _ in range(4)] == [1.0, 2.0, 1.0, 2.0]
    await sleeps.asked()


async def test_a_cancellation_that_leaks_out_of_the_work_does_not_end_the_job(jobs, sleeps):
    async def work():
        inner = asyncio.ensure_future(endless())
        inner.cancel()
        await inner

    jobs.every("leaky", 30.0, work)
    jobs.start()
    assert [await sleeps.pass_one(), await sleeps.pass_one()] == [1.0, 2.0]
    assert the(jobs, "leaky").last_error.startswith("CancelledError")


async def test_a_timeout_within_the_work_is_a_failure_like_any_other(jobs, sleeps):
    async def work():
        async with asyncio.timeout(0):
            await endless()

    jobs.every("slow", 30.0, work)
    jobs.start()
    assert await sleeps.pass_one() == 1.0
    assert the(jobs, "slow").last_error.startswith("TimeoutError")


async def test_an_interval_that_cannot_be_told_is_a_failure_too(jobs, sleeps):
    jobs.every("lost", lambda: 1 / 0, nothing)
    jobs.start()
    assert await sleeps.pass_one() == 1.0
    assert the(jobs, "lost").last_error.startswith("ZeroDivisionError")


async def test_a_job_that_cannot_even_be_supervised_does_not_die_silently(clock, caplog):
    tried = asyncio.Event()

    async def broken(seconds):
        tried.set()
        raise RuntimeError("no more time")

    jobs = Jobs(clock, broken)
    jobs.every("doomed", 1.0, nothing)
    jobs.start()
    await tried.wait()
    await asyncio.sleep(0)
    assert the(jobs, "doomed").status == "stopped"
    (entry,) = [entry for entry in caplog.records if entry.levelno == logging.CRITICAL]
    assert (entry.job, str(entry.exc_info[1])) == ("doomed", "no more time")
    assert await jobs.stop() == []


async def test_jobs_end_in_the_reverse_of_their_order(jobs):
    ended = []

    def work(name):
        async def run():
            try:
                await endless()
            finally:
                await asyncio.sleep(0)
                ended.append(name)

        return run

    for name in ("first", "second", "third"):
        jobs.forever(name, work(name))
    jobs.start()
    await asyncio.sleep(0)
    assert [state.status for state in jobs.states()] == ["running"] * 3
    assert await jobs.stop() == []
    assert ended == ["third", "second", "first"]
    assert [state.status for state in jobs.states()] == ["stopped"] * 3


async def test_a_job_ends_in_the_middle_of_its_wait_and_of_its_back_off(jobs, sleeps):
    async def work():
        raise ValueError

    jobs.every("waiting", 3600.0, nothing)
    jobs.every("failing", 3600.0, work)
    jobs.start()
    await sleeps.asked()
    await sleeps.asked()
    assert await jobs.stop() == []
    assert [state.status for state in jobs.states()] == ["stopped", "stopped"]


async def test_a_job_that_will_not_end_costs_its_share_of_the_deadline_and_is_named(clock, sleeps, caplog):
    release = asyncio.Event()
    ended = []

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def polite():
        try:
            await endless()
        finally:
            for _ in range(20):  # more turns of the loop than a wait of no time at all has
                await asyncio.sleep(0)
            ended.append("polite")

    jobs = Jobs(clock, sleeps)
    jobs.forever("polite", polite)
    jobs.forever("stubborn", stubborn)
    jobs.start()
    await asyncio.sleep(0)
    stuck = await jobs.stop(deadline=0.4)
    release.set()  # before anything can fail: what does not end would hold up the end of the test too
    assert (stuck, ended) == (["stubborn"], ["polite"])
    assert "job does not stop" in caplog.text
    assert await jobs.stop() == []


async def test_a_job_that_swallows_its_cancellation_but_returns_is_not_run_again(clock, sleeps):
    runs = []

    async def work():
        runs.append(1)
        try:
            await endless()
        except asyncio.CancelledError:
            return

    jobs = Jobs(clock, sleeps)
    jobs.every("swallows", 0.0, work)
    jobs.start()
    await asyncio.sleep(0)
    assert await jobs.stop() == []
    assert runs == [1]


async def test_a_job_that_fails_while_it_ends_is_logged_and_ends(clock, sleeps, caplog):
    async def work():
        try:
            await endless()
        finally:
            raise OSError("disk full")

    jobs = Jobs(clock, sleeps)
    jobs.forever("untidy", work)
    jobs.start()
    await asyncio.sleep(0)
    assert await jobs.stop() == []
    assert the(jobs, "untidy").last_error == "OSError: disk full"
    assert "job failed" in caplog.text


async def test_jobs_that_were_never_started_stop_too(jobs):
    jobs.forever("idle", endless)
    assert await jobs.stop() == []
    assert await Jobs().stop() == []


async def test_a_job_named_after_the_start_begins_at_once(jobs, sleeps):
    jobs.start()
    jobs.every("late", 7.0, nothing)
    assert await sleeps.pass_one() == 7.0


async def test_starting_twice_starts_nothing_twice(jobs, sleeps):
    jobs.every("once", 30.0, nothing)
    jobs.start()
    jobs.start()
    await sleeps.asked()
    assert the(jobs, "once").runs == 1


async def test_a_name_belongs_to_one_job(jobs):
    jobs.every("same", 1.0, nothing)
    with pytest.raises(ValueError, match="already a job named same"):
        jobs.forever("same", endless)
    assert jobs.names() == ["same"]


async def test_states_are_copies(jobs, sleeps):
    jobs.every("copied", 1.0, nothing)
    (before,) = jobs.states()
    jobs.start()
    await sleeps.asked()
    assert (before.runs, the(jobs, "copied").runs) == (0, 1)


def test_a_loop_that_ends_without_a_stop_takes_its_jobs_along(caplog):
    async def main():
        jobs = Jobs()
        jobs.forever("orphan", endless)
        jobs.start()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert "job ended without being told to" in caplog.text


async def test_what_must_come_to_its_end_does_however_often_it_is_stopped():
    release, done = asyncio.Event(), []

    async def work():
        await release.wait()
        done.append(True)

    task = asyncio.create_task(to_the_end(work()))
    for _ in range(5):
        await asyncio.sleep(0)
        task.cancel()
    assert not task.done()
    release.set()
    await asyncio.wait([task])
    assert done
    assert task.cancelled()


async def test_what_fails_at_its_end_says_so():
    async def work():
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        await to_the_end(work())
