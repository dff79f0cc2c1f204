"""Start a launcher as a program of its own, and connect to one."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestra.engine.linux.dialing import dial
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.interpreter import protected_program
from orchestra.engine.shim import wire
from orchestra.engine.shim.protocol import LAUNCHER_SOCKET
from orchestra.errors import ContainerError

_ROOT = str(Path(__file__).resolve().parents[3])
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from orchestra.engine.launcher.__main__ import main; main()"
)
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_SPAWN_SECONDS = 20.0
_END_SECONDS = 5.0
_LOCK_FILE = "launcher.lock"


def run_launcher(
    arguments: Sequence[str], fds: Sequence[int], *, new_session: bool
) -> subprocess.Popen[bytes]:
    """Start a launcher; ``fds`` are inherited under their numbers.

    It runs from an interpreter that containers cannot write to: a launcher that finds itself
    unprotected would start once more for it, which takes its time twice.

    :raises ContainerError: when there is no interpreter to run, or no room.
    """
    argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT, *arguments]
    try:
        program = protected_program(sys.executable)
    except OSError:
        return _run(argv, sys.executable, fds, new_session=new_session)
    try:
        return _run(argv, f"/proc/self/fd/{program}", (*fds, program), new_session=new_session)
    finally:
        os.close(program)


def _run(
    argv: Sequence[str], program: str, fds: Sequence[int], *, new_session: bool
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            executable=program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_ENVIRONMENT,
            pass_fds=fds,
            start_new_session=new_session,
        )
    except OSError as err:
        raise ContainerError(f"cannot start the launcher: {err.strerror}") from err


def spawn(directory: Path) -> None:
    """Start a project's launcher, unless another process does so right now."""
    make_private(directory)
    with (directory / _LOCK_FILE).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            dial_path(directory).close()
        except OSError:
            child = run_launcher(["daemon", str(directory)], (), new_session=True)
            reap(child, _SPAWN_SECONDS)


def reap(child: subprocess.Popen[bytes], seconds: float = _END_SECONDS) -> None:
    """Wait for a child of ours, and kill one that does not end."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def dial_path(directory: Path, name: str = LAUNCHER_SOCKET) -> socket.socket:
    """Connect to a socket in a directory, however long its path (108 bytes in unix(7)).

    :raises OSError: when nobody listens there.
    """
    return socket.socket(fileno=dial(str(directory), name))


def dial_control(control: socket.socket) -> socket.socket:
    """Open a conversation with a private launcher: it gets one end of a new pair."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            wire.send(control, {"op": "connect"}, (theirs.fileno(),))
        except OSError:
            ours.close()
            raise
    return ours
