"""What the starting verbs share: descriptors handed in, the pid file, waiting for a child."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING

from orchestra.engine.linux import process as processes
from orchestra.engine.runtime.failure import RuntimeFailure, failed

if TYPE_CHECKING:
    import argparse

    from orchestra.engine.runtime.foreground import Foreground

_FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def check_preserved(count: int) -> None:
    """See that the descriptors to hand in are open; from here on no hook inherits them.

    A hole among them would be filled by one of ours, which the container must never have.

    :raises RuntimeFailure: naming the first that is not open.
    """
    for number in range(3, 3 + count):
        try:
            os.set_inheritable(number, False)  # noqa: FBT003 - a call of the library
        except OSError as err:
            why = f"cannot preserve {count} descriptors: {number} is not open"
            raise RuntimeFailure(why, errno=err.errno or 0) from err


def take_listening() -> tuple[int, tuple[str, ...]]:
    """Return how many sockets a service manager has handed in, and what tells the program so.

    They come before those of ``--preserve-fds`` (man 3 sd_listen_fds); the program is pid 1.

    :raises RuntimeFailure: when the number is none.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return 0, ()
    text = os.environ.get("LISTEN_FDS", "")
    if not text.isascii() or not text.isdigit():
        raise RuntimeFailure(f'LISTEN_FDS is "{text}", which is no number')
    names = os.environ.get("LISTEN_FDNAMES")
    told = (f"LISTEN_FDS={text}", "LISTEN_PID=1")
    return int(text), told if names is None else (*told, f"LISTEN_FDNAMES={names}")


def own_terminal(options: argparse.Namespace, *, wanted: bool) -> Foreground | None:
    """Return the means to show a process's terminal in ours, where it is to be shown there.

    :raises RuntimeFailure: when a process in the background has nobody to give its terminal to.
    """
    if not wanted or options.console_socket:
        return None
    if options.detach:
        raise RuntimeFailure("cannot detach with a terminal: it needs --console-socket")
    from orchestra.engine.runtime.foreground import Foreground  # noqa: PLC0415 - seldom asked for

    return Foreground()


def connect(path: str) -> int | None:
    """Connect to a console socket; None for "".

    :raises RuntimeFailure: when nobody listens there.
    """
    if not path:
        return None
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.connect(path)
    except OSError as err:
        peer.close()
        raise failed(f"connect to the console socket {path}", err) from err
    return peer.detach()


def write_pid(path: str, pid: int) -> None:
    """Write a pid file, unless ``path`` is ""; whoever sees it sees the pid in it.

    :raises RuntimeFailure: when it cannot be written.
    """
    if not path:
        return
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, str(pid).encode())
        finally:
            os.close(fd)
        os.rename(temporary, path)  # noqa: PTH104 - pathlib is 8 ms of import
    except OSError as err:
        raise failed("write the pid file", err) from err


def wait_forwarding(pid: int) -> int:
    """Wait for a child, passing on what we are asked to do; return its exit code."""
    forward_signals(pid)
    return processes.wait_exit(pid)["code"]


def forward_signals(pid: int) -> None:
    """Pass on to a child what we are asked to do."""

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
