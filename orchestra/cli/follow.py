"""Attached ``up``: bring the project up, show its logs, stop it at Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from orchestra.cli.render.logs import LogPrinter
from orchestra.cli.render.progress import progress
from orchestra.cli.session import Session, note
from orchestra.cli.upward import bring_up
from orchestra.engine.events import ContainerExited, ContainerStarted, Event, Subscribed
from orchestra.errors import Interrupted, StepErrors
from orchestra.planner.desired import DesiredState
from orchestra.planner.observed import ObservedContainer, Phase
from orchestra.planner.options import StopOptions, UpOptions
from orchestra.planner.teardown import plan_stop

if TYPE_CHECKING:
    from orchestra.engine.controller import ProjectController
    from orchestra.planner.plan import Plan
    from orchestra.planner.steps import Step

_LIVE = {Phase.RUNNING, Phase.PAUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What an attached ``up`` shows, and when it ends."""

    only: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    colour: bool = True
    prefix: bool = True
    timestamps: bool = False
    stop_all: bool = False
    code_from: str | None = None

    def wants(self, service: str) -> bool:
        """Tell whether a service's output is shown."""
        return service not in self.never and (not self.only or service in self.only)


async def follow_project(
    session: Session,
    controller: ProjectController,
    desired: DesiredState,
    options: UpOptions,
    attachment: Attachment,
    approve: Callable[[Plan[Step]], bool],
) -> int:
    """Bring the project up and follow it to its end; return the exit code.

    :raises OrchestraError: when a step fails.
    """
    if session.options.progress == "auto":
        session.options = replace(session.options, progress="plain")
    follower = _Follower(session, controller, desired, options, attachment)
    session.on_interrupt(follower.interrupt)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follower.watch, tasks)
            await bring_up(session, controller, desired, options, approve)
            follower.everything_started()
            await follower.over.wait()
            tasks.cancel_scope.cancel()
    except* (Interrupted, StepErrors) as group:
        if not follower.interrupted:
            raise group.exceptions[0] from None
    return await follower.finish()


class _Follower:
    def __init__(
        self,
        session: Session,
        controller: ProjectController,
        desired: DesiredState,
        options: UpOptions,
        attachment: Attachment,
    ) -> None:
        chosen = set(options.services)
        self._attached = {
            c.service
            for c in desired.containers
            if c.attach and attachment.wants(c.service) and (not chosen or c.service in chosen)
        }
        self._session, self._controller = session, controller
        self._attachment, self._options = attachment, options
        self._printer = LogPrinter(
            sorted(c.name for c in desired.containers if c.service in self._attached),
            ansi=session.options.ansi,
            colour=attachment.colour,
            prefix=attachment.prefix,
            timestamps=attachment.timestamps,
            project=controller.project,
        )
        self._since = datetime.now(UTC)
        self._following: dict[str, anyio.Event] = {}
        self._seen: dict[str, datetime] = {}
        self._code: int | None = None
        self._all_started = False
        self.over = anyio.Event()
        self.interrupted = False

    def interrupt(self) -> None:
        """Stop the project: at Ctrl-C."""
        note("Gracefully stopping... (press Ctrl+C again to force)")
        self.interrupted = True
        self._controller.interrupt()
        self.over.set()

    def everything_started(self) -> None:
        """Note that the plan is done, so that the end may be noticed."""
        self._all_started = True

    async def watch(self, tasks: TaskGroup) -> None:
        """Follow events: logs of what starts, codes of what ends."""
        await self._controller.supervision.ensure()
        async for event in self._controller.supervision.events():
            await self._handle(event, tasks)

    async def _handle(self, event: Event, tasks: TaskGroup) -> None:
        match event:
            case ContainerExited(will_restart=restarts) as ended:
                if (drained := self._following.pop(ended.container_id, None)) is not None:
                    with anyio.move_on_after(5):
                        await drained.wait()
                if ended.service in self._attached:
                    short = ended.name.removeprefix(f"{self._controller.project}-")
                    note(f"{short} exited with code {ended.exit_code}")
                if not restarts:
                    await self._ended(ended.service, ended.exit_code)
            case ContainerStarted() | Subscribed():
                for container in (await self._controller.observe()).containers:
                    self._attach(container, tasks)
            case _:
                return

    def _attach(self, container: ObservedContainer, tasks: TaskGroup) -> None:
        fresh = container.phase in _LIVE and container.id not in self._following
        if container.one_off or container.service not in self._attached or not fresh:
            return
        self._following[container.id] = anyio.Event()
        tasks.start_soon(self._print_logs, container, self._following[container.id])

    async def _print_logs(self, container: ObservedContainer, drained: anyio.Event) -> None:
        since = self._seen.get(container.id, self._since)
        lines = self._session.machine.logs(
            self._controller.project, container, follow=True, since=since
        )
        async for line in lines:
            self._printer.print(line)
        self._seen[container.id] = datetime.now(UTC)
        drained.set()

    async def _ended(self, service: str, code: int) -> None:
        if self._attachment.stop_all and self._code is None:
            wanted = self._attachment.code_from
            if wanted is None or wanted == service:
                self._code = code
            self.over.set()
        observed = await self._controller.observe()
        alive = [c for c in observed.containers if c.phase in _LIVE and c.service in self._attached]
        if self._all_started and not alive:
            self.over.set()

    async def finish(self) -> int:
        """Stop what runs when that was asked for, and return the exit code."""
        if not (self.interrupted or self._attachment.stop_all):
            return 0
        options = StopOptions(services=self._options.services, timeout=self._options.timeout)
        async with (
            progress(self._controller.bus, self._session.options),
            self._controller.transaction() as change,
        ):
            await change.run(lambda observed: plan_stop(observed, options))
        sys.stdout.flush()
        return Interrupted.exit_code if self.interrupted else self._code or 0
