"""Runs a target on one input under a limit of CPU time, and keeps what it must not do."""

from __future__ import annotations

import hashlib
import signal
import time
import traceback
from pathlib import Path
from types import FrameType

from scripts.fuzz.targets import Target

SLOW_SECONDS = 1.0
_LIMIT_SECONDS = 10.0


class _TooLong(BaseException):
    """The input is stopped: it has had all its CPU time."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _TooLong


class Watch:
    """Counts executions, and writes each new kind of failure below ``found`` once."""

    def __init__(self, name: str, target: Target, found: Path) -> None:
        self.name, self.target, self.found = name, target, found
        self.executions = 0
        self.slowest = 0.0
        self.kinds: dict[str, int] = {}
        signal.signal(signal.SIGVTALRM, _stop)

    def __call__(self, data: bytes) -> None:
        self.executions += 1
        started = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, _LIMIT_SECONDS)
        try:
            self.target(data)
        except _TooLong:
            self._keep("slow", data, f"more than {_LIMIT_SECONDS} s of CPU time")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            self._keep(_kind_of(error), data, traceback.format_exc())
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        taken = time.process_time() - started
        self.slowest = max(self.slowest, taken)
        if taken > SLOW_SECONDS:
            self._keep("slow", data, f"{taken:.1f} s of CPU time")

    def _keep(self, kind: str, data: bytes, story: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] > 1:
            return
        self.found.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(kind.encode()).hexdigest()[:12]
        path = self.found / f"{self.name}-{digest}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(story, encoding="utf-8")
        print(f"{self.name}: {kind}, see {path}", flush=True)

    def summary(self) -> str:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.name}: {self.executions} executions, slowest {self.slowest:.2f} s, "
            f"found: {kinds or 'nothing'}"
        )


def _kind_of(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/orchestra/" in frame.filename]
    last = (ours or list(frames))[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.name}"
