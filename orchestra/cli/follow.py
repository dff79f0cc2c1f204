"""Attached ``up``: bring the project up, show its logs, stop it at Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from orchestra.cli.render.logs import LogPrinter
from orchestra.cli.render.progress import progress
from orchestra.cli.session import Session, note
from orchestra.cli.upward import bring_up
from orchestra.engine.events import ContainerExited, ContainerStarted, Subscribed
from orchestra.engine.gates import comes_back
from orchestra.errors import Interrupted, StepErrors
from orchestra.planner.desired import DesiredState
from orchestra.planner.observed import LIVE, ObservedContainer
from orchestra.planner.options import StopOptions, UpOptions
from orchestra.planner.teardown import plan_stop
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.engine.controller import ProjectController
    from orchestra.planner.plan import Plan
    from orchestra.planner.steps import Step

_DRAIN_SECONDS = 5


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
            await follower.everything_started()
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
        self._ended_once: set[str] = set()
        self._one_at_a_time = anyio.Lock()
        self._tasks: TaskGroup | None = None
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

    async def everything_started(self) -> None:
        """Note that the plan is done, so that the end may be noticed."""
        async with self._one_at_a_time:  # the end must not come while an ending is being told
            self._all_started = True
            await self._look()

    async def watch(self, tasks: TaskGroup) -> None:
        """Follow events: logs of what starts, codes of what ends."""
        self._tasks = tasks
        await self._controller.supervision.ensure()
        async for event in self._controller.supervision.events():
            async with self._one_at_a_time:
                match event:
                    case ContainerExited():
                        await self._show_unseen(event)
                        await self._ended(event)
                    case ContainerStarted() | Subscribed():
                        await self._look()
                    case _:
                        continue

    async def _show_unseen(self, event: ContainerExited) -> None:
        """Print what a container said whose life was over before the supervisor could see it."""
        if event.container_id in self._following or event.service not in self._attached:
            return
        for container in (await self._controller.observe()).containers:
            if container.id == event.container_id and not container.one_off:
                await self._print_logs(container, anyio.Event(), follow=False)

    async def _look(self) -> None:
        """Attach to what runs, and tell of what ended before anybody could see it end."""
        for container in (await self._controller.observe()).containers:
            if container.one_off or container.service not in self._attached:
                continue
            if container.phase in LIVE:
                self._attach(container)
            elif self._ended_unseen(container):
                if container.id not in self._following:
                    await self._print_logs(container, anyio.Event(), follow=False)
                await self._ended(_exit_of(container))
        await self._notice_the_end()

    def _ended_unseen(self, container: ObservedContainer) -> bool:
        finished = container.finished_at
        return (
            finished is not None
            and finished >= self._since
            and container.id not in self._ended_once
        )

    def _attach(self, container: ObservedContainer) -> None:
        if container.id not in self._following and self._tasks is not None:
            drained = self._following[container.id] = anyio.Event()
            self._tasks.start_soon(self._print_logs, container, drained)

    async def _print_logs(
        self, container: ObservedContainer, drained: anyio.Event, *, follow: bool = True
    ) -> None:
        lines = self._session.machine.access.logs(
            self._controller.project,
            container,
            follow=follow,
            since=self._seen.get(container.id, self._since),
        )
        async for line in lines:
            self._printer.print(line)
        self._seen[container.id] = datetime.now(UTC)
        drained.set()

    async def _ended(self, event: ContainerExited) -> None:
        await self._tell_of(event)
        if event.service in self._attached and not event.will_restart:
            await self._notice_the_end()

    async def _tell_of(self, event: ContainerExited) -> None:
        if event.service not in self._attached:
            return
        self._ended_once.add(event.container_id)
        if (drained := self._following.pop(event.container_id, None)) is not None:
            with anyio.move_on_after(_DRAIN_SECONDS):
                await drained.wait()
        short = event.name.removeprefix(f"{self._controller.project}-")
        note(f"{short} exited with code {event.exit_code}")
        if event.will_restart:
            return
        if self._attachment.stop_all and self._code is None:
            wanted = self._attachment.code_from
            if wanted is None or wanted == event.service:
                self._code = event.exit_code
            self.over.set()

    async def _notice_the_end(self) -> None:
        if not self._all_started:
            return
        observed = await self._controller.observe()
        attached = [c for c in observed.containers if c.service in self._attached]
        if any(c.phase in LIVE or comes_back(c) for c in attached):
            return
        for container in filter(self._ended_unseen, attached):
            await self._tell_of(_exit_of(container))
        self.over.set()  # at last: whoever waits for it cancels us

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


def _exit_of(container: ObservedContainer) -> ContainerExited:
    return ContainerExited(
        container_id=container.id,
        name=container.name,
        service=container.service,
        exit_code=container.exit_code or 0,
        will_restart=comes_back(container),
    )
