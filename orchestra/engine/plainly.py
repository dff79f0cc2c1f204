"""The composition root of what is in a hurry: no records as values, no event loop, few imports.

Beside ``wiring``, which knows how to do everything, and does it where this cannot.
"""

from __future__ import annotations

from orchestra.engine.container.exec_plain import PlainExec, request_of
from orchestra.engine.container.exec_talk import talk
from orchestra.engine.linux.dialing import dial
from orchestra.engine.state.plain import NotPlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NotPlainError", "PlainExec", "exec_plainly"]

# root's of paths.py, which a test compares
DATA, RUN = "/var/lib/orchestra", "/run/orchestra"
LAUNCHER_SOCKET = "launcher.sock"


def exec_plainly(environment: Mapping[str, str], uid: int, project: str, wanted: PlainExec) -> int:
    """Run a process in a service's container on our own streams; return its exit code.

    :raises NotPlainError: when nothing was done, for another to do it or to say what is wrong.
    :raises ContainerError: when the process does not start, or nobody can tell its end.
    """
    data = environment.get("ORCHESTRA_DATA", DATA)
    run = environment.get("ORCHESTRA_RUN", RUN)
    if uid != 0 or not (data.startswith("/") and run.startswith("/")):
        raise NotPlainError
    run = f"{run}/projects/{project}"
    request = request_of(f"{data}/projects/{project}", run, wanted)
    try:
        launcher = dial(run, LAUNCHER_SOCKET)
    except OSError as err:
        raise NotPlainError from err
    return talk(launcher, request, stdin=0 if wanted.stdin else None)
