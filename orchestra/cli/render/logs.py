"""Log lines with coloured prefixes, as docker compose prints them."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from orchestra.cli.render.terminal import tame, wants_colour
from orchestra.engine.events import LogLine

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class LogPrinter:
    """Prints lines; one colour a container, prefixes as wide as the longest name so far."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        ansi: str = "auto",
        colour: bool = True,
        prefix: bool = True,
        timestamps: bool = False,
        merge: bool = False,
        project: str = "",
    ) -> None:
        self._colour = colour and wants_colour(sys.stdout, ansi)
        self._terminal = sys.stdout.isatty()
        self._merge = merge
        self._project = project
        self._prefix = prefix
        self._timestamps = timestamps
        self._order: list[str] = []
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Make room for another container."""
        if name not in self._order:
            self._order.append(name)

    def print(self, line: LogLine) -> None:
        """Print one line to where the container wrote it; with ``merge`` always to stdout."""
        self.add(line.source)
        text = line.text.rstrip("\n").rstrip("\r")
        if self._terminal:
            text = tame(text)
        if self._timestamps and line.time is not None:
            text = f"{line.time.isoformat().replace('+00:00', 'Z')} {text}"
        out = sys.stderr if line.stream == "stderr" and not self._merge else sys.stdout
        out.write(f"{self._head(line.source)}{text}\n")
        out.flush()

    def _head(self, name: str) -> str:
        if not self._prefix:
            return ""
        width = max(len(self._short(known)) for known in self._order)
        head = f"{self._short(name).ljust(width)}  | "
        if not self._colour:
            return head
        code = _COLOURS[self._order.index(name) % len(_COLOURS)]
        return f"\x1b[{code}m{head}\x1b[0m"

    def _short(self, name: str) -> str:
        """Leave out the project, as docker compose does."""
        return name.removeprefix(f"{self._project}-")
