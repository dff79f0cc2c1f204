"""Progress of one transfer, outside any plan: on a terminal as it goes, else a line a turn."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from orchestra.cli.options import GlobalOptions
from orchestra.cli.render.terminal import printable, tame
from orchestra.engine.events import Event, LogLine, Progress, Warned
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.engine.target import Report


@asynccontextmanager
async def transfers(options: GlobalOptions, *, quiet: bool) -> AsyncIterator[Report]:
    """Give where a transfer reports to; with ``quiet`` only warnings are shown."""
    with reports(options, quiet=quiet) as report:
        yield report


@contextmanager
def reports(options: GlobalOptions, *, quiet: bool) -> Iterator[Report]:
    """Do as :func:`transfers`, where there is no event loop."""
    if options.progress == "rawjson" and not quiet:
        from orchestra.cli.render.rawjson import RawJson

        yield RawJson().event
        return
    live = sys.stderr.isatty() and options.progress in {"auto", "tty"}
    shown = _Shown(live=live)
    silent = quiet or options.progress == "quiet"
    report: Callable[[Event], None] = shown.warning if silent else shown.event
    try:
        yield report
    finally:
        shown.close()


def plain_lines(events: Iterable[Event]) -> Iterator[str]:
    """Yield the lines that are shown of a build where there is no terminal."""
    last: dict[str, str] = {}
    for event in events:
        match event:
            case Progress():
                if last.get(event.subject) != event.action:
                    yield f" {printable(event.subject)}  {printable(event.action)}"
                last[event.subject] = event.action
            case LogLine():
                yield _said(event)
            case _:
                continue


def _said(line: LogLine) -> str:
    return f" {printable(line.source)} | {tame(line.text.rstrip())}"


class Told:
    """What was told by an attempt that had to begin again: none of it is told a second time."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def noting(self, report: Report) -> Report:
        """Return a report that goes on to another one, and is kept in mind."""

        def told(event: Event) -> None:
            self._events.append(_without_count(event))
            report(event)

        return told

    def rest(self, report: Report) -> Report:
        """Return a report that passes on what has not been told yet."""

        def tell(event: Event) -> None:
            if (known := _without_count(event)) in self._events:
                self._events.remove(known)
            else:
                report(event)

        return tell


def _without_count(event: Event) -> Event:
    """Return an event without how many others came before it, which is a matter of luck."""
    return replace(event, current=0) if isinstance(event, Progress) else event


class _Shown:
    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._last: dict[str, str] = {}
        self._open = False

    def warning(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._line(f"warning: {printable(event.message)}")

    def event(self, event: Event) -> None:
        match event:
            case Progress():
                self._progress(event)
            case LogLine():
                self._line(_said(event))
            case _:
                self.warning(event)

    def _progress(self, event: Progress) -> None:
        subject = printable(event.subject)
        if self._live and event.total:
            from orchestra.cli.render.tables import size_text

            sizes = f"{size_text(event.current)}/{size_text(event.total)}"
            sys.stderr.write(f"\r\x1b[K {subject}  {event.action}  {sizes}")
            sys.stderr.flush()
            self._open = True
        elif self._last.get(subject) != event.action:
            self._line(f" {subject}  {printable(event.action)}")
        self._last[subject] = event.action

    def _line(self, text: str) -> None:
        self.close()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the cursor at the beginning of a line."""
        if self._open:
            sys.stderr.write("\r\x1b[K")
            self._open = False
