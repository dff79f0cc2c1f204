"""Steps as they happen, on stderr: a live list on a terminal, one line a step elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from orchestra.cli.options import GlobalOptions
from orchestra.cli.render.terminal import printable, wants_colour
from orchestra.engine.events import (
    Event,
    EventBus,
    LogLine,
    Progress,
    StepDone,
    StepFailed,
    StepStarted,
    StepWaiting,
    Warned,
)
from orchestra.errors import UsageError

_NOUNS = {"image": "Image", "network": "Network", "volume": "Volume", "container": "Container"}
_DOING = {
    "pull": "Pulling",
    "build": "Building",
    "create": "Creating",
    "start": "Starting",
    "stop": "Stopping",
    "remove": "Removing",
    "pause": "Pausing",
    "unpause": "Unpausing",
}
_DONE = {
    "pull": "Pulled",
    "build": "Built",
    "create": "Created",
    "start": "Started",
    "stop": "Stopped",
    "remove": "Removed",
    "pause": "Paused",
    "unpause": "Unpaused",
}
MODES = ("auto", "tty", "plain", "json", "quiet")


def subject_of(step: str) -> tuple[str, str]:
    """Split a step's id into its verb and what people call its subject ("Container shop-db-1")."""
    verb, _, rest = step.partition(" ")
    noun, _, name = rest.partition(":")
    return verb, f"{_NOUNS.get(noun, noun)} {printable(name)}"


class Renderer(Protocol):
    """Shows events; ``close`` leaves the terminal as a reader wants to find it."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


@asynccontextmanager
async def progress(
    bus: EventBus, options: GlobalOptions, *, quiet_transfers: bool = False
) -> AsyncIterator[None]:
    """Render what is published on the bus while the block runs.

    :raises UsageError: when there is no such ``--progress`` mode.
    """
    import anyio

    renderer = renderer_of(options)
    with bus.subscribe() as events:
        async with anyio.create_task_group() as tasks:

            async def follow() -> None:
                async for event in events:
                    if not (quiet_transfers and isinstance(event, Progress)):
                        renderer.show(event)

            tasks.start_soon(follow)
            try:
                yield
            finally:
                while events.statistics().current_buffer_used:
                    renderer.show(events.receive_nowait())
                tasks.cancel_scope.cancel()
                renderer.close()


def renderer_of(options: GlobalOptions) -> Renderer:
    """Return what shows events.

    :raises UsageError: when there is no such ``--progress`` mode.
    """
    mode = options.progress
    if mode not in MODES:
        raise UsageError(f'"{mode}" is no value of --progress', hint=f"use {', '.join(MODES)}")
    if mode == "quiet":
        return Quiet()
    if mode == "json":
        return Json()
    if mode == "tty" or (mode == "auto" and wants_colour(sys.stderr, options.ansi)):
        from orchestra.cli.render.live import Live

        return Live()
    return Plain()


class Quiet:
    """Shows warnings only."""

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Warned):
            print(f"warning: {printable(event.message)}", file=sys.stderr)

    def close(self) -> None:
        """Finish."""


class Plain:
    """One line a step, when it begins to take time, and when it is done."""

    def show(self, event: Event) -> None:
        """Show one event."""
        if (text := self._text(event)) is not None:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Finish."""

    def _text(self, event: Event) -> str | None:
        match event:
            case StepStarted():
                verb, subject = subject_of(event.step)
                if verb in {"pull", "build"}:
                    return f" {subject}  {_DOING[verb]}  # {printable(event.reason)}"
                return None
            case StepWaiting():
                _, subject = subject_of(event.step)
                return f" {subject}  Waiting for {', '.join(event.gates)}"
            case StepDone():
                verb, subject = subject_of(event.step)
                return f" {subject}  {_DONE.get(verb, verb)}  {event.seconds:.1f}s"
            case StepFailed():
                _, subject = subject_of(event.step)
                return f" {subject}  Error"
            case Warned():
                return f"warning: {printable(event.message)}"
            case LogLine():
                return f" {printable(event.source)} | {printable(event.text.rstrip())}"
            case _:
                return None


class Json:
    """One JSON object a line, for programs."""

    def show(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StepStarted():
                self._print(id=event.step, status="started", reason=event.reason)
            case StepWaiting():
                self._print(id=event.step, status="waiting", gates=list(event.gates))
            case StepDone():
                self._print(id=event.step, status="done", seconds=round(event.seconds, 3))
            case StepFailed():
                self._print(id=event.step, status="failed", error=event.error.message)
            case Warned():
                self._print(status="warning", message=event.message)
            case Progress():
                self._print(
                    id=event.subject,
                    status=event.action,
                    current=event.current,
                    total=event.total,
                )
            case _:
                return

    def close(self) -> None:
        """Finish."""

    def _print(self, **fields: object) -> None:
        print(json.dumps(fields), file=sys.stderr, flush=True)
