"""The live list of steps on a terminal. Imports rich, so only a terminal pays for it."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestra.cli.render.progress import _DOING, _DONE, subject_of
from orchestra.cli.render.terminal import printable
from orchestra.engine.events import (
    Event,
    LogLine,
    Progress,
    StepDone,
    StepFailed,
    StepStarted,
    StepWaiting,
    Warned,
)

_BAR_WIDTH = 24


class _Row:
    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.status = ""
        self.mark = Text("·", style="dim")
        self.spinner: Spinner | None = None
        self.began = time.monotonic()
        self.seconds: float | None = None
        self.transfers: dict[str, tuple[int, int]] = {}

    @property
    def bar(self) -> ProgressBar | Text:
        total = sum(total for _, total in self.transfers.values())
        if not total or self.seconds is not None:
            return Text("")
        current = sum(current for current, _ in self.transfers.values())
        return ProgressBar(total=total, completed=current, width=_BAR_WIDTH)


class Live:
    """Rows of steps, each updated in place; build output scrolls above them."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._rows: dict[str, _Row] = {}
        self._live = RichLive(
            console=self._console, get_renderable=self._table, refresh_per_second=10
        )
        self._live.start()

    def show(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StepStarted():
                row = self._row(event.step)
                row.status = _DOING.get(subject_of(event.step)[0], "")
                row.spinner, row.began = Spinner("dots", style="cyan"), time.monotonic()
            case StepWaiting():
                row = self._row(event.step)
                row.status = f"Waiting for {', '.join(event.gates)}"
                row.spinner = Spinner("dots", style="yellow")
            case StepDone():
                row = self._row(event.step)
                verb = subject_of(event.step)[0]
                row.status, row.spinner = _DONE.get(verb, verb), None
                row.mark, row.seconds = Text("✔", style="green"), event.seconds
            case StepFailed():
                row = self._row(event.step)
                row.status, row.spinner = "Error", None
                row.mark, row.seconds = Text("✘", style="red"), 0.0
            case Progress():
                self._transfer(event)
            case LogLine():
                text = f"{printable(event.source)} | {printable(event.text.rstrip())}"
                self._console.print(Text(text, style="dim"))
            case Warned():
                self._console.print(Text(f"warning: {printable(event.message)}", style="yellow"))
            case _:
                return

    def close(self) -> None:
        """Finish: the list stays on the screen as it is."""
        self._live.stop()

    def _row(self, step: str) -> _Row:
        subject = subject_of(step)[1]
        return self._rows.setdefault(subject, _Row(subject))

    def _transfer(self, event: Progress) -> None:
        image, _, part = event.subject.partition(" ")
        row = self._rows.get(f"Image {printable(image)}")
        if row is not None and event.total:
            row.transfers[part or event.action] = (event.current, event.total)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for row in self._rows.values():
            ended = row.seconds is not None
            seconds = row.seconds if row.seconds is not None else time.monotonic() - row.began
            table.add_row(
                row.spinner or row.mark,
                Text(row.subject),
                row.bar,
                Text(row.status, style="green" if ended else "cyan"),
                Text(f"{seconds:.1f}s", style="dim"),
            )
        return table
