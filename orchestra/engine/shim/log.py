"""Where a container's output goes: into its log file, and on to a receiver."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestra.engine.shim.logfile import LogFile
from orchestra.engine.shim.protocol import LOG_FILE, ShimRequest

if TYPE_CHECKING:
    from orchestra.engine.shim.forwarding import Forwarding, Watcher


class Log:
    """A file, a receiver, or both: docker's "dual logging"."""

    def __init__(self, file: LogFile | None, forwarding: Forwarding | None) -> None:
        self._file = file
        self._forwarding = forwarding

    def write(
        self, stream: str, texts: list[str], nanoseconds: int, *, ended: bool = False
    ) -> None:
        """Take output; ``ended``: the last text is a whole line although it has no end."""
        if self._file:
            self._file.write(stream, texts, nanoseconds)
        if self._forwarding:
            self._forwarding.write(stream, texts, nanoseconds, ended=ended)

    def holds_up(self, resume: Callable[[], None]) -> bool:
        """Tell whether the container has to wait; ``resume`` is called when that is over."""
        return self._forwarding is not None and self._forwarding.holds_up(resume)

    def tick(self) -> float | None:
        """Do what is due; return the seconds after which that is to be asked again."""
        return self._forwarding.tick() if self._forwarding else None

    def ended(self, pid: int) -> None:
        """Note the end of a child of this process."""
        if self._forwarding:
            self._forwarding.ended(pid)

    def held(self) -> tuple[int, ...]:
        """Return the file's descriptor."""
        return (self._file.fd,) if self._file else ()

    def close(self) -> None:
        """Close the file, and send what is left for a bounded time."""
        if self._file:
            self._file.close()
            self._file = None
        if self._forwarding:
            self._forwarding.close()
            self._forwarding = None


def open_log(request: ShimRequest, loop: Watcher, *, must_answer: bool) -> Log | None:
    """Open what a request asks for; None when output is neither kept nor sent.

    :raises ShimFailure: when the receiver must answer and does not.
    :raises OSError: when the file cannot be made.
    """
    options = request["log"]
    forwarding: Forwarding | None = None
    if "forward" in options:
        from orchestra.engine.shim.forwarding import Forwarding  # noqa: PLC0415 - few need it

        forwarding = Forwarding(options["forward"], request["id"], loop)
        forwarding.begin(must_answer=must_answer and options["forward"]["must_answer"])
    file: LogFile | None = None
    if options["driver"] != "none":
        file = LogFile(f"{request['directory']}/{LOG_FILE}", options)
    return Log(file, forwarding) if file or forwarding else None
