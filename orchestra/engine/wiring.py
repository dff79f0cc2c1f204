"""The engine's composition root: paths and options -> this machine. The only place that does so.

Imports are lazy by method: a command that only reads records pays for nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestra.engine.paths import Paths, paths_of
from orchestra.errors import ContainerError, HostError
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.engine.build.builds import Builds
    from orchestra.engine.build.environment import BuildEnvironment
    from orchestra.engine.build.history import BuildHistory
    from orchestra.engine.build.settled import SettledBuilds
    from orchestra.engine.clock import SystemClock
    from orchestra.engine.container.launching import LauncherClient
    from orchestra.engine.container.lifecycle import Containers
    from orchestra.engine.controller import ProjectController
    from orchestra.engine.image.settings import RegistrySettings
    from orchestra.engine.image.store import ImageStore
    from orchestra.engine.local.access import LocalAccess
    from orchestra.engine.local.containers import ContainerSteps
    from orchestra.engine.local.images import ImageSteps
    from orchestra.engine.local.library import ImageLibrary
    from orchestra.engine.local.observe import Observer
    from orchestra.engine.local.runs import LocalRuns
    from orchestra.engine.local.settled_builds import SettledImages
    from orchestra.engine.local.traffic import ImageTraffic
    from orchestra.engine.local.warden import LocalWarden
    from orchestra.engine.network.networks import Networks
    from orchestra.engine.snapshot.snapshotter import Snapshotter
    from orchestra.engine.state.store import Store
    from orchestra.engine.target import Commit, Report
    from orchestra.engine.volume.volumes import Volumes
    from orchestra.planner.desired import ContainerSpec
    from orchestra.planner.observed import ObservedState


def open_machine(environment: Mapping[str, str], *, uid: int) -> Machine:
    """Return this machine, for the paths that the environment names.

    :raises HostError: when this user cannot run containers here.
    """
    if uid != 0:
        raise HostError("cannot run containers: this needs root", hint="run it with sudo")
    return Machine(paths_of(environment, uid=uid), environment)


class Machine:
    """Everything of this machine that a command may want, each made on first use."""

    def __init__(self, paths: Paths, environment: Mapping[str, str]) -> None:
        self.paths = paths
        self._environment = environment
        self._known: dict[str, SettledBuilds] = {}

    @cached_property
    def store(self) -> Store:
        """The records of projects and containers."""
        from orchestra.engine.state.store import Store  # noqa: PLC0415 - most builds need none

        return Store(self.paths)

    @cached_property
    def _clock(self) -> SystemClock:
        from orchestra.engine.clock import SystemClock  # noqa: PLC0415

        return SystemClock()

    @cached_property
    def _containers(self) -> Containers:
        from orchestra.engine.container.lifecycle import Containers  # noqa: PLC0415

        return Containers(self.paths, self.store, self._clock)

    @cached_property
    def _networks(self) -> Networks:
        from orchestra.engine.network.networks import Networks  # noqa: PLC0415

        return Networks(self.paths, self.store)

    @cached_property
    def _volumes(self) -> Volumes:
        from orchestra.engine.volume.volumes import Volumes  # noqa: PLC0415

        return Volumes(self.paths, self.store)

    @cached_property
    def _images(self) -> ImageStore:
        from orchestra.engine.image.store import ImageStore  # noqa: PLC0415

        return ImageStore(self.paths)

    @cached_property
    def _snapshotter(self) -> Snapshotter:
        from orchestra.engine.image.layers import open_snapshotter  # noqa: PLC0415

        return open_snapshotter(self.paths, self._images)

    @cached_property
    def _settings(self) -> RegistrySettings:
        from orchestra.engine.image.settings import load_settings  # noqa: PLC0415

        return load_settings(self.paths, self._environment)

    @cached_property
    def _observer(self) -> Observer:
        # an observer asks nothing of containers but the phase
        from orchestra.engine.container.phases import PhaseReader  # noqa: PLC0415
        from orchestra.engine.local.observe import Observer  # noqa: PLC0415

        containers = cast("Containers", PhaseReader(self.paths))
        return Observer(self.store, containers, self._networks, lambda: self._images, self._clock)

    @cached_property
    def _steps(self) -> ContainerSteps:
        from orchestra.engine.local.containers import ContainerSteps  # noqa: PLC0415

        return ContainerSteps(
            self.store,
            self._containers,
            self._images,
            self._snapshotter,
            self._networks,
            self._volumes,
        )

    @cached_property
    def _image_steps(self) -> ImageSteps:
        from orchestra.engine.local.images import ImageSteps  # noqa: PLC0415
        from orchestra.oci.platform import platform_of_machine  # noqa: PLC0415

        platform = platform_of_machine(os.uname().machine)
        return ImageSteps(
            self._images, self._snapshotter, self._settings, platform, self._build_environment
        )

    def _build_environment(self, project: str) -> BuildEnvironment:
        from orchestra.engine.build.kept import build_environment  # noqa: PLC0415
        from orchestra.oci.platform import platform_of_machine  # noqa: PLC0415

        environment = build_environment(
            self.paths,
            self._images,
            self._snapshotter,
            lambda: self._settings,
            lambda: self.store,
            platform=platform_of_machine(os.uname().machine),
            variables=self._environment,
            scope=project,
        )
        return replace(environment, settled=self._settled(project))

    def containers(self, project: str) -> ObservedState:
        """Take a snapshot of a project's containers alone, for who shows or enters them.

        Blocks for a few small files a container, and needs no event loop.

        :raises StateError: when a container's record is damaged.
        """
        from orchestra.engine.local.observe import observe_containers  # noqa: PLC0415

        return observe_containers(self.store, lambda: self._images, project)

    def controller(self, project: str) -> ProjectController:
        """Return the controller of a project."""
        from orchestra.engine.controller import ProjectController  # noqa: PLC0415
        from orchestra.engine.local.target import LocalTarget  # noqa: PLC0415
        from orchestra.engine.supervisor.client import SupervisorClient  # noqa: PLC0415

        async def ensure() -> LauncherClient:
            from orchestra.engine.container.launching import LauncherClient  # noqa: PLC0415

            return await LauncherClient.ensure(self.paths, project)

        async def find() -> LauncherClient | None:
            from orchestra.engine.container.launching import LauncherClient  # noqa: PLC0415

            return await LauncherClient.find(self.paths, project)

        target = LocalTarget(
            project,
            store=self.store,
            observer=self._observer,
            images=lambda: self._image_steps,
            containers=lambda: self._steps,
            networks=self._networks,
            volumes=lambda: self._volumes,
        )
        return ProjectController(
            project,
            target=target,
            supervision=SupervisorClient(
                self.paths,
                project,
                self._supervisor_environment(),
                ensure=ensure,
                find=find,
            ),
            store=self.store,
        )

    def _supervisor_environment(self) -> Mapping[str, str]:
        from orchestra.engine.supervisor.program import environment_of  # noqa: PLC0415

        return environment_of(self.paths, self._environment)

    def warden(self, project: str) -> LocalWarden:
        """Return the supervisor's hands on a project."""
        from orchestra.engine.local.warden import LocalWarden  # noqa: PLC0415
        from orchestra.engine.supervisor.program import program_of  # noqa: PLC0415

        return LocalWarden(
            project,
            store=self.store,
            observer=self._observer,
            containers=self._containers,
            steps=self._steps,
            images=self._images,
            networks=self._networks,
            program=program_of(project, self._supervisor_environment()),
        )

    def runs(self, project: str, code: str) -> LocalRuns:
        """Return what makes one-off containers for commands of the same ``code``."""
        from orchestra.engine.local.runs import LocalRuns  # noqa: PLC0415

        hands = (self._observer, self._containers, self._steps, self._networks)
        return LocalRuns(project, code, self.store, *hands)

    def projects(self) -> tuple[str, ...]:
        """Return the names of the projects on this machine."""
        return self.store.projects()

    @cached_property
    def access(self) -> LocalAccess:
        """What is looked at and run in containers that are there."""
        from orchestra.engine.local.access import LocalAccess  # noqa: PLC0415

        return LocalAccess(self.store)

    @cached_property
    def library(self) -> ImageLibrary:
        """The images of this machine, whoever uses them."""
        from orchestra.engine.local.library import ImageLibrary  # noqa: PLC0415

        return ImageLibrary(
            self.paths,
            self.store,
            self._images,
            lambda: self._snapshotter,
            lambda: (c for project in self.projects() for c in self.containers(project).containers),
        )

    @cached_property
    def traffic(self) -> ImageTraffic:
        """What brings images in and out."""
        from orchestra.engine.local.traffic import ImageTraffic  # noqa: PLC0415

        return ImageTraffic(
            self._images,
            lambda: self._snapshotter,
            lambda: self._settings,
        )

    async def create_one_off(self, spec: ContainerSpec, report: Report, *, aliases: bool) -> str:
        """Write the container of a `run` down and return its id.

        Without ``aliases`` nobody finds it under the service's names, only under its own.

        :raises EngineError: when its image, a network or a volume is not there.
        """
        from orchestra.planner.steps import CreateContainer  # noqa: PLC0415

        step = CreateContainer(container=spec, reason="run")
        return await self._steps.create(
            spec.project, step, report=report, one_off=True, aliases=aliases
        )

    async def run_foreground(self, project: str, container_id: str, *, stdin: bool) -> int:
        """Run a created container on our own streams; return its exit code.

        :raises EngineError: when it does not start.
        """
        from orchestra.engine.container.foreground import Foreground, Streams  # noqa: PLC0415

        foreground = Foreground(self.paths, self.store, self._networks, project)
        return await foreground.run(container_id, Streams(stdin=0 if stdin else None))

    async def start(self, spec: ContainerSpec) -> None:
        """Start the newest container of that name.

        :raises EngineError: when it does not start.
        """
        from orchestra.planner.steps import StartContainer  # noqa: PLC0415

        step = StartContainer(name=spec.name, service=spec.service, reason="run")
        await self._steps.start(spec.project, step)

    async def remove(self, project: str, container_id: str) -> None:
        """Remove a container that does not run, with its anonymous volumes.

        :raises ContainerError: when it runs.
        """
        from orchestra.planner.steps import RemoveContainer  # noqa: PLC0415

        await self._steps.remove(
            project,
            RemoveContainer(
                container_id=container_id, name="", service="", volumes=True, reason="run --rm"
            ),
        )

    async def wait(self, project: str, container_id: str) -> int:
        """Wait until a container does not run, and return its exit code.

        :raises ContainerError: when it is gone, or nobody knows how it ended.
        """
        record = self.store.container(project, container_id)
        ended = None if record is None else await self._containers.wait(record)
        if ended is None:
            raise ContainerError(f"nobody knows how container {container_id[:12]} ended")
        return ended["code"]

    async def pause(self, project: str, container_id: str, *, paused: bool) -> None:
        """Stop every process of a container where it is, or let them go on.

        :raises ContainerError: when it is not in the state for it.
        """
        async with self._steps.locked(project, container_id) as record:
            if record is not None:
                await (self._containers.pause if paused else self._containers.resume)(record)

    def builds(self, project: str) -> Builds:
        """Return what builds and checks images outside of plans; "" is no project's."""
        from orchestra.engine.build.builds import Builds  # noqa: PLC0415 - only builds pay

        environment = self._build_environment(project)
        return Builds(environment, self._images, lambda: self._settings)

    def settled_images(self, project: str) -> SettledImages:
        """Return what is known of builds that were done; needs no event loop."""
        from orchestra.engine.local.settled_builds import SettledImages  # noqa: PLC0415

        return SettledImages(self._images, self._settled(project), self._journals)

    def _settled(self, project: str) -> SettledBuilds:
        """Return what is known of a project's builds, the same for all that ask."""
        from orchestra.engine.build.settled import SettledBuilds  # noqa: PLC0415
        from orchestra.oci.platform import platform_of_machine  # noqa: PLC0415

        if project not in self._known:
            self._known[project] = SettledBuilds(
                self._images,
                self.paths,
                platform=platform_of_machine(os.uname().machine),
                variables=self._environment,
                scope=project,
            )
        return self._known[project]

    @property
    def _journals(self) -> Path:
        return Path(self.paths.build_cache / "history")

    @property
    def build_history(self) -> BuildHistory:
        """The records of the builds that were done here."""
        from orchestra.engine.build.history import BuildHistory  # noqa: PLC0415

        return BuildHistory(self._journals)

    async def commit(self, project: str, container_id: str, wanted: Commit) -> str:
        """Make an image of a container, running or not; return its id.

        :raises EngineError: when a change is wrong, or the container's image is gone.
        """
        from orchestra.engine.build.commit import commit_image  # noqa: PLC0415

        async with self._steps.locked(project, container_id) as record:
            if record is None:
                raise ContainerError(f"no container {container_id[:12]}")
            return await commit_image(record, wanted, self._containers, self._images, self.paths)

    async def kill(self, project: str, container_id: str, signal: str) -> None:
        """Send a signal to a container.

        :raises ContainerError: when it does not run, or there is no such signal.
        """
        record = self.store.container(project, container_id)
        if record is not None:
            await self._steps.kill(record, signal)
