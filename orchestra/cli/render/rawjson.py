"""A build's events as BuildKit's ``--progress=rawjson``: a line of JSON each, on stderr.

Vertices are steps, known by a digest of their titles; logs name the vertex that said something.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from orchestra.engine.events import Event, LogLine, Progress, Warned
from orchestra.hashing import sha256

_ENDS = {" DONE": False, " CACHED": True}
_LABEL = re.compile(r"\[([^\]]*)\]")


class RawJson:
    """Writes events; remembers when each vertex began."""

    def __init__(self) -> None:
        self._begun: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def event(self, event: Event) -> None:
        """Write an event."""
        for line in self.lines(event, datetime.now(UTC)):
            print(line, file=sys.stderr, flush=True)

    def lines(self, event: Event, at: datetime) -> Iterator[str]:
        """Yield an event, of that time, as lines of JSON."""
        now = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        match event:
            case Progress():
                yield json.dumps(self._vertex(event, now))
            case LogLine():
                label = event.source.removeprefix(f"{event.source.partition(' ')[0]} ")
                name = self._names.get(f"[{label}]", event.source)
                log = {
                    "vertex": _digest(name),
                    "stream": 2 if event.stream == "stderr" else 1,
                    "data": base64.b64encode(event.text.encode("utf-8", "replace")).decode(),
                    "timestamp": now,
                }
                yield json.dumps({"logs": [log]})
            case Warned():
                short = base64.b64encode(event.message.encode("utf-8", "replace")).decode()
                yield json.dumps({"warnings": [{"level": 1, "short": short}]})
            case _:
                return

    def _vertex(self, event: Progress, now: str) -> Mapping[str, object]:
        ended = next((end for end in _ENDS if event.action.endswith(end)), "")
        name = event.action.removesuffix(ended)
        label = _LABEL.match(name)
        if label is not None:
            self._names[label[0]] = name
        first = self._begun.setdefault(name, now)
        vertex: dict[str, object] = {"digest": _digest(name), "name": name, "started": first}
        if ended or label is None:
            vertex["completed"] = now
        if ended and _ENDS[ended]:
            vertex["cached"] = True
        return {"vertexes": [vertex]}


def _digest(name: str) -> str:
    return f"sha256:{sha256(name.encode('utf-8', 'replace')).hexdigest()}"
