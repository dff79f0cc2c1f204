"""Access to containers that are there: logs, processes, usage, files, and commands run in them.

Changes no record of them. Only copies take a container's lock: they may have to mount its root.
Each command imports only what it needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING

from orchestra.engine.container.places import Places
from orchestra.errors import ContainerError

if TYPE_CHECKING:
    from orchestra.engine.events import LogLine
    from orchestra.engine.shim.protocol import Identity
    from orchestra.engine.state.store import Store
    from orchestra.engine.target import ContainerProcess, ContainerUsage, Copy, ExecCommand
    from orchestra.planner.observed import ObservedContainer


class LocalAccess:
    """The containers of this machine, by project and id."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def logs(
        self,
        project: str,
        container: ObservedContainer,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[LogLine]:
        """Read a container's output, oldest first; with ``follow`` until it has ended."""
        from orchestra.engine.container.logs import read_logs  # noqa: PLC0415

        record = self._store.container(project, container.id)
        if record is None:
            return
        async for line in read_logs(
            self._store.paths, record, tail=tail, follow=follow, since=since, until=until
        ):
            yield line

    def _init(self, project: str, container_id: str) -> Identity | None:
        record = self._store.container(project, container_id)
        return Places.of(self._store.paths, record).init() if record is not None else None

    def processes(self, project: str, container_id: str) -> tuple[ContainerProcess, ...]:
        """Return the processes of a container, none when it does not run."""
        from orchestra.engine.container.processes import processes_of  # noqa: PLC0415

        init = self._init(project, container_id)
        return processes_of(init) if init is not None else ()

    def usage(self, project: str, container_id: str) -> ContainerUsage | None:
        """Return what a container uses, None when it does not run."""
        from orchestra.engine.container.stats import usage_of  # noqa: PLC0415

        init = self._init(project, container_id)
        return usage_of(init) if init is not None else None

    async def copy_from(self, project: str, container_id: str, copy: Copy) -> None:
        """Copy from a container, running or not, to this machine; with no target to our stdout.

        :raises ContainerError: when something is not there, or in the way.
        """
        from orchestra.engine.container.files import copy_from  # noqa: PLC0415

        await copy_from(self._store, project, container_id, copy)

    async def copy_to(self, project: str, container_id: str, copy: Copy) -> None:
        """Copy from this machine into a container, running or not; with no source from our stdin.

        :raises ContainerError: when something is not there, or in the way.
        """
        from orchestra.engine.container.files import copy_to  # noqa: PLC0415

        await copy_to(self._store, project, container_id, copy)

    async def export(self, project: str, container_id: str, fd: int) -> None:
        """Write a container's root file system to a descriptor, as an archive.

        :raises ContainerError: when it cannot be read.
        """
        from orchestra.engine.container.files import export  # noqa: PLC0415

        await export(self._store, project, container_id, fd)

    async def attach(
        self, project: str, container_id: str, *, stdin: bool, detach_keys: bytes
    ) -> int | None:
        """Join a running container's streams to ours; return its exit code, None when detached.

        :raises ContainerError: when that cannot be, or nobody knows how the container ended.
        """
        from orchestra.engine.container.attach import attach  # noqa: PLC0415

        record = self._store.container(project, container_id)
        if record is None:
            raise ContainerError(f"no container {container_id[:12]}", hint="see `orchestra ps -a`")
        return await attach(
            self._store.paths,
            record,
            stdin=0 if stdin and record.spec.stdin_open else None,
            detach_keys=detach_keys,
        )

    def has_terminal(self, project: str, container_id: str) -> bool:
        """Tell whether a container's streams are a terminal."""
        record = self._store.container(project, container_id)
        return record is not None and record.spec.tty

    def exec(self, project: str, container_id: str, command: ExecCommand) -> int:
        """Run a process in a container on our own streams; return its exit code, 0 if detached.

        :raises ContainerError: when the container does not run, or the process does not start.
        """
        from orchestra.engine.container.exec_direct import exec_in  # noqa: PLC0415
        from orchestra.engine.container.exec_request import ExecOptions  # noqa: PLC0415

        record = self._store.container(project, container_id)
        if record is None:
            raise ContainerError(f"no container {container_id[:12]}", hint="see `orchestra ps -a`")
        options = ExecOptions(
            args=command.arguments,
            environment=command.environment,
            cwd=command.cwd,
            user=command.user,
            tty=command.tty,
            privileged=command.privileged,
            detach=command.detach,
        )
        return exec_in(self._store.paths, record, options, stdin=0 if command.stdin else None)
