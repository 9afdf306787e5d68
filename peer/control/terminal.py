"""What a command says to a person: tables, and a bar with rate and time left. Loads rich, so it is imported late."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from common.http.addresses import url_host
from common.runtime.units import format_duration, format_rate, format_size
from common.wire.cache import Cache
from common.wire.files import DamagedFile, FileInfo, SearchAnswer, SharedFile
from common.wire.peer_daemon import PeerInfo
from common.wire.transfer import Download, Limits
from peer.control.exits import Stop
from peer.control.output import SharedPath, shown
from peer.control.terminal_bars import Bars
from peer.downloads.events import Event

WIDE = 100  # columns


class Terminal:
    """Tables and bars on stdout."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._bars: Bars | None = None

    def results(self, answer: SearchAnswer, nothing: str) -> None:
        if not answer.results:
            self.note(nothing)
            return
        self._files(answer.results)
        more = answer.total - answer.count
        if more > 0:
            least = "" if answer.total_exact else "at least "
            self._console.print(Text(f"{least}{more} more fit: say more words, or --limit N.", style="dim"))

    def note(self, text: str) -> None:
        self._console.print(Text(text))

    def choices(self, found: Sequence[FileInfo]) -> None:
        self._files(found)

    def _files(self, found: Sequence[FileInfo]) -> None:
        table = self._table("Name", "Size", "From", "Kind", "Tags")
        for info in found:
            self._row(table, info, str(info.sources))
        self._console.print(table)

    def shared(self, files: Sequence[SharedFile]) -> None:
        if not files:
            self._console.print("Nothing is shared. Share a file or a folder with `peer share PATH`.")
            return
        table = self._table("Name", "Size", "Sent", "Kind", "Tags")
        for file in files:
            self._row(table, file, str(file.downloads))
        self._console.print(table)

    def _table(self, *titles: str) -> Table:
        """The last two columns are for wide terminals; a name has its id below it, so that it can be copied."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(titles[0], min_width=64, overflow="fold")
        for title in titles[1 : 5 if self._console.width >= WIDE else 3]:
            table.add_column(title, justify="right" if title in titles[1:3] else "left")
        return table

    def _row(self, table: Table, file: FileInfo | SharedFile, count: str) -> None:
        name = Text.assemble((shown(file.filename), "bold"), "\n", (shown(file.id), "dim"))
        cells = [format_size(file.size), count, shown(file.category), shown(", ".join(file.tags))]
        table.add_row(name, *map(Text, cells[: len(table.columns) - 1]))

    def status(self, info: PeerInfo, shares: Sequence[SharedPath] | str, damaged: Sequence[DamagedFile]) -> None:
        """A peer in a few lines."""
        seen = info.last_heartbeat.astimezone().strftime("%Y-%m-%d %H:%M:%S") if info.last_heartbeat else "none yet"
        registered = "registered" if info.is_registered else "not registered"
        down, up = info.download_stats, info.upload_stats
        lines = {
            "Peer": shown(info.name),
            "Id": shown(info.id),
            "Address": shown(f"{url_host(info.address)}:{info.port}"),
            "Super-peer": shown(f"{info.config.super_peer_address} ({registered})"),
            **({"Trouble": shown(info.trouble)} if info.trouble else {}),
            "Last heartbeat": seen,
            "Shared files": str(info.shared_files),
            "Shared paths": _listed(shares),
            **({"Damaged": _damaged(damaged)} if damaged else {}),
            "Uploads": f"{up.active_uploads} now, {up.total_uploads} in all, {format_size(up.total_bytes)}",
            "Downloads": f"{down.active_downloads} now, {down.total_downloads} in all, {format_size(down.total_bytes)}",
        }
        table = Table(Column(style="dim"), Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
        for title, value in lines.items():
            table.add_row(title, Text(value))
        self._console.print(table)

    def answered(self, answer: Mapping[str, Any], told: str) -> None:
        self._console.print(Text(told), soft_wrap=True)  # not cut: it is there to be copied

    def downloads(self, found: Sequence[Download], left_out: int) -> None:
        if not found:
            self.note("Nothing is being fetched. `peer get ID|NAME` begins.")
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("Name", min_width=32, overflow="fold")
        for title in ("State", "Done", "Size", "Rate", "Left"):
            table.add_column(title, justify="left" if title == "State" else "right", no_wrap=True)
        for download in found:
            table.add_row(*map(_as_text, download_row(download)))
        self._console.print(table)
        if left_out:
            self._console.print(Text(f"{left_out} more are finished: --all lists them.", style="dim"))

    def cached(self, cache: Cache) -> None:
        if not cache.entries:
            self.note("Nothing is offered on." if cache.cap else "Nothing is offered on: the configuration says so.")
            return
        table = self._table("Name, used last first", "Size")
        for file in cache.entries:
            table.add_row(_as_text(f"{shown(file.filename)}\n{shown(file.id)}"), format_size(file.size))
        self._console.print(table)
        count = f"{cache.count} {'file' if cache.count == 1 else 'files'}"
        told = f"{count}, {format_size(cache.bytes)} of at most {format_size(cache.cap)}"
        self._console.print(Text(told, style="dim"))

    def limits(self, limits: Limits) -> None:
        table = Table(Column(style="dim"), Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
        for title, value in limit_lines(limits).items():
            table.add_row(title, Text(value))
        self._console.print(table)

    def begin(self, names: Mapping[str, str], in_queue: bool) -> None:
        self._bars = Bars(self._console, names)

    def event(self, event: Event, key: str) -> None:
        if self._bars is not None:
            self._bars.event(event, key)

    def failed(self, name: str, stop: Stop, key: str = "") -> None:
        if self._bars is not None:
            self._bars.failed(name, stop.detail, key)
        else:
            self.note(f"{name}: {stop.detail}")

    def stopped(self, stop: Stop) -> None:
        self.close()

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        sys.stdout.flush()


def _listed(shares: Sequence[SharedPath] | str) -> str:
    """A line for each path, as `peer unshare` takes it."""
    if isinstance(shares, str):
        return shown(shares)
    lines = []
    for share in shares:
        files = "1 file" if share.files == 1 else f"{share.files} files"
        why = f": {share.why}" if share.why else ""
        lines.append(shown(f"{share.path} ({files}, {share.state}{why})"))
    return "\n".join(lines) or "none"


def _damaged(files: Sequence[DamagedFile]) -> str:
    """What the disk has lost, with why and what to do below each path."""
    return "\n".join(f"{shown(file.path)}\n  {shown(file.why)} {shown(file.advice)}" for file in files)


def download_row(download: Download) -> list[str]:
    """Name with id and what keeps it below, state, share that is there, size, rate, time left."""
    name = f"{shown(download.filename)}\n{download.id}" + (f"\n{shown(download.why)}" if download.why else "")
    part = 100 * download.verified // download.size if download.size else 100
    done = 100 if download.state == "finished" else min(part, 99)
    rate = format_rate(download.rate) if download.state == "running" and download.rate else ""
    left = format_duration(download.eta) if download.state == "running" and download.eta is not None else ""
    return [name, download.state, f"{done} %", format_size(download.size), rate, left]


def _as_text(cell: str) -> Text:
    """The first line stands out, the others do not."""
    first, newline, rest = cell.partition("\n")
    return Text.assemble((first, "bold"), newline, (rest, "dim")) if newline else Text(cell)


def limit_lines(limits: Limits) -> dict[str, str]:
    """Each limit by what it is about."""
    lines = {}
    for direction in ("upload", "download"):
        for title, name in (
            ("", ""),
            (", to one address" if direction == "upload" else ", from one address", "_per_peer"),
        ):
            lines[f"{direction.capitalize()}{title}"] = _rate(getattr(limits, f"{direction}{name}"))
        lines[f"{direction.capitalize()}, one file"] = _rate(getattr(limits, f"{direction}_per_transfer"))
    lines["Private networks"] = "do not count" if limits.lan_exempt else "count"
    lines["Schedule"] = "\n".join(map(shown, limits.schedule)) or "none"
    if limits.now is not None:
        until = f", until {limits.now.until.astimezone():%Y-%m-%d %H:%M}" if limits.now.until else ""
        lines["Now"] = f"upload {_rate(limits.now.upload)}, download {_rate(limits.now.download)}{until}"
    return lines


def _rate(rate: int) -> str:
    return format_rate(rate) if rate else "no limit"
