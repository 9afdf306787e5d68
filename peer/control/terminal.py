"""What a command says to a person: tables, and a bar with rate and time left. Loads rich, so it is imported late."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table
from rich.text import Text

from common.http.addresses import url_host
from common.runtime.units import format_duration, format_rate, format_size
from common.wire.files import DamagedFile, FileInfo, SearchAnswer, SharedFile
from common.wire.peer_daemon import PeerInfo
from peer.control.exits import Stop
from peer.control.output import SharedPath, shown
from peer.downloads import events
from peer.downloads.events import Event

WIDE = 100  # columns


class Terminal:
    """Tables and bars on stdout."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._bar: Bar | None = None

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

    def getting(self, name: str) -> None:
        self._bar = Bar(self._console, shown(name))

    def event(self, event: Event) -> None:
        if self._bar is not None:
            self._bar.event(event)

    def stopped(self, stop: Stop) -> None:
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
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


class Bar:
    """The progress of one fetch."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True, max_width=40)
            ),
            BarColumn(None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[size]}"),
            TextColumn("{task.fields[news]}", style="dim"),
            console=console,
        )
        self._task: TaskID = self._progress.add_task(name, total=None, size="", news="")

    def event(self, event: Event) -> None:
        """Shows what happened."""
        match event:
            case events.Started():
                self._progress.update(self._task, total=event.size, size=format_size(event.size))
                self._progress.start()
            case events.Progress():
                left = f", {format_duration(event.eta)} left" if event.eta else ""
                self._update(event.received, f"{format_rate(event.rate)}{left}")
            case events.Verifying():
                self._update(None, f"checking {format_size(event.hashed)}")
            case events.Resumed():
                self._update(event.received, "")
                self._say(f"Taking up what was begun: {format_size(event.received)} are here already.")
            case events.Waiting():
                self._update(None, f"waiting {format_duration(event.seconds)} for a source")
            case events.StartedOver():
                self._update(0, "")
                self._say(f"Starting over: {event.detail.removesuffix('.')}.")
            case events.SourceFailed():
                self._say(f"Source {shown(event.peer_id)[:16]}: {shown(event.detail).removesuffix('.')}.")
            case events.Finished():
                self._finish(event)

    def _finish(self, event: events.Finished) -> None:
        self.stop()
        what = "It is here already" if event.already_there else "Saved"
        self._say(f"{what}, {format_size(event.size)}, proven by its id: {shown(event.path)}", "bold")

    def _update(self, completed: int | None, news: str) -> None:
        self._progress.update(self._task, completed=completed, news=news)

    def _say(self, line: str, style: str = "dim") -> None:
        self._console.print(Text(line, style=style), soft_wrap=True)

    def stop(self) -> None:
        """Leaves the bar as it stands."""
        self._progress.stop()
