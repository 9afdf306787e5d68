"""The owner's limits: set over HTTP, in force at once, kept over a restart, followed through the week's schedule."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from common.errors import NoSpace
from common.runtime.clock import ManualClock
from common.runtime.config import Config, PeerSettings
from common.runtime.kinds import ConfigError
from common.runtime.settings import load_config
from common.serving.bandwidth import Bandwidth, Rates
from common.wire.transfer import Limits
from peer.app import Peer
from peer.control.limits import FILE, OwnersLimits
from tests.support.daemon import running
from tests.support.waiting import until
from tests.support.wire import Answer, asked

MONDAY = datetime(2026, 11, 23, 7, 59, 59).timestamp()
PATH = "/api/v1/limits"


class Desk:
    """The limits of one peer, and what they act on."""

    def __init__(self, folder: Path, clock: ManualClock, **settings: Any) -> None:
        self.upload, self.download = Bandwidth(lambda _: False), Bandwidth(lambda _: False)
        self.limits = OwnersLimits(PeerSettings(**settings), folder, self.upload, self.download, clock)

    def totals(self) -> tuple[int, int]:
        return self.upload.rates.total, self.download.rates.total


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MONDAY)


@asynccontextmanager
async def peer_at(folder: Path, **settings: Any) -> AsyncIterator[tuple[Peer, int]]:
    """A running peer and its port."""
    share = folder.with_name(f"{folder.name}-share")
    share.mkdir(exist_ok=True)
    given = PeerSettings(data=str(folder), shared_directory=str(share), auto_register=False, **settings)
    peer = Peer(Config(peer=given), folder)
    async with running(peer) as served:  # type: ignore[arg-type]
        yield peer, served.port


async def call(port: int, folder: Path, method: str = "GET", body: object = None) -> Answer:
    token = (folder / "owner-token").read_text().strip()
    content = b"" if body is None else json.dumps(body).encode()
    return await asked(port, PATH, method, content, Authorization=f"Bearer {token}")


async def test_what_the_owner_sets_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with peer_at(tmp_path, upload_limit=7) as (peer, port):
        before = (await call(port, tmp_path)).json()
        assert (before["upload"], before["now"]) == (7, {"upload": 7, "download": 0, "until": None})
        wanted = {"upload": 5_000_000, "download_per_peer": 3, "lan_exempt": True}
        answer = await call(port, tmp_path, "PUT", wanted)
        assert answer.status == 200
        assert answer.json()["now"] == {"upload": 5_000_000, "download": 0, "until": None}
        assert wanted.items() <= answer.json().items()
        assert peer._uploads.bandwidth.rates == Rates(5_000_000, lan_exempt=True)
        assert peer._download.rates == Rates(per_peer=3, lan_exempt=True)
        metrics = (await asked(port, "/metrics")).body.decode()
        assert "shoal_peer_upload_limit 5e+06" in metrics
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    async with peer_at(tmp_path, upload_limit=9) as (again, _):
        assert again._uploads.bandwidth.rates == Rates(5_000_000, lan_exempt=True)


async def test_what_was_read_may_be_sent_back(tmp_path: Path) -> None:
    async with peer_at(tmp_path, upload_limit=7, limit_schedule=("00:00-12:00 up 5", "12:00-24:00 up 6")) as (_, port):
        read = (await call(port, tmp_path)).json()
        assert read["now"]["until"] is not None
        answer = (await call(port, tmp_path, "PUT", read)).json()
        assert answer == read


async def test_only_the_owner_sees_and_sets_limits(tmp_path: Path) -> None:
    async with peer_at(tmp_path) as (_, port):
        assert (await asked(port, PATH)).problem() == (401, "token_required")
        assert (await asked(port, PATH, "PUT", b"{}")).problem() == (401, "token_required")
        assert (await asked(port, PATH, "PUT", b"{}", Authorization="Bearer x")).problem() == (401, "token_invalid")
    assert not (tmp_path / FILE).exists()


BAD = (
    ({"upload": -1}, "upload"),
    ({"upload": "fast"}, "upload"),
    ({"upload": 2**60}, "2^53"),
    ({"schedule": ["Mon 08:00-18:00"]}, "'Mon 08:00-18:00'"),
    ({"schedule": ["08:00-18:00 1MB/s", "Mo 08:00-18:00 1"]}, "'mo' is no day"),
    ({"schedule": ["x" * 101]}, "schedule"),
    ({"schedule": ["08:00-18:00 1"] * 101}, "schedule"),
    ({"schedule": "08:00-18:00 1"}, "schedule"),
)


async def test_limits_that_are_none_are_refused_and_nothing_changes(tmp_path: Path) -> None:
    async with peer_at(tmp_path, upload_limit=7) as (peer, port):
        for body, told in BAD:
            answer = await call(port, tmp_path, "PUT", body)
            assert answer.problem() == (400, "invalid_body"), body
            assert told in answer.json()["detail"]
        assert peer._uploads.bandwidth.rates == Rates(7)
    assert not (tmp_path / FILE).exists()


def test_a_configured_schedule_that_is_none_stops_the_start(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(ConfigError, match=r"peer.limit_schedule: the line 'Mo 08:00-18:00 1' .*'mo' is no day"):
        Desk(tmp_path, clock, limit_schedule=("Mo 08:00-18:00 1",))


def test_limits_are_written_as_people_write_rates(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "peer:\n  upload_limit: 5MB/s\n  download_limit_per_peer: 512KiB/s\n  upload_quota_per_peer: 20GB\n"
        "  lan_exempt: true\n  limit_schedule:\n    - Mon-Fri 08:00-18:00 1MB/s\n    - 22:00-06:00 0\n"
    )
    settings = load_config(str(file), {}, {}, daemon="peer").config.peer
    assert (settings.upload_limit, settings.download_limit_per_peer, settings.lan_exempt) == (5_000_000, 524_288, True)
    assert settings.limit_schedule == ("Mon-Fri 08:00-18:00 1MB/s", "22:00-06:00 0")
    assert settings.upload_quota_per_peer == 20_000_000_000
    file.write_text("peer:\n  upload_limit: fast\n")
    with pytest.raises(ConfigError, match="upload_limit is 'fast', expected a rate such as 500kB/s"):
        load_config(str(file), {}, {}, daemon="peer")


@asynccontextmanager
async def following(desk: Desk) -> AsyncIterator[None]:
    task = asyncio.create_task(desk.limits.follow())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_schedule_is_followed(tmp_path: Path, clock: ManualClock) -> None:
    desk = Desk(tmp_path, clock, upload_limit=9, limit_schedule=("Mon-Fri 08:00-18:00 up 1MB/s",))
    assert desk.totals() == (9, 0)
    until_eight = desk.limits.current().now
    assert until_eight is not None and until_eight.until is not None
    assert until_eight.until.timestamp() == MONDAY + 1
    clock.advance(0.98)
    async with following(desk):
        clock.advance(0.02)
        await until(lambda: desk.totals() == (1_000_000, 0))


async def test_another_schedule_is_followed_as_soon_as_it_is_set(tmp_path: Path, clock: ManualClock) -> None:
    desk = Desk(tmp_path, clock)
    async with following(desk):
        await desk.limits.set(Limits(schedule=["08:00-09:00 down 5"]))
        clock.advance(0.99)
        await desk.limits.set(Limits(schedule=["08:00-09:00 down 6"]))
        clock.advance(0.01)
        await until(lambda: desk.totals() == (0, 6))


async def test_unchanged_limits_do_not_disturb_what_is_going_on(tmp_path: Path, clock: ManualClock) -> None:
    desk = Desk(tmp_path, clock, upload_limit=1000)
    line = desk.upload.line("10.0.0.1", "a")
    for _ in range(3):
        line.reserve(500, clock.monotonic())
    await desk.limits.set(Limits(upload=1000, download=5))
    assert line.reserve(1, clock.monotonic()) > 1.0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"upload": -1}', '{"schedule": ["never"]}'])
async def test_a_damaged_file_leaves_the_configured_limits(tmp_path: Path, clock: ManualClock, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    desk = Desk(tmp_path, clock, upload_limit=7)
    assert desk.totals() == (7, 0)
    await desk.limits.set(Limits(upload=8))
    assert Desk(tmp_path, clock, upload_limit=7).totals() == (8, 0)


async def test_limits_that_cannot_be_kept_are_not_set(tmp_path: Path, clock: ManualClock) -> None:
    desk = Desk(tmp_path, clock, upload_limit=7)
    (tmp_path / f"{FILE}.new").mkdir()
    with pytest.raises(NoSpace):
        await desk.limits.set(Limits(upload=8))
    assert desk.totals() == (7, 0)


async def test_what_is_kept_is_what_was_set(tmp_path: Path, clock: ManualClock) -> None:
    desk = Desk(tmp_path, clock)
    wanted = [Limits(upload=number) for number in range(20)]
    await asyncio.gather(*(desk.limits.set(limits) for limits in wanted))
    assert json.loads((tmp_path / FILE).read_bytes())["upload"] == desk.totals()[0]
