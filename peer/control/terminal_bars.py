"""Fetches as a person sees them on a terminal: a bar for each that runs, with what arrived, rate and time left."""

import sys
from collections.abc import Iterable, Mapping

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from common.runtime.units import format_duration, format_rate, format_size
from common.wire.transfer import SourceProgress
from peer.control.following import Idle, Sources
from peer.control.output import shown
from peer.downloads import events
from peer.downloads.events import Event

SHORT_ID = 12  # characters
LAST = (sys.maxsize, 0)


class Ordered(Progress):
    """Its tasks by their `place`: sources below their file, and the count of all files at the end."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(sorted(self.tasks, key=lambda task: tuple(task.fields["place"])))


class Bars:
    """The progress of fetches, by key. Of several, those that are done leave a line, and one bar counts them."""

    def __init__(self, console: Console, names: Mapping[str, str]) -> None:
        self._console = console
        self._names = names
        self._numbers = {key: number for number, key in enumerate(names)}
        self._progress = Ordered(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True, max_width=40)
            ),
            BarColumn(None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[size]}"),
            TextColumn("{task.fields[news]}", style="dim"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._sources: dict[tuple[str, str], TaskID] = {}
        self._all: TaskID | None = None
        if len(names) > 1:
            self._all = self._add(f"0 of {len(names)} files", LAST, total=len(names))
        self._over = 0

    def event(self, event: Event, key: str) -> None:
        """Shows what happened."""
        match event:
            case events.Started():
                task = self._task(key)
                self._progress.update(task, total=event.size, size=format_size(event.size))
                self._progress.start()
            case events.Progress():
                left = f", {format_duration(event.eta)} left" if event.eta else ""
                on_its_way = event.received - event.verified
                proven = f", {format_size(event.verified)} proven" if event.verified and on_its_way else ""
                self._update(key, event.received, f"{format_rate(event.rate)}{left}{proven}")
            case events.Verifying():
                self._update(key, None, f"checking {format_size(event.hashed)}")
            case events.Waiting():
                self._update(key, None, f"waiting {format_duration(event.seconds)} for a source")
            case Idle():
                self._update(key, None, shown(event.detail).removesuffix("."))
            case Sources():
                self._show_sources(key, event.sources)
            case events.Finished():
                self._finish(event, key)
            case _:
                self._tell(event, key)

    def _tell(self, event: Event, key: str) -> None:
        """What leaves a line."""
        which = f"{self._names[key]}: " if len(self._names) > 1 else ""
        match event:
            case events.Resumed():
                self._update(key, event.received, "")
                self._say(f"{which}Taking up what was begun: {format_size(event.received)} are here already.")
            case events.StartedOver():
                self._update(key, 0, "")
                self._say(f"{which}Starting over: {event.detail.removesuffix('.')}.")
            case events.SourceFailed():
                self._say(f"{which}Source {shown(event.peer_id)[:16]}: {shown(event.detail).removesuffix('.')}.")

    def _task(self, key: str) -> TaskID:
        if key not in self._tasks:
            self._tasks[key] = self._add(self._names[key], (self._numbers[key], 0))
        return self._tasks[key]

    def _add(self, description: str, place: tuple[int, int], total: float | None = None) -> TaskID:
        return self._progress.add_task(description, total=total, size="", news="", place=place)

    def _show_sources(self, key: str, sources: list[SourceProgress]) -> None:
        for source in sources:
            if (key, source.peer_id) not in self._sources:
                way = "direct" if source.direct else "relayed"
                name = f"  {shown(source.peer_id)[:SHORT_ID]} {way}"
                self._sources[key, source.peer_id] = self._add(name, (self._numbers[key], len(self._sources) + 1))
            doing = format_rate(source.rate) if source.state == "active" else source.state
            why = "" if source.state == "active" else f": {shown(source.why).removesuffix('.')}" if source.why else ""
            total = self._progress.tasks[self._progress.task_ids.index(self._task(key))].total
            self._progress.update(
                self._sources[key, source.peer_id],
                total=total,
                completed=source.verified,
                size=format_size(source.verified),
                news=f"{doing}{why}",
            )

    def _finish(self, event: events.Finished, key: str) -> None:
        self.over(key)
        what = "It is here already" if event.already_there else "Saved"
        self._say(f"{what}, {format_size(event.size)}, proven by its id: {shown(event.path)}", "bold")

    def over(self, key: str) -> None:
        """It is at its end, well or not. Of a single one the bar stays as it stands."""
        for kept in [kept for kept in self._sources if kept[0] == key]:
            self._progress.remove_task(self._sources.pop(kept))
        if self._all is None:
            self.stop()
            return
        if key in self._tasks:
            self._progress.remove_task(self._tasks.pop(key))
        self._over += 1
        self._progress.update(self._all, completed=self._over, description=f"{self._over} of {len(self._names)} files")
        if self._over == len(self._names):
            self.stop()

    def _update(self, key: str, completed: int | None, news: str) -> None:
        self._progress.update(self._task(key), completed=completed, news=news)

    def _say(self, line: str, style: str = "dim") -> None:
        self._console.print(Text(line, style=style), soft_wrap=True)

    def failed(self, name: str, detail: str, key: str) -> None:
        """One of several is not to be had."""
        self._say(f"{name}: {shown(detail)}", "bold")
        if key:
            self.over(key)

    def stop(self) -> None:
        """Leaves the bars as they stand."""
        self._progress.stop()
