"""A pure model of the engine: what the world is after a plan, and what the engine would refuse.

Strict where the engine is: a step whose ground is not there fails the test that simulates it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from orchestra.planner.desired import ContainerSpec, DesiredState, MountKind
from orchestra.planner.fingerprint import build_hash
from orchestra.planner.observed import (
    ObservedContainer,
    ObservedImage,
    ObservedNetwork,
    ObservedState,
    ObservedVolume,
    Phase,
)
from orchestra.planner.plan import Plan
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

LIVE = {Phase.RUNNING, Phase.PAUSED}


class PortTaken(Exception):
    """A container that the plan does not touch has a port that another one publishes."""


def simulate(
    observed: ObservedState, plan: Plan[Step], desired: DesiredState | None = None
) -> ObservedState:
    """Return the world after a plan, its steps taken one by one in the plan's order."""
    world = World(observed, desired)
    world.stopping = {s.container_id for s in plan.steps if isinstance(s, StopContainer)}
    for step in plan.steps:
        world.apply(step)
    return world.state()


class World:
    """The machine, as far as one project is concerned."""

    def __init__(self, observed: ObservedState, desired: DesiredState | None) -> None:
        self.observed = observed
        self.network_names = {n.key: n.name for n in desired.networks} if desired else {}
        self.volume_names = {v.key: v.name for v in desired.volumes} if desired else {}
        self.containers = {c.id: c for c in observed.containers}
        self.networks = {n.name: n for n in observed.networks}
        self.volumes = {v.name: v for v in observed.volumes}
        self.images = {i.reference: i for i in observed.images}
        self.counter = 0
        self.stopping: set[str] = set()
        self.attached = {
            c.id: {n.name for n in observed.networks for p in c.networks if n.key == p.network}
            for c in observed.containers
        }

    def state(self) -> ObservedState:
        """Return a snapshot."""
        return replace(
            self.observed,
            containers=tuple(self.containers.values()),
            networks=tuple(self.networks.values()),
            volumes=tuple(self.volumes.values()),
            images=tuple(self.images.values()),
        )

    def apply(self, step: Step) -> None:
        """Take one step."""
        match step:
            case PullImage() | BuildImage() | RemoveImage():
                self._apply_image(step)
            case CreateNetwork():
                self._create_network(step)
            case RemoveNetwork():
                users = [
                    c.name for c in self.containers.values() if step.name in self.attached[c.id]
                ]
                assert not users, f"{step.id}: {users} on it"
                del self.networks[step.name]
            case CreateVolume():
                self._create_volume(step)
            case RemoveVolume():
                users = [c.name for c in self.containers.values() if step.name in c.volumes]
                assert not users, f"{step.id}: {users} use it"
                self.volumes.pop(step.name, None)
            case CreateContainer():
                self._create(step)
            case StartContainer():
                self._start(step)
            case StopContainer():
                self._stop(step)
            case RemoveContainer():
                self._remove(step)

    def _apply_image(self, step: PullImage | BuildImage | RemoveImage) -> None:
        match step:
            case PullImage():
                ref = step.image.reference
                self.images[ref] = ObservedImage(reference=ref, id=f"pulled:{ref}")
            case BuildImage():
                assert step.image.build is not None
                ref = step.image.reference
                self.images[ref] = ObservedImage(
                    reference=ref, id=f"built:{ref}", build_hash=build_hash(step.image.build)
                )
            case RemoveImage():
                assert all(c.image != step.reference for c in self.containers.values())
                del self.images[step.reference]

    def _create_volume(self, step: CreateVolume) -> None:
        assert step.volume.name not in self.volumes, f"{step.id}: it is there"
        self.volumes[step.volume.name] = ObservedVolume(
            key=step.volume.key,
            name=step.volume.name,
            project=self.observed.project,
            config_hash=step.volume.config_hash,
        )

    def _create_network(self, step: CreateNetwork) -> None:
        there = self.networks.get(step.network.name)
        assert there is None or not there.present, f"{step.id}: it is there"
        if there is not None:
            self.networks[there.name] = replace(there, present=True)
            return
        self.networks[step.network.name] = ObservedNetwork(
            key=step.network.key,
            name=step.network.name,
            project=self.observed.project,
            config_hash=step.network.config_hash,
        )

    def _create(self, step: CreateContainer) -> None:
        spec = step.container
        assert spec.image in self.images, f"{step.id}: no image"
        for place in spec.networks:
            network = self.networks.get(self.network_names[place.network])
            assert network is not None, f"{step.id}: no network {place.network}"
            assert network.present, f"{step.id}: no bridge for {place.network}"
        namesakes = [c for c in self.containers.values() if c.name == spec.name]
        assert all(c.id == step.inherit for c in namesakes), f"{step.id}: the name is taken"
        assert step.inherit is None or step.inherit in self.containers
        self.counter += 1
        number = f"{self.counter:04d}"
        self.attached[f"new{number}"] = {self.network_names[p.network] for p in spec.networks}
        self.containers[f"new{number}"] = ObservedContainer(
            id=f"new{number}",
            name=spec.name,
            service=spec.service,
            number=spec.number,
            image=spec.image,
            image_id=self.images[spec.image].id,
            config_hash=spec.config_hash,
            phase=Phase.CREATED,
            created_at=self.observed.taken_at + timedelta(seconds=self.counter),
            depends_on=spec.depends_on,
            networks=spec.networks,
            volumes=self._volumes_of(spec, step),
            ports=spec.ports,
            restart=spec.restart,
        )

    def _volumes_of(self, spec: ContainerSpec, step: CreateContainer) -> tuple[str, ...]:
        names: list[str] = []
        for mount in spec.mounts:
            if mount.kind is MountKind.VOLUME and mount.source:
                name = self.volume_names[mount.source]
                assert name in self.volumes, f"{step.id}: no volume {name}"
                names.append(name)
        return tuple(names)

    def _start(self, step: StartContainer) -> None:
        named = [c for c in self.containers.values() if c.name == step.name]
        assert named, f"{step.id}: there is none"
        container = max(named, key=lambda c: (c.created_at, c.id))
        wanted = {(p.protocol, p.host_port) for p in container.ports if p.host_port}
        for other in self.containers.values():
            held = {(p.protocol, p.host_port) for p in other.ports}
            if other.id != container.id and other.phase in LIVE and wanted & held:
                assert other.id not in self.stopping, f"{step.id}: {other.name} has the port still"
                raise PortTaken(other.name)
        self.containers[container.id] = replace(
            container, phase=Phase.RUNNING, exit_code=None, stopped_by_user=False
        )

    def _stop(self, step: StopContainer) -> None:
        container = self.containers[step.container_id]
        self.stopping.discard(step.container_id)  # what runs again after this has its ports again
        phase = Phase.EXITED if container.phase in LIVE else container.phase
        self.containers[container.id] = replace(
            container, phase=phase, exit_code=container.exit_code or 0, stopped_by_user=step.by_user
        )

    def _remove(self, step: RemoveContainer) -> None:
        container = self.containers.pop(step.container_id)
        assert container.phase not in LIVE, f"{step.id}: it runs"
        if step.volumes:
            for name in container.volumes:
                if name in self.volumes and self.volumes[name].anonymous:
                    del self.volumes[name]
