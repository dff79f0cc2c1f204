"""Entry of the launcher: a daemon per project, or a private one that ends with its owner.

``daemon DIRECTORY``: returns once the daemon listens on DIRECTORY/launcher.sock.
``private DIRECTORY FD``: serves conversations that come as sockets over FD until its end.
"""

# No pathlib here: the process stays small.

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from orchestra import values
from orchestra.engine.launcher.server import Launcher
from orchestra.engine.linux import process, syscalls
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.flags import Prctl
from orchestra.engine.runtime import interpreter
from orchestra.engine.shim.console import listen_at
from orchestra.engine.shim.identity import write_identity
from orchestra.engine.shim.protocol import LAUNCHER_SOCKET

PID_FILE = "launcher.pid"
LOG_FILE = "launcher.log"
NAME = b"orchestra"
"""What ps calls the launcher and its shims; a program started by descriptor has a number."""


def main() -> None:
    """Run as ``sys.argv`` says, from an interpreter that no container can write to.

    :raises RuntimeFailure: when there is no such way: then nothing is started.
    """
    interpreter.protect()
    mode, directory = sys.argv[1], sys.argv[2]
    control_fd = int(sys.argv[3]) if mode == "private" else 0
    process.close_all_but((control_fd,))
    syscalls.prctl(Prctl.SET_NAME, NAME)
    os.chdir("/")
    os.umask(0o022)
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    if mode == "daemon":
        _daemon(directory)
    else:
        control = socket.socket(fileno=control_fd)
        control.set_inheritable(False)
        _serve(Launcher(directory, None, control))


def _daemon(directory: str) -> None:
    """Listen, then leave: whoever waits for us knows by our exit that the daemon is there.

    Who it is has been written down by then.
    """
    make_private(directory)
    listener = listen_at(directory, LAUNCHER_SOCKET)
    listener.listen(1024)
    if pid := os.fork():
        write_identity(f"{directory}/{PID_FILE}", pid)
        os._exit(0)
    os.setsid()
    _close_stdio(directory)
    _serve(Launcher(directory, listener, None))


def _close_stdio(directory: str) -> None:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open(f"{directory}/{LOG_FILE}", flags, 0o600)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)


def _serve(launcher: Launcher) -> None:
    values.prepare()
    gc.collect()
    gc.freeze()
    launcher.main()


if __name__ == "__main__":
    main()
