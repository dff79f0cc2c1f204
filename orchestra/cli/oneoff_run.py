"""The walk of `run`: dependencies up, container made, run to its end, removed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from orchestra.cli.oneoff import OneOff, one_off_spec
from orchestra.cli.plain import variables
from orchestra.cli.render.progress import progress
from orchestra.cli.transact import always_fetched, references_of
from orchestra.cli.upward import pass_gates
from orchestra.errors import ContainerError, UsageError
from orchestra.planner.desired import ContainerSpec, DesiredState, PullPolicy
from orchestra.planner.observed import ObservedState
from orchestra.planner.oneoff import split_plan, with_one_off, with_places
from orchestra.planner.options import UpOptions
from orchestra.planner.plan import Plan
from orchestra.planner.reconcile import plan_images, plan_up
from orchestra.planner.steps import Gate, Step
from orchestra.spec.environment import parse_dotenv, read_env_file
from orchestra.spec.findings import Misfit
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.engine.controller import ProjectController, Transaction
    from orchestra.spec.model.project import Project

_PATIENCE = 3
"""Signals of one kind that are passed on; the last one is SIGKILL, as docker's is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a container is run, beyond what it is."""

    detach: bool = False
    remove: bool = False
    no_deps: bool = False
    build: bool = False
    pull: PullPolicy | None = None
    remove_orphans: bool = False
    quiet: bool = False
    quiet_transfers: bool = False


def check(*exclusive: Mapping[str, bool]) -> None:
    """Refuse options that exclude each other.

    :raises UsageError: when all of one group are given.
    """
    for group in exclusive:
        if all(group.values()):
            raise UsageError(f"{' and '.join(group)} cannot be combined", hint="leave out one")


def environment_of(
    options: Iterable[str], files: Iterable[str], environment: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the variables of ``--env`` and, underneath, those of ``--env-from-file``.

    :raises UsageError: when a file cannot be read.
    """
    found: dict[str, str] = {}
    for file in files:
        try:
            found |= parse_dotenv(read_env_file(Path(file)), environment.get)
        except Misfit as err:
            raise UsageError(f"--env-from-file: {err.message}", hint=err.hint) from err
    return {**found, **variables(options, environment)}


async def run_one_off(session: Session, wanted: OneOff, manner: Manner) -> int:
    """Run a service's one-off container; return the exit code (0 when detached).

    :raises OrchestraError: when a dependency fails, or the container does not start.
    """
    desired = _desired(session, wanted)
    template = next(c for c in desired.containers if c.service == wanted.service)
    spec = one_off_spec(template, wanted)
    if manner.quiet:
        session.options = replace(session.options, progress="quiet")
    controller = session.controller(desired.project)
    async with (
        progress(controller.bus, session.options, quiet_transfers=manner.quiet_transfers),
        controller.transaction() as change,
    ):
        gates = await _prepare(controller, change, desired, spec, manner)
        if gates:
            await pass_gates(controller, gates)
        container_id = await session.machine.create_one_off(
            spec, controller.bus.publish, aliases=wanted.aliases
        )
    try:
        if manner.detach:
            await controller.supervision.ensure()
            await session.machine.start(spec)
            print(container_id)
            return 0
        return await _run(session, controller.project, container_id, stdin=wanted.stdin)
    finally:
        if manner.remove:
            with anyio.CancelScope(shield=True):
                await session.machine.remove(controller.project, container_id)


def _desired(session: Session, wanted: OneOff) -> DesiredState:
    directory, home = str(Path.cwd()), session.environment.get("HOME")
    service, runtime = wanted.service, session.runtime

    secret = False

    def make(project: Project) -> DesiredState:
        nonlocal secret
        secret = any(one.environment for one in project.secrets.values())
        from orchestra.cli.oneoff_project import adapted_project
        from orchestra.planner.compile import compile_project

        adapted = adapted_project(project, wanted, directory=directory, home=home)
        return compile_project(adapted, scale={service: 1}, runtime=runtime)

    asked = (
        runtime,
        service,
        wanted.volumes,
        wanted.publish,
        wanted.service_ports,
        directory,
        home,
    )
    desired = session.state_made(f"run {asked}", make, (service,))
    if not (wanted.volumes or wanted.publish or wanted.service_ports or secret):
        _remember(session, service, desired)
    return desired


def _remember(session: Session, service: str, desired: DesiredState) -> None:
    """Remember the state for the plain way, unless that has warnings to tell or images to fetch."""
    from orchestra.cli.plain import run_identity
    from orchestra.engine.state.codec import encode
    from orchestra.engine.state.memo import Memo

    found = run_identity(session.options, session.environment, service)
    if found is None or not session.quiet or always_fetched(desired):
        return
    memo = Memo(Path(session.machine.paths.memo))
    if memo.get(found[1]) is None:
        memo.put(found[1], {"warnings": [], "value": encode(desired)})


async def _prepare(
    controller: ProjectController,
    change: Transaction,
    desired: DesiredState,
    spec: ContainerSpec,
    manner: Manner,
) -> tuple[Gate, ...]:
    """Bring up what the container needs; return what it has to wait for."""
    state, name = with_one_off(desired, spec)
    references = references_of(state)
    options = UpOptions(
        services=(name,),
        no_deps=manner.no_deps,
        build=manner.build,
        pull=manner.pull,
        remove_orphans=manner.remove_orphans,
    )
    if manner.build or manner.pull or always_fetched(desired):
        await change.run(
            lambda observed: plan_images(state, observed, options), references=references
        )
    found: list[Gate] = []

    def decide(observed: ObservedState) -> Plan[Step]:
        if any(container.name == name for container in observed.containers):
            raise ContainerError(
                f'cannot create container "{name}": there is one of that name',
                hint=f"remove it, or choose another --name: see `orchestra ps -a {spec.service}`",
            )
        plan, gates = split_plan(plan_up(state, observed, options), name)
        found.extend(gates)
        return plan

    change.remember(with_places(controller.wished().state, desired))
    await change.run(decide, references=references)
    return () if manner.no_deps else tuple(found)


async def _run(session: Session, project: str, container_id: str, *, stdin: bool) -> int:
    """Run in the foreground, passing signals on to the container."""
    received, signals = anyio.create_memory_object_stream[int](16)
    counts: dict[int, int] = {}

    def forward(number: int) -> None:
        counts[number] = counts.get(number, 0) + 1
        last = counts[number] >= _PATIENCE
        with suppress(anyio.WouldBlock):
            received.send_nowait(signal.SIGKILL if last else number)

    async def deliver() -> None:
        async for number in signals:
            with suppress(ContainerError):  # not there yet, or not any more
                name = signal.Signals(number).name
                await session.machine.kill(project, container_id, name)

    with received, signals, session.forwarding(forward):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver)
            code = await session.machine.run_foreground(project, container_id, stdin=stdin)
            tasks.cancel_scope.cancel()
    sys.stdout.flush()
    return code
