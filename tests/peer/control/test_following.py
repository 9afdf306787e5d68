"""A download of the queue told as events: each thing once, and its end with the right exit code."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from common.wire.transfer import Download, SourceProgress
from peer.control.exits import Exit
from peer.control.following import Following, Idle, Sources
from peer.downloads import events

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
FILE = "ab" * 32
QUEUED = Download(
    "0123456789abcdef", FILE, "a.bin", "/there/a.bin", 100, "queued", "", 0, False, 0, 0, 0.0, None, [], WHEN
)


def at_work(**changes: Any) -> Download:
    return replace(QUEUED, **({"state": "running"} | changes))


def source(state: str, why: str = "") -> SourceProgress:
    return SourceProgress("one", state, why, True, True, 10, 5, 3.0)


def told(*looks: Download, verbose: bool = False) -> list[events.Event]:
    following = Following("a.bin", verbose=verbose)
    return [event for look in looks for event in following.look(look)]


def test_a_download_from_its_place_in_the_line_to_its_end() -> None:
    seen = told(
        QUEUED,
        QUEUED,
        at_work(why="Looking for sources."),
        at_work(verified=40, received=50, rate=7.0, eta=9.0),
        at_work(state="verifying", verified=100, received=100),
        replace(QUEUED, state="finished", verified=100),
    )
    assert seen == [
        Idle("Waiting for its turn."),
        events.Started(FILE, 100, "/there/a.bin.abababab.part"),
        Idle("Looking for sources."),
        events.Progress(50, 100, 7.0, 9.0, 40),
        Idle("All of it is here, and is being checked."),
        events.Verified(FILE),
        events.Finished("/there/a.bin", FILE, 100),
    ]


def test_what_was_proven_before_is_taken_up() -> None:
    assert events.Resumed(40) in told(at_work(verified=40, received=40))


def test_what_was_there_already_was_never_begun() -> None:
    seen = told(replace(QUEUED, state="finished", code="already_there"))
    assert seen == [events.Finished("/there/a.bin", FILE, 100, already_there=True)]


def test_a_source_that_fails_is_told_once_for_each_reason() -> None:
    looks = [
        at_work(sources=[source("waiting", "did not answer in time")]),
        at_work(sources=[source("waiting", "did not answer in time")]),
        at_work(sources=[source("active")]),
        at_work(sources=[source("dropped", "sent what is not the file")]),
        at_work(sources=[source("busy", "has no upload slot free")]),
    ]
    failed = [event for event in told(*looks) if isinstance(event, events.SourceFailed)]
    assert [(each.outcome, each.detail) for each in failed] == [
        ("waiting", "did not answer in time"),
        ("dropped", "sent what is not the file"),
    ]


@pytest.mark.parametrize("verbose", [False, True])
def test_each_source_is_told_of_only_when_it_is_asked_for(verbose: bool) -> None:
    seen = told(at_work(sources=[source("active")]), verbose=verbose)
    assert (Sources([source("active")]) in seen) is verbose


@pytest.mark.parametrize(
    ("state", "code", "exit_code", "advice"),
    [
        ("stalled", "no_source_online", Exit.NO_SOURCE, "peer cancel 0123456789abcdef"),
        ("stalled", "disk_full", Exit.FAILED, "peer cancel"),
        ("failed", "proof_failed", Exit.PROOF_FAILED, "peer resume 0123456789abcdef"),
        ("failed", "", Exit.FAILED, "peer resume"),
        ("paused", "", Exit.FAILED, "peer resume 0123456789abcdef"),
    ],
)
def test_one_that_goes_no_further_ends_with_its_exit_code_and_what_to_do(
    state: str, code: str, exit_code: Exit, advice: str
) -> None:
    following = Following("a.bin")
    list(following.look(replace(QUEUED, state=state, code=code, why="It is so.")))
    assert following.is_over
    assert following.stop is not None
    assert following.stop.exit_code is exit_code
    assert advice in following.stop.detail


def test_one_that_somebody_else_cancelled_is_over() -> None:
    following = Following("a.bin")
    following.gone()
    assert following.is_over
    assert following.stop is not None
    assert following.stop.exit_code is Exit.FAILED
