"""One-off containers of a project on this machine, made by its supervisor: supervisor.runs.Runs.

It is the walk of cli/oneoff_run.py for the case that nothing has to be done before: the plan is
empty, and all that the container waits for is there. Whatever else comes up is left to that walk,
nothing having been done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra.engine.container.failures import StartError
from orchestra.engine.container.foreground import Foreground
from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.container.left_out import possible
from orchestra.engine.container.lifecycle import Containers
from orchestra.engine.events import Event
from orchestra.engine.gates import judge
from orchestra.engine.local.containers import ContainerSteps
from orchestra.engine.local.observe import Observer
from orchestra.engine.network.networks import Networks
from orchestra.engine.state.codec import DecodeError, decode
from orchestra.engine.state.lock import at_once, container_lock
from orchestra.engine.state.memo import Memo
from orchestra.engine.state.records import ContainerRecord
from orchestra.engine.state.store import Store
from orchestra.engine.state.wishes import remember
from orchestra.engine.target import Begun, RunRequest
from orchestra.errors import OrchestraError
from orchestra.planner.desired import ContainerSpec, DesiredState
from orchestra.planner.oneoff import run_spec, split_plan, with_one_off, with_places
from orchestra.planner.options import UpOptions
from orchestra.planner.reconcile import plan_up
from orchestra.planner.steps import CreateContainer, RemoveContainer
from orchestra.values import replace

_END_SECONDS = 30.0
"""How long a container may take to end by itself once nobody is there for it any more."""


class LocalRuns:
    """One project's one-off containers; keeps nothing of one that has ended."""

    def __init__(
        self,
        project: str,
        code: str,
        store: Store,
        observer: Observer,
        containers: Containers,
        steps: ContainerSteps,
        networks: Networks,
    ) -> None:
        """``code``: which program this is (orchestra.sources); it serves no other one."""
        self._project = project
        self._code = code
        self._store = store
        self._memo = Memo(Path(store.paths.memo))
        self._observer = observer
        self._containers = containers
        self._steps = steps
        self._networks = networks
        self._turn = anyio.Lock()

    async def begin(self, request: RunRequest, stdio: Sequence[int]) -> Begun | None:
        """See Runs.begin."""
        desired = self._desired(request.key) if request.code == self._code else None
        if desired is None or desired.project != self._project:
            return None
        async with self._turn:
            with at_once(self._store.paths, self._project) as held:
                record = await self._create(desired, request) if held else None
        if record is None:
            return None
        try:
            return await self._start(record, stdio)
        except BaseException as err:
            with anyio.CancelScope(shield=True):
                await self._remove(record.id)
            if isinstance(err, StartError):  # nothing ran; another says so
                return None
            raise

    def _desired(self, key: str) -> DesiredState | None:
        match self._memo.get(key):
            case {"value": value}:
                try:
                    return decode(DesiredState, value)
                except DecodeError:
                    return None
            case _:
                return None

    async def _create(self, desired: DesiredState, request: RunRequest) -> ContainerRecord | None:
        """Write the container down where all that it needs is there; the project is locked."""
        try:
            spec = await anyio.to_thread.run_sync(self._decide, desired, request)
            if spec is None:
                return None
            known = self._store.wished(self._project).state
            remember(self._store, self._project, with_places(known, desired))
            step = CreateContainer(container=spec, reason="run")
            aliases = request.run.aliases
            created = await self._steps.create(
                self._project, step, report=_unheard, one_off=True, aliases=aliases
            )
        except OrchestraError:  # another finds it too, and says so
            return None
        record = self._store.container(self._project, created)
        if record is not None:
            self._networks.written(record)
        return record

    def _decide(self, desired: DesiredState, request: RunRequest) -> ContainerSpec | None:
        """Return the container; None when there is one of its name, or more to be done or said."""
        run = request.run
        template = next((c for c in desired.containers if c.service == run.service), None)
        if template is None or template.post_start or possible(template.resources).remarks:
            return None
        spec = run_spec(template, run)
        state, name = with_one_off(desired, spec)
        references = tuple(image.reference for image in state.images)
        observed = self._observer.observe(self._project, references)
        if any(container.name == name for container in observed.containers):
            return None
        options = UpOptions(services=(name,), no_deps=request.no_deps)
        plan, gates = split_plan(plan_up(state, observed, options), name)
        waits = () if request.no_deps else gates
        ready = all(judge(gate, observed, frozenset()) == "" for gate in waits)
        return spec if plan.empty and ready else None

    async def _start(self, record: ContainerRecord, stdio: Sequence[int]) -> Begun | None:
        paths = self._store.paths
        foreground = Foreground(paths, self._store, self._networks, self._project)
        given = (stdio[0], stdio[1], stdio[2]) if stdio else None
        async with container_lock(paths, self._project, record.id):
            record, request = await foreground.prepare(record)
            launcher = LauncherClient.of(paths, self._project)
            descriptors = await launcher.hand_over(request, given)
            self._store.write_container(replace(record, started_at=datetime.now(UTC)))
        return Begun(container_id=record.id, descriptors=descriptors)

    async def end(self, container_id: str, *, remove: bool) -> None:
        """See Runs.end."""
        record = self._store.container(self._project, container_id)
        if record is None:
            return
        with anyio.move_on_after(_END_SECONDS):
            await self._containers.wait(record)
        if remove:
            await self._remove(container_id)
        else:
            await self._networks.unpublish(record)

    async def _remove(self, container_id: str) -> None:
        step = RemoveContainer(
            container_id=container_id, name="", service="", volumes=True, reason="run --rm"
        )
        await self._steps.remove(self._project, step)
        self._store.forget_container(self._project, container_id)


def _unheard(_event: Event) -> None:
    """Take what a step tells: there is nothing, where ``possible`` has nothing to remark."""
