"""LocalTarget: each kind of step to its handler, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, assert_never

import anyio

from orchestra.engine.local.observe import Observer
from orchestra.engine.state.store import Store
from orchestra.engine.target import Report
from orchestra.planner.observed import ObservedState
from orchestra.planner.steps import (
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    PullImage,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    Step,
    StopContainer,
)

if TYPE_CHECKING:
    from orchestra.engine.local.containers import ContainerSteps
    from orchestra.engine.local.images import ImageSteps
    from orchestra.engine.network.networks import Networks
    from orchestra.engine.volume.volumes import Volumes


class LocalTarget:
    """Implements :class:`orchestra.engine.target.Target` for one project on this machine.

    Handlers come as functions: what a plan never touches is never imported.
    """

    def __init__(
        self,
        project: str,
        *,
        store: Store,
        observer: Observer,
        images: Callable[[], ImageSteps],
        containers: Callable[[], ContainerSteps],
        networks: Networks,
        volumes: Callable[[], Volumes],
    ) -> None:
        self._project = project
        self._store = store
        self._observer = observer
        self._images = images
        self._containers = containers
        self._networks = networks
        self._volumes = volumes

    async def observe(self, project: str, references: Sequence[str] = ()) -> ObservedState:
        """Take a snapshot; see Target.observe."""
        return await anyio.to_thread.run_sync(self._observer.observe, project, references)

    async def apply(self, step: Step, report: Report) -> None:
        """Carry out one step; see Target.apply."""
        match step:
            case PullImage() | BuildImage() | RemoveImage():
                await self._apply_image(step, report)
            case CreateContainer():
                await self._containers().create(self._project, step, report=report)
            case StartContainer():
                await self._containers().start(self._project, step)
            case StopContainer():
                await self._containers().stop(self._project, step)
            case RemoveContainer():
                await self._containers().remove(self._project, step)
            case CreateNetwork() | RemoveNetwork():
                await self._apply_network(step)
            case CreateVolume():
                await self._volumes().create(step.volume, self._project)
            case RemoveVolume():
                await self._volumes().remove(step.name)
            case _:
                assert_never(step)

    async def _apply_image(
        self, step: PullImage | BuildImage | RemoveImage, report: Report
    ) -> None:
        match step:
            case PullImage():
                await self._images().pull(step.image, report)
            case BuildImage():
                await self._images().build(self._project, step.image, report)
            case RemoveImage():
                await self._images().remove(step)

    async def _apply_network(self, step: CreateNetwork | RemoveNetwork) -> None:
        if isinstance(step, RemoveNetwork):
            if (record := self._store.network(step.name)) is not None:
                await self._networks.remove(record)
            from orchestra.engine.network.buildnet import sweep  # noqa: PLC0415

            await sweep(self._store.paths, self._store)  # what a killed build left
        elif (record := self._store.network(step.network.name)) is not None:
            await self._networks.ensure(record)
        else:
            await self._networks.create(step.network, self._project)
