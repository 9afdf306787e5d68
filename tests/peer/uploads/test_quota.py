"""Bytes for each address and day: what is counted, when it is refused, and what a restart leaves of it."""

from datetime import datetime
from pathlib import Path

import pytest

from common.errors import TooMany
from common.runtime.clock import ManualClock
from peer.uploads.quota import MOST_ADDRESSES, Quota, seconds_to_midnight
from peer.uploads.quota_file import NAME, QuotaFile

EVENING = datetime(2026, 11, 21, 22, 30).timestamp()
NEXT_DAY = datetime(2026, 11, 22, 0, 0, 1).timestamp()


def test_what_is_within_the_quota_is_served_and_more_is_not_until_midnight() -> None:
    quota = Quota(1000)
    quota.spend("10.0.0.1", 999, EVENING)
    quota.require("10.0.0.1", EVENING)
    quota.spend("10.0.0.1", 1, EVENING)
    with pytest.raises(TooMany, match=r"today.*midnight") as refused:
        quota.require("10.0.0.1", EVENING)
    assert (refused.value.code, refused.value.retry_after) == ("quota_exceeded", 90 * 60)
    assert quota.refused == 1
    quota.require("10.0.0.2", EVENING)
    quota.require("10.0.0.1", NEXT_DAY)


def test_without_a_quota_nothing_is_counted() -> None:
    quota = Quota(0)
    quota.spend("10.0.0.1", 10**12, EVENING)
    quota.require("10.0.0.1", EVENING)
    assert quota.kept()["spent"] == {}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_machine_is_exempt(address: str) -> None:
    quota = Quota(1)
    quota.spend(address, 10**12, EVENING)
    quota.require(address, EVENING)


def test_who_has_fetched_much_is_not_forgotten_for_the_many_who_fetched_little() -> None:
    quota = Quota(1000)
    quota.spend("10.0.0.1", 1000, EVENING)
    for number in range(MOST_ADDRESSES + 10):
        quota.spend(f"other {number}", 1, EVENING)
    assert quota.is_used_up("10.0.0.1", EVENING)
    assert len(quota.kept()["spent"]) <= MOST_ADDRESSES


def test_midnight_is_the_next_one() -> None:
    assert seconds_to_midnight(EVENING) == 90 * 60
    assert 0 < seconds_to_midnight(NEXT_DAY) <= 25 * 3600


async def test_a_restart_does_not_forget_what_was_fetched(tmp_path: Path) -> None:
    clock, quota = ManualClock(EVENING), Quota(1000)
    quota.spend("10.0.0.1", 1000, EVENING)
    await QuotaFile(quota, tmp_path, clock).save()
    assert not quota.is_changed
    again = Quota(1000)
    QuotaFile(again, tmp_path, clock).load()
    assert again.is_used_up("10.0.0.1", EVENING)
    clock.advance(7200)
    tomorrow = Quota(1000)
    QuotaFile(tomorrow, tmp_path, clock).load()
    assert not tomorrow.is_used_up("10.0.0.1", clock.now())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"day":"2026-11-21","spent":{"a":"much"}}', b'{"spent":[]}'])
async def test_a_damaged_file_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    quota, clock = Quota(1000), ManualClock(EVENING)
    file = QuotaFile(quota, tmp_path, clock)
    file.load()
    quota.spend("10.0.0.1", 1000, EVENING)
    await file.close()
    again = Quota(1000)
    QuotaFile(again, tmp_path, clock).load()
    assert again.is_used_up("10.0.0.1", EVENING)


async def test_without_a_quota_no_file_is_written(tmp_path: Path) -> None:
    quota = Quota(0)
    await QuotaFile(quota, tmp_path, ManualClock(EVENING)).close()
    assert list(tmp_path.iterdir()) == []
