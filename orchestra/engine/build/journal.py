"""The journal of one build: a file of JSON lines that only grows, locked while the build runs.

Its first line says what is built, its last one what became of it, those between are what was told
on the way. One that ends without a last line, and that nobody holds, was killed. A journal that
cannot be written fails no build: what was written is kept, the rest is left out.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.journals import VERSION, make_room, new_id
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.linux.directories import make_private
from orchestra.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestra.engine.events import Event

BODY_BYTES_MAX = 384 * 1024
"""How much of a build's log is kept from its beginning."""
TAIL_BYTES_MAX = 96 * 1024
"""How much is kept of its end, where it is longer."""
LINE_CHARACTERS_MAX = 8 * 1024
_ENTRY_BYTES = 64
"""What an entry has beside its text, about."""
_FLUSH_NS = 100_000_000
_STEP = re.compile(r"\[(?:([^\]]*) )?\d+/(\d+)\] ")


@dataclass(slots=True, kw_only=True)
class Steps:
    """How many steps a build has, as far as its stages have begun, and how far it is."""

    completed: int = 0
    cached: int = 0
    totals: dict[str, int] = field(default_factory=dict)

    def see(self, action: str) -> None:
        """Count what a build says of a step."""
        match = _STEP.match(action)
        if match is None:
            return
        self.totals[match[1] or ""] = int(match[2]) - 1  # the first is what the stage began with
        if action.endswith((" DONE", " CACHED")):
            self.completed += 1
            self.cached += action.endswith(" CACHED")

    @property
    def total(self) -> int:
        """Return how many steps there are, done or not."""
        return sum(self.totals.values())


class Journal:
    """Writes one build down, as it goes."""

    def __init__(self, directory: Path, about: Mapping[str, object], *, live: bool = True) -> None:
        """``live``: others may read on the way what is told."""
        self.id = new_id()
        self.began_ns = time.time_ns()
        self.steps = Steps()
        self._last: dict[str, str] = {}
        self._written = 0
        self._live = live
        self._flush_ns = self.began_ns
        self._tail: deque[tuple[object, ...]] = deque()
        self._tail_bytes = 0
        self._left_out = 0
        self._pending = self._line(
            {"version": VERSION, "id": self.id, "began_ns": self.began_ns, "about": dict(about)}
        )
        self._fd = -1
        self._path: Path | None = None
        with suppress(OSError):
            self._open(directory)

    def _open(self, directory: Path) -> None:
        make_private(directory)
        make_room(directory)
        path = self._path = directory / f"{self.began_ns:020d}-{self.id}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)  # a reader has it for a moment at most

    def tell(self, event: Event) -> None:
        """Write down what a build says."""
        if isinstance(event, LogLine):
            self.say(event.source, event.stream, event.text)
        elif isinstance(event, Progress):
            self.step(event.subject, event.action)

    def step(self, subject: str, action: str) -> None:
        """Write down what a build does; the bytes of a transfer are no new action."""
        if self._last.get(subject) != action:
            self._last[subject] = action
            self.steps.see(action)
            self._keep("step", subject, action)
            if self._live:
                self.flush()

    def say(self, source: str, stream: str, text: str) -> None:
        """Write down a line that a build puts out."""
        self._keep("out", source, stream, text[:LINE_CHARACTERS_MAX])

    def _keep(self, *entry: str) -> None:
        """Keep an entry; when there is room no more, until others come, in no other form yet."""
        now = time.time_ns()
        stamped = ((now - self.began_ns) // 1_000_000, *entry)
        if not self._tail:
            line = self._line(stamped)
            if self._written + len(line) <= BODY_BYTES_MAX:
                self._written += len(line)
                self._pending += line
                self._flush_by(now)
                return
        self._tail.append(stamped)
        self._tail_bytes += len(entry[-1]) + _ENTRY_BYTES
        while self._tail_bytes > TAIL_BYTES_MAX and len(self._tail) > 1:
            gone = self._tail.popleft()
            self._tail_bytes -= len(str(gone[-1])) + _ENTRY_BYTES
            self._left_out += 1

    def _flush_by(self, now_ns: int) -> None:
        """Write what is told now and then at once, and what comes in floods together."""
        if self._live and now_ns >= self._flush_ns:
            self._flush_ns = now_ns + _FLUSH_NS
            self.flush()

    def flush(self) -> None:
        """Let others see what was told so far."""
        if self._pending and self._fd >= 0:
            data, self._pending = self._pending, b""
            try:
                os.write(self._fd, data)
            except OSError:  # the disk is full: a build does not fail for that
                self._close()

    def end(self, status: str, more: Mapping[str, object]) -> None:
        """Write down what became of the build, and close."""
        seconds_ms = (time.time_ns() - self.began_ns) // 1_000_000
        if self._left_out:
            self._pending += self._line([seconds_ms, "gap", self._left_out])
        self._pending += b"".join(map(self._line, self._tail))
        end = {
            "status": status,
            "milliseconds": seconds_ms,
            "total": self.steps.total,
            "completed": self.steps.completed,
            "cached": self.steps.cached,
            **more,
        }
        self._pending += self._line({"end": end})
        self.flush()
        self._close()

    def discard(self) -> None:
        """Leave nothing of a build that begins again, and is written down then."""
        if self._fd >= 0 and self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def _line(document: object) -> bytes:
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"
