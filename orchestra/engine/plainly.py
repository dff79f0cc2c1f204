"""The composition root of what is in a hurry: no records as values, no event loop, few imports.

Beside ``wiring``, which knows how to do everything, and does it where this cannot.
"""

from __future__ import annotations

import os

from orchestra.engine.linux.dialing import dial
from orchestra.engine.state.plain import NotPlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestra.engine.container.exec_plain import PlainExec
    from orchestra.engine.container.lifecycle import Containers
    from orchestra.engine.container.run_plain import Handed
    from orchestra.engine.network.networks import Networks
    from orchestra.engine.paths import Paths
    from orchestra.engine.state.store import Store
    from orchestra.planner.desired import DesiredState
    from orchestra.planner.observed import ObservedState

__all__ = ["NotPlainError", "exec_plainly", "run_plainly", "settle"]

# root's of paths.py, which a test compares
DATA, RUN = "/var/lib/orchestra", "/run/orchestra"
LAUNCHER_SOCKET = "launcher.sock"
_EXEC_IS_COMING = b'{"op":"exec"}'
"""The launcher has a process for it when the request is there: see shim/protocol.py."""


def exec_plainly(
    environment: Mapping[str, str],
    uid: int,
    project: str,
    wanted: Callable[[type[PlainExec]], PlainExec],
) -> int:
    """Run a process in a service's container on our own streams; return its exit code.

    :raises NotPlainError: when nothing was done, for another to do it or to say what is wrong.
    :raises ContainerError: when the process does not start, or nobody can tell its end.
    """
    data, run = _roots(environment, uid)
    run = f"{run}/projects/{project}"
    launcher = _call_ahead(run)
    try:
        from orchestra.engine.container.exec_plain import PlainExec, request_of  # noqa: PLC0415
        from orchestra.engine.container.exec_talk import check_heard, talk  # noqa: PLC0415

        asked = wanted(PlainExec)
        request = request_of(f"{data}/projects/{project}", run, asked)
        check_heard(launcher)
    except BaseException:
        os.close(launcher)
        raise
    return talk(launcher, request, stdin=0 if asked.stdin else None)


def _call_ahead(run: str) -> int:
    """Return a connection to the launcher, which gets ready for an exec."""
    try:
        launcher = dial(run, LAUNCHER_SOCKET)
    except OSError as err:
        raise NotPlainError from err
    try:
        os.write(launcher, _EXEC_IS_COMING)
    except OSError as err:
        os.close(launcher)
        raise NotPlainError from err
    os.sched_yield()  # it would wait for this processor, even where another is idle
    return launcher


def _roots(environment: Mapping[str, str], uid: int) -> tuple[str, str]:
    data = environment.get("ORCHESTRA_DATA", DATA)
    run = environment.get("ORCHESTRA_RUN", RUN)
    if uid != 0 or not (data.startswith("/") and run.startswith("/")):
        raise NotPlainError
    return data, run


def run_plainly(
    environment: Mapping[str, str],
    uid: int,
    project: str,
    request: Mapping[str, object],
    *,
    stdin: int | None,
    tty: bool,
    lost: Callable[[], bool],
) -> int:
    """Have the project's supervisor make a one-off container, and stay with it to its end.

    ``request``: target.RunRequest as a document. ``lost`` is called when the supervisor was killed
    meanwhile: it removes what there is of the container, and tells whether there was anything.

    :raises NotPlainError: when nothing was done, for another to do it or to say what is wrong.
    :raises ContainerError: when nobody can tell how the process ended, or whether it did.
    """
    from orchestra.engine.container.run_plain import Handed, LostError  # noqa: PLC0415

    _, run = _roots(environment, uid)
    try:
        handed = Handed(f"{run}/projects/{project}")
    except OSError as err:
        raise NotPlainError from err
    try:
        code = handed.ask(request, stdin=stdin, tty=tty)
    except LostError as err:
        handed.close()
        if not lost():
            raise NotPlainError from err
        from orchestra.errors import ContainerError  # noqa: PLC0415

        raise ContainerError(
            "cannot tell how the process ended: the supervisor was killed when it started it",
            hint="run the command again",
        ) from err
    except BaseException:
        _end(handed, lost if request["remove"] else None)
        raise
    _end(handed, lost if request["remove"] else None)
    return code


def _end(handed: Handed, lost: Callable[[], bool] | None) -> None:
    from orchestra.engine.container.run_plain import LostError  # noqa: PLC0415

    try:
        handed.end()
    except LostError:
        if lost is not None:
            lost()


def settle(
    store: Store,
    environment: Mapping[str, str],
    desired: DesiredState,
    nothing_to_do: Callable[[ObservedState], bool],
) -> bool:
    """Write down what is wanted where nothing is to be done for it; tell whether that was so.

    :raises StateError: when a record is damaged, or cannot be written.
    """
    from typing import cast  # noqa: PLC0415 - this, and what follows, is not for ``exec``

    from orchestra.engine.clock import SystemClock  # noqa: PLC0415
    from orchestra.engine.container.phases import PhaseReader  # noqa: PLC0415
    from orchestra.engine.image.store import ImageStore  # noqa: PLC0415
    from orchestra.engine.local.observe import Observer  # noqa: PLC0415
    from orchestra.engine.local.settled import settle  # noqa: PLC0415
    from orchestra.engine.network.presence import Presence  # noqa: PLC0415
    from orchestra.engine.supervisor.program import environment_of, program_of  # noqa: PLC0415

    paths: Paths = store.paths
    images = ImageStore(paths)
    observer = Observer(
        store,
        # an observer asks these two for the phase, and whether a network is there
        cast("Containers", PhaseReader(paths)),
        cast("Networks", Presence(paths)),
        lambda: images,
        SystemClock(),
    )
    program = program_of(desired.project, environment_of(paths, environment))
    return settle(store, observer, program, desired, nothing_to_do)
