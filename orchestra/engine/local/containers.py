"""Handlers of Create-, Start-, Stop- and RemoveContainer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Literal

import anyio
from anyio import to_thread

from orchestra.engine.container.left_out import possible
from orchestra.engine.container.lifecycle import Containers
from orchestra.engine.container.starting import Start
from orchestra.engine.events import Warned
from orchestra.engine.image.store import ImageStore
from orchestra.engine.local.observe import HEALTH_FILE
from orchestra.engine.network.networks import Networks
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.engine.state.lock import container_lock
from orchestra.engine.state.records import (
    ContainerRecord,
    Endpoint,
    ImageMount,
    NetworkRecord,
    VolumeUse,
    Wanted,
)
from orchestra.engine.state.store import Store
from orchestra.engine.target import Report
from orchestra.engine.volume.volumes import Volumes
from orchestra.errors import ContainerError, NetworkError, OrchestraError, VolumeError, ungrouped
from orchestra.oci.image import Image
from orchestra.oci.platform import Platform, parse_platform
from orchestra.planner.desired import ContainerSpec, DesiredState, Hook, Mount, MountKind
from orchestra.planner.observed import LIVE, Phase
from orchestra.planner.steps import CreateContainer, RemoveContainer, StartContainer, StopContainer
from orchestra.values import replace


class ContainerSteps:
    """What plans, and the supervisor, do with containers of this machine."""

    def __init__(
        self,
        store: Store,
        containers: Containers,
        images: ImageStore,
        snapshotter: Snapshotter,
        networks: Networks,
        volumes: Volumes,
    ) -> None:
        self._store = store
        self._containers = containers
        self._images = images
        self._snapshotter = snapshotter
        self._networks = networks
        self._volumes = volumes
        self._addresses = anyio.Lock(fast_acquire=True)

    async def create(
        self,
        project: str,
        step: CreateContainer,
        *,
        report: Report,
        one_off: bool = False,
        aliases: bool = True,
    ) -> str:
        """Write a container down, with its volumes and its place on every network; return its id.

        Without ``aliases`` nobody finds it there but by its own name. Does nothing when the same
        container is there already and is not the one to be replaced. Limits that it goes without
        are reported.

        :raises EngineError: when its image, a network or a volume is not there.
        """
        with self._images.writing():  # no sweep takes the image before the container is known
            created = await self._create(project, step, one_off=one_off, aliases=aliases)
        for remark in possible(step.container.resources).remarks:
            report(Warned(message=f"{step.container.name}: {remark}"))
        return created

    async def _create(
        self, project: str, step: CreateContainer, *, one_off: bool, aliases: bool
    ) -> str:
        spec = step.container
        desired = self._store.wished(project).state
        image = self._images.get(spec.image, _platform_of(spec.image, desired))
        if image is None:
            raise ContainerError(
                f'cannot create container "{spec.name}": no image "{spec.image}" in the store',
                hint=f"run `orchestra pull {spec.service}` or `orchestra build {spec.service}`",
            )
        for record in self._store.containers(project):
            same = (record.spec.name, record.spec.config_hash, record.image_id) == (
                spec.name,
                spec.config_hash,
                image.id,
            )
            if same and record.id != step.inherit:
                return record.id
        layers = await self._snapshotter.ensure_layers(image)
        uses, mounts = await self._prepare_volumes(step, image, layers, desired)
        shown = [await self._shown(m) for m in spec.mounts if m.kind is MountKind.IMAGE]
        async with self._addresses:
            endpoints = self._endpoints(spec, desired)
            if not aliases:
                endpoints = tuple(replace(each, aliases=(spec.name,)) for each in endpoints)
            created = await self._containers.create(
                spec,
                image,
                layers=layers,
                endpoints=endpoints,
                mounts=mounts,
                volumes=uses,
                images=shown,
                ports=self._networks.choose_ports(spec.ports),
                one_off=one_off,
            )
        return created.id

    async def _shown(self, mount: Mount) -> ImageMount:
        """Return an image whose files are mounted, unpacked."""
        image = self._images.get(mount.source)
        if image is None:
            raise ContainerError(
                f'cannot mount "{mount.source}": no such image in the store',
                hint="run `orchestra up` again",
            )
        layers = tuple(await self._snapshotter.ensure_layers(image))
        return ImageMount(target=mount.target, image_id=image.id, layers=layers)

    def _endpoints(self, spec: ContainerSpec, desired: DesiredState | None) -> tuple[Endpoint, ...]:
        names = {network.key: network.name for network in desired.networks} if desired else {}
        records: dict[str, NetworkRecord] = {}
        for attachment in spec.networks:
            name = names.get(attachment.network, f"{spec.project}_{attachment.network}")
            record = self._store.network(name)
            if record is None:
                raise NetworkError(
                    f'cannot create container "{spec.name}": no network "{name}"',
                    hint="run `orchestra up` again",
                )
            records[attachment.network] = record
        return self._networks.endpoints(spec, records)

    async def _prepare_volumes(
        self,
        step: CreateContainer,
        image: Image,
        layers: tuple[str, ...],
        desired: DesiredState | None,
    ) -> tuple[tuple[VolumeUse, ...], Mapping[str, str]]:
        names = {volume.key: volume.name for volume in desired.volumes} if desired else {}
        spec = step.container
        inherited = {} if step.fresh_volumes else step.anonymous_volumes
        uses: list[VolumeUse] = []
        mounts: dict[str, str] = {}
        wanted = [mount for mount in spec.mounts if mount.kind is MountKind.VOLUME]
        covered = {mount.target.rstrip("/") for mount in spec.mounts}
        wanted += [
            Mount(kind=MountKind.VOLUME, target=path)
            for path in image.config.volumes
            if path not in covered
        ]
        for mount in wanted:
            target, key = mount.target, mount.source
            if key:
                name = names.get(key, f"{spec.project}_{key}")
            else:
                name = inherited.get(target) or await self._volumes.create_anonymous(
                    spec.project, mount.labels
                )
            if self._store.volume(name) is None:
                raise VolumeError(
                    f'cannot create container "{spec.name}": no volume "{name}"',
                    hint="run `orchestra up` again",
                )
            if not (mount.nocopy or mount.subpath):
                await self._volumes.copy_up(name, layers, target)
            mounts[target] = str(self._volumes.path(name))
            uses.append(VolumeUse(volume=name, target=target, anonymous=not key))
        return tuple(uses), mounts

    async def start(self, project: str, step: StartContainer) -> None:
        """Start the newest container of that name, and run its ``post_start`` hooks.

        They run once the lock is given back; a one-off command may have ended before them.

        :raises EngineError: when there is none, it does not start, or a hook fails.
        """
        named = [r for r in self._store.containers(project) if r.spec.name == step.name]
        if not named:
            raise ContainerError(
                f'cannot start container "{step.name}": there is none', hint="run `orchestra up`"
            )
        async with container_lock(self._store.paths, project, named[-1].id):
            record = self._store.container(project, named[-1].id)
            if record is None:
                return
            phase = self._containers.phase(record)[0]
            fresh = phase not in LIVE or record.hooks_due
            due = fresh and bool(record.spec.post_start)
            try:
                if (record.restarts, record.hooks_due) != (0, due):
                    record = replace(record, restarts=0, hooks_due=due)
                record = await self.start_locked(record, phase)
            except OrchestraError as err:
                self._store.write_container(replace(record, wanted=Wanted.STOPPED))
                err.hint = err.hint or f"check the image and services.{step.service} in the file"
                raise
        if not record.spec.post_start:
            return
        if fresh and not (record.one_off and self._containers.phase(record)[0] not in LIVE):
            try:
                await self._run_hooks(record, "post_start", record.spec.post_start)
            finally:
                await self._hooks_done(record)

    async def _hooks_done(self, record: ContainerRecord) -> None:
        """Remember that the hooks have run, well or not: only a kill in between leaves them due."""
        if not record.hooks_due:
            return
        with anyio.CancelScope(shield=True):
            async with self.locked(record.spec.project, record.id) as now:
                if now is not None:
                    self._store.write_container(replace(now, hooks_due=False))

    async def _run_hooks(
        self,
        record: ContainerRecord,
        kind: Literal["post_start", "pre_stop"],
        hooks: Sequence[Hook],
    ) -> None:
        if hooks:
            from orchestra.engine.container.hooks import run_hooks  # noqa: PLC0415

            await run_hooks(self._store.paths, record, kind, hooks)

    async def start_locked(
        self, record: ContainerRecord, phase: Phase | None = None
    ) -> ContainerRecord:
        """Start a container whose lock is held: one that runs is left alone, a paused one goes on.

        ``phase``: where the caller has just asked for it.

        :raises EngineError: when it does not start.
        """
        phase = self._containers.phase(record)[0] if phase is None else phase
        match phase:
            case Phase.RUNNING:
                return record
            case Phase.PAUSED:
                await self._containers.resume(record)
                return record
            case _:
                pass
        record = replace(record, wanted=Wanted.RUNNING)
        try:
            if phase is Phase.LOST:
                await self._containers.clear_away(record)
            start = await to_thread.run_sync(self._prepare, record)
            if start is None:
                await self._networks.mend(record)
                start = await to_thread.run_sync(self._containers.prepare, record)
            return await self._containers.launch(start)
        except OrchestraError:
            with anyio.CancelScope(shield=True):
                await self._networks.unpublish(record)
            raise

    def _prepare(self, record: ContainerRecord) -> Start | None:
        """Write down that it is wanted, publish it and write its shim's request; blocks.

        Returns None where a network is to be mended first. All in one go, for each way to a thread
        and back takes a quarter of a millisecond.
        """
        self._store.write_container(record)
        directory = self._store.paths.container(record.spec.project, record.id)
        with suppress(FileNotFoundError):
            os.unlink(f"{directory}/{HEALTH_FILE}")  # noqa: PTH108 - at each start
        return self._containers.prepare(record) if self._networks.settle(record) else None

    @asynccontextmanager
    async def locked(
        self, project: str, container_id: str
    ) -> AsyncIterator[ContainerRecord | None]:
        """Hold a container's lock; give its record as it then is, None when it is gone."""
        async with container_lock(self._store.paths, project, container_id):
            yield self._store.container(project, container_id)

    async def stop(self, project: str, step: StopContainer) -> None:
        """Run a container's ``pre_stop`` hooks, stop it, and remember that this was wanted.

        :raises ContainerError: when a hook fails; then it goes on running.
        """
        record = self._store.container(project, step.container_id)
        if record is not None and self._containers.phase(record)[0] is Phase.RUNNING:
            await self._run_hooks(record, "pre_stop", record.spec.pre_stop)
        async with container_lock(self._store.paths, project, step.container_id):
            record = self._store.container(project, step.container_id)
            if record is not None:
                await self.stop_locked(record, step.timeout, wanted=Wanted.STOPPED)

    async def stop_locked(
        self, record: ContainerRecord, timeout: timedelta | None = None, *, wanted: Wanted
    ) -> ContainerRecord:
        """Stop a container whose lock is held, having written down what is wanted of it."""
        record = replace(record, wanted=wanted)
        self._store.write_container(record)
        await self._containers.stop(record, timeout=timeout)
        await self._networks.unpublish(record)
        return record

    async def kill(self, record: ContainerRecord, signal: str) -> None:
        """Send a signal to a container.

        :raises ContainerError: when it does not run, or there is no such signal.
        """
        await self._containers.kill(record, signal)

    async def remove(self, project: str, step: RemoveContainer) -> None:
        """Remove a container that does not run, with its anonymous volumes if asked to."""
        async with container_lock(self._store.paths, project, step.container_id):
            record = self._store.container(project, step.container_id)
            if record is None:
                return
            if self._containers.phase(record)[0] in LIVE:  # healed since the plan was made
                record = await self.stop_locked(record, wanted=Wanted.STOPPED)
            with ungrouped():
                async with anyio.create_task_group() as tasks:
                    # the kernel lets deletions wait for a grace period: its files go meanwhile
                    tasks.start_soon(self._networks.unpublish, record)
                    await self._containers.remove(record)
        if step.volumes:
            kept = _volumes_of(self._store.containers(project))
            for use in record.volumes:
                if use.anonymous and use.volume not in kept:
                    await self._volumes.remove(use.volume)


def _volumes_of(records: tuple[ContainerRecord, ...]) -> set[str]:
    return {use.volume for record in records for use in record.volumes}


def _platform_of(reference: str, desired: DesiredState | None) -> Platform | None:
    """Return the platform that a project wants of an image; None is this machine's."""
    images = desired.images if desired else ()
    found = (image.platform for image in images if image.reference == reference)
    platform = next(found, None)
    return parse_platform(platform) if platform else None
