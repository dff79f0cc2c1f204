"""What passes between streams of ours and a process that the launcher has started for us.

One poll(2) loop, and next to no imports: see ``exec_talk``. A container never gets a descriptor of
the user's terminal or files: only pipes, or a terminal of its own.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]
    Handlers = dict[int, Handler | int | None]
else:
    import _signal

_READ_BYTES = 64 * 1024


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Break off.

    :raises Interrupted: always.
    """
    from orchestra.errors import Interrupted  # noqa: PLC0415

    raise Interrupted("interrupted")


def handle(handler: Handler, *numbers: int) -> Handlers:
    """Handle signals, and return who did before; only a main thread can."""
    try:
        return {number: _signal.signal(number, handler) for number in numbers}
    except ValueError:
        return {}


def restore(handlers: Handlers) -> None:
    """Let those handle signals who did before."""
    for number, handler in handlers.items():
        _signal.signal(number, handler)


def open_pipes(
    opened: list[int], stdout: int, stderr: int, stdin: int | None
) -> tuple[dict[int, int], int | None, list[int]]:
    """Return our ends to read by where that goes, ours to write, and the process's ends."""
    outputs: dict[int, int] = {}
    given: list[int] = []
    for target in (stdout, stderr):
        reader, writer = os.pipe2(os.O_CLOEXEC)
        opened.append(reader)
        outputs[reader] = target
        given.append(writer)
    entrance = None
    if stdin is None:
        source = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    else:
        source, entrance = os.pipe2(os.O_CLOEXEC)
    return outputs, entrance, [source, *given]


class Exchange:
    """Carries bytes both ways until the process has ended.

    ``connection``: readable once it has. ``outputs``: our end -> where that goes. ``entrance``:
    where input goes; a pipe, which is closed at the end of the input, or the terminal.
    """

    def __init__(
        self,
        connection: int,
        outputs: dict[int, int],
        source: int | None,
        entrance: int | None,
    ) -> None:
        self._connection = connection
        self._outputs = dict(outputs)
        self._source = source
        self._entrance = entrance
        self._pipe = entrance is not None and entrance not in outputs
        self._waiting = b""
        for fd in (*outputs, *(() if entrance is None else (entrance,))):
            os.set_blocking(fd, False)

    def run(self, heed: Handler = interrupt) -> None:
        """Carry everything until there is word of the end; ``heed``: what SIGINT and SIGTERM do.

        :raises OSError: when our own output cannot be written; BrokenPipeError, most of all.
        """
        before = handle(heed, _signal.SIGINT, _signal.SIGTERM)
        try:
            while not self._turn():
                pass
            for fd in self._outputs:
                self._read(fd)
        finally:
            restore(before)
            self._end_input()

    def _turn(self) -> bool:
        """Wait for one thing to happen and see to it; True when the process has ended."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        for fd in self._outputs:
            wanted = select.POLLOUT if self._waiting and fd == self._entrance else 0
            poll.register(fd, select.POLLIN | wanted)
        if self._source is not None and not self._waiting:
            poll.register(self._source, select.POLLIN)
        if self._pipe and self._entrance is not None and self._waiting:
            poll.register(self._entrance, select.POLLOUT)
        ready = dict(poll.poll())
        if self._connection in ready:
            return True
        for fd in self._outputs.keys() & ready.keys():
            if ready[fd] & ~select.POLLOUT and not self._read(fd):
                del self._outputs[fd]
        if self._entrance in ready and self._waiting:
            self._write()
        if self._source in ready and not self._waiting:
            self._feed()
        return False

    def _read(self, fd: int) -> bool:
        """Hand on what is there; False at the end."""
        while True:
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                return True
            except OSError:  # EIO: nobody has the terminal open any more
                return False
            if not data:
                return False
            _write_all(self._outputs[fd], data)

    def _feed(self) -> None:
        assert self._source is not None
        try:
            self._waiting = os.read(self._source, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._waiting = b""
        if self._waiting:
            self._write()
            return
        self._source = None
        self._end_input()

    def _write(self) -> None:
        if self._entrance is None:
            self._waiting = b""
            return
        try:
            self._waiting = self._waiting[os.write(self._entrance, self._waiting) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no more
            self._waiting, self._source = b"", None
            self._end_input()

    def _end_input(self) -> None:
        """Let the process see the end of its input."""
        if self._pipe and self._entrance is not None:
            os.close(self._entrance)
        if self._pipe:
            self._entrance = None


def on_terminal(
    connection: int, terminal: int, source: int, target: int, heed: Handler = interrupt
) -> None:
    """Connect a process's terminal with ours until there is word of its end.

    ``source``: our terminal, raw meanwhile, whose size it follows; ``target``: where output goes.
    """
    import termios  # noqa: PLC0415 - only who has a terminal pays

    from orchestra.engine.container.terminal import raw_terminal, size_of  # noqa: PLC0415

    def resize(_number: int, _frame: FrameType | None) -> None:
        try:
            termios.tcsetwinsize(terminal, size_of(source))
        except OSError:
            return

    with raw_terminal(source):
        before = handle(resize, _signal.SIGWINCH)
        try:
            Exchange(connection, {terminal: target}, source, terminal).run(heed)
        finally:
            restore(before)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody who has it too does not want to wait
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
