"""Bars, tables and lines of downloads for a person: each file once, its sources below it."""

import io
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from rich.console import Console

from common.wire.transfer import Download, Limits, LimitsInForce, SourceProgress
from peer.control.exits import Exit, Stop
from peer.control.following import Idle, Sources
from peer.control.terminal import download_row, limit_lines
from peer.control.terminal_bars import Bars
from peer.downloads import events

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
FILE = "ab" * 32
ONE = Download(
    "0123456789abcdef", FILE, "a\x1b[2J.bin", "/a", 1000, "running", "", 0, False, 500, 600, 7.0, 9.0, [], WHEN
)


def seen(bars: Bars) -> list[str]:
    """What is drawn now."""
    console = Console(file=io.StringIO(), width=100, color_system=None)
    for table in bars._progress.get_renderables():
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def bars_for(*names: str) -> tuple[Bars, io.StringIO]:
    out = io.StringIO()
    return Bars(Console(file=out, width=100), {str(at): name for at, name in enumerate(names)}), out


def source(peer_id: str, state: str = "active", *, direct: bool = True, why: str = "") -> SourceProgress:
    return SourceProgress(peer_id, state, why, True, direct, 300, 200, 3000.0)


def test_sources_stand_below_their_file_and_the_count_at_the_end() -> None:
    bars, _ = bars_for("a.bin", "b.bin")
    for key in ("0", "1"):
        bars.event(events.Started(FILE, 1000, "part"), key)
    bars.event(Sources([source("sourceofb")]), "1")
    bars.event(Sources([source("sourceofa", "busy", direct=False, why="has no upload slot free")]), "0")
    lines = seen(bars)
    assert [line.split()[0] for line in lines] == ["a.bin", "sourceofa", "b.bin", "sourceofb", "0"]
    assert "relayed" in lines[1]
    assert "busy: has no upload slot free" in lines[1]
    assert "direct" in lines[3]
    assert "3.0 kB/s" in lines[3]
    bars.stop()


def test_of_several_those_that_are_over_leave_a_line() -> None:
    bars, out = bars_for("a.bin", "b.bin", "c.bin")
    bars.event(events.Started(FILE, 1000, "part"), "0")
    bars.event(events.Finished("/there/a.bin", FILE, 1000), "0")
    bars.failed("b.bin", "Nobody has it.", "1")
    (line,) = seen(bars)
    assert line.startswith("2 of 3 files")
    bars.event(events.Finished("/there/c.bin", FILE, 1000, already_there=True), "2")
    assert "Saved, 1.0 kB, proven by its id: /there/a.bin" in out.getvalue()
    assert "b.bin: Nobody has it." in out.getvalue()
    assert "It is here already, 1.0 kB" in out.getvalue()


def test_what_arrived_is_told_apart_from_what_is_proven() -> None:
    bars, _ = bars_for("a.bin")
    bars.event(events.Started(FILE, 1000, "part"), "0")
    bars.event(events.Progress(500, 1000, 3000.0, 42.0, 250), "0")
    assert "50% 1.0 kB 3.0 kB/s, 42s left, 250 B proven" in seen(bars)[0]
    bars.event(events.Progress(1000, 1000, 3000.0, 0.0, 1000), "0")
    assert seen(bars)[0].endswith("100% 1.0 kB 3.0 kB/s")
    bars.stop()


def test_why_nothing_comes_stands_beside_the_bar() -> None:
    bars, _ = bars_for("a.bin")
    bars.event(events.Started(FILE, 1000, "part"), "0")
    bars.event(Idle("Waiting: the source \x1b[2J is busy."), "0")
    assert "is busy" in seen(bars)[0]
    assert "\x1b" not in seen(bars)[0]
    bars.stop()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["running", "50 %", "1.0 kB", "7 B/s", "9s"]),
        ({"verified": 1000}, ["running", "99 %", "1.0 kB", "7 B/s", "9s"]),
        ({"state": "finished", "verified": 1000}, ["finished", "100 %", "1.0 kB", "", ""]),
        ({"state": "stalled", "rate": 0.0, "eta": None}, ["stalled", "50 %", "1.0 kB", "", ""]),
        ({"size": 0, "state": "queued"}, ["queued", "99 %", "0 B", "", ""]),
    ],
)
def test_a_download_in_one_row(changes: dict[str, object], expected: list[str]) -> None:
    name, *cells = download_row(replace(ONE, **changes))
    assert cells == expected
    assert "\x1b" not in name
    assert ONE.id in name


def test_limits_in_words() -> None:
    now = LimitsInForce(0, 1_000_000, WHEN)
    lines = limit_lines(Limits(upload=2_000_000, lan_exempt=True, schedule=["Mon 08:00-09:00 1MB/s"], now=now))
    assert lines["Upload"] == "2.0 MB/s"
    assert lines["Download, one file"] == "no limit"
    assert lines["Private networks"] == "do not count"
    assert lines["Schedule"] == "Mon 08:00-09:00 1MB/s"
    assert lines["Now"].startswith("upload no limit, download 1.0 MB/s, until 2026-01-0")


def test_what_failed_before_anything_began_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    from peer.control.terminal import Terminal

    terminal = Terminal()
    terminal.failed("gone.txt", Stop(Exit.NOT_FOUND, "file_not_found", "Nobody has it."))
    terminal.close()
    assert "gone.txt: Nobody has it." in capsys.readouterr().out
