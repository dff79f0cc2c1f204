"""What a step says: bytes -> lines for the listener, and the last of them for an error."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable

from orchestra.engine.clock import Clock
from orchestra.engine.events import LogLine

_TAIL_LINES = 20
_LINE_MAX = 64 * 1024


class StepOutput:
    """Splits the output of one step into lines; a line that does not end is cut at 64 KiB."""

    def __init__(self, source: str, clock: Clock, emit: Callable[[LogLine], None]) -> None:
        self._source = source
        self._clock = clock
        self._emit = emit
        make = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: make("replace") for stream in ("stdout", "stderr")}
        self._partial = {"stdout": "", "stderr": ""}
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def __call__(self, stream: str, data: bytes) -> None:
        """Take what came on a stream."""
        text = self._partial[stream] + self._decoders[stream].decode(data)
        *lines, rest = text.split("\n")
        while len(rest) > _LINE_MAX:
            lines.append(rest[:_LINE_MAX])
            rest = rest[_LINE_MAX:]
        self._partial[stream] = rest
        for line in lines:
            self._line(stream, line)

    def finish(self) -> None:
        """Take what is left as a last line."""
        for stream, rest in self._partial.items():
            if rest:
                self._line(stream, rest)
                self._partial[stream] = ""

    def _line(self, stream: str, line: str) -> None:
        self._tail.append(line.rstrip("\r"))
        self._emit(
            LogLine(source=self._source, stream=stream, text=line + "\n", time=self._clock.now())
        )

    def tail(self) -> str:
        """Return the last lines, without control characters."""
        lines = ("".join(c for c in line if c.isprintable() or c == "\t") for line in self._tail)
        return "\n".join(line for line in lines if line.strip())
