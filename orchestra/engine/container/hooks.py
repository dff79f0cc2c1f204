"""Run a service's post_start and pre_stop commands in its container, one after the other.

compose-spec 05-services.md, post_start, pre_stop. A hook has the walls of ``exec``; what it prints
is shown only when it fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from orchestra.engine.container.exec import exec_captured
from orchestra.engine.container.exec_request import ExecOptions
from orchestra.engine.container.failures import StartError
from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.planner.desired import Hook

Kind = Literal["post_start", "pre_stop"]

_TAIL_BYTES = 2048
_TAIL_LINES = 10


async def run_hooks(
    paths: Paths,
    record: ContainerRecord,
    kind: Kind,
    hooks: Sequence[Hook],
    launcher: LauncherClient | None = None,
) -> None:
    """Run the hooks in their order, by a launcher or the project's; the first that fails ends it.

    :raises ContainerError: naming the hook, its exit code and what it printed last.
    """
    for number, hook in enumerate(hooks):
        place = f"services.{record.spec.service}.{kind}.{number}"
        options = ExecOptions(
            args=hook.command,
            environment=hook.environment,
            cwd=hook.working_dir,
            user=hook.user,
            privileged=hook.privileged,
        )
        tail = _Tail()
        try:
            code = await exec_captured(paths, record, options, tail.take, launcher)
        except StartError as err:
            raise _failed(place, record, err.message) from err
        if code:
            said = f": {tail.text}" if tail.text else ""
            raise _failed(place, record, f"it exited with status {code}{said}")


def _failed(place: str, record: ContainerRecord, why: str) -> ContainerError:
    return ContainerError(
        f'{place}: the hook failed in container "{record.spec.name}": {why}',
        hint="check its command, user and working_dir; `orchestra kill` runs no hooks",
    )


class _Tail:
    """The last lines of what a hook says; standard error is preferred, as it holds the reason."""

    def __init__(self) -> None:
        self._ends = {"stdout": b"", "stderr": b""}

    def take(self, stream: str, data: bytes) -> None:
        """Keep the end of what has been written so far."""
        self._ends[stream] = (self._ends[stream] + data)[-_TAIL_BYTES:]

    @property
    def text(self) -> str:
        """What is kept, as text."""
        end = self._ends["stderr"].strip() or self._ends["stdout"].strip()
        return "\n".join(end.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])
