"""What is told of files that are not offered: numbers, and no more often than they change."""

import logging
from collections import Counter

import pytest

from peer.shares.omissions import Omissions
from peer.shares.share import Share

SHARES = {1: Share(1, b"/music", "music", True, True, False, False, True)}


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shoal.shares")


def test_nothing_left_out_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    omissions = Omissions()
    omissions.walked(1, Counter())
    omissions.tell(SHARES)
    assert caplog.records == []


def test_the_same_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    omissions = Omissions()
    for _ in range(3):
        omissions.begin(1)
        omissions.refused(1, "denied")
        omissions.walked(1, Counter(hidden=3))
        omissions.tell(SHARES)
    (record,) = caplog.records
    assert (record.levelno, record.share, record.hidden, record.denied) == (  # type: ignore[attr-defined]
        logging.WARNING,
        "music",
        3,
        1,
    )


def test_what_changed_is_told_again_and_is_no_warning_without_cause(caplog: pytest.LogCaptureFixture) -> None:
    omissions = Omissions()
    for hidden in (3, 4):
        omissions.walked(1, Counter(hidden=hidden))
        omissions.tell(SHARES)
    assert [(record.levelno, record.hidden) for record in caplog.records] == [  # type: ignore[attr-defined]
        (logging.INFO, 3),
        (logging.INFO, 4),
    ]
