"""Run a process in a running container on streams of ours, in a program that does nothing else."""

from __future__ import annotations

from pathlib import Path

from orchestra.engine.container.exec_request import ExecOptions, exec_request
from orchestra.engine.container.exec_talk import talk
from orchestra.engine.container.failures import no_launcher
from orchestra.engine.container.spawning import spawn
from orchestra.engine.linux.dialing import dial
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import LAUNCHER_SOCKET
from orchestra.engine.state.records import ContainerRecord


def exec_in(
    paths: Paths,
    record: ContainerRecord,
    options: ExecOptions,
    *,
    stdin: int | None = 0,
    stdout: int = 1,
    stderr: int = 2,
) -> int:
    """Run a process with these descriptors of ours, and return its exit code: see ``talk``.

    :raises ContainerError: when the container does not run, or the process does not start
        (StartError has docker's exit code: 126, 127), or nobody can tell its end.
    """
    request = exec_request(paths, record, options)
    launcher = _launcher(Path(paths.project_run(record.spec.project)), record.spec.project)
    return talk(launcher, request, stdin=stdin, stdout=stdout, stderr=stderr)


def _launcher(directory: Path, project: str) -> int:
    try:
        return dial(str(directory), LAUNCHER_SOCKET)
    except OSError:
        spawn(directory)
    try:
        return dial(str(directory), LAUNCHER_SOCKET)
    except OSError as err:
        raise no_launcher(project, str(directory)) from err
