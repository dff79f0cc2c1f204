"""Projects and worlds: small makers for tests by hand, and Hypothesis strategies for laws."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st

from orchestra.planner.building import BuildSpec
from orchestra.planner.desired import (
    Attachment,
    Condition,
    ContainerSpec,
    Dependency,
    DesiredState,
    ImageSpec,
    Mount,
    MountKind,
    NetworkSpec,
    PortSpec,
    PullPolicy,
    RestartMode,
    RestartPolicy,
    VolumeSpec,
)
from orchestra.planner.fingerprint import config_hash, network_hash, volume_hash
from orchestra.planner.observed import (
    ObservedContainer,
    ObservedImage,
    ObservedNetwork,
    ObservedState,
    ObservedVolume,
    Phase,
)
from orchestra.planner.options import DownOptions, Recreate, UpOptions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = "shop"
T = TypeVar("T")


def container(service: str, number: int = 1, **fields: object) -> ContainerSpec:
    """Make a replica on the default network."""
    base = ContainerSpec(
        project=PROJECT,
        service=service,
        number=number,
        name=f"{PROJECT}-{service}-{number}",
        image=f"{service}:1",
        config_hash="",
        networks=(Attachment(network="default"),),
    )
    spec = replace(base, **fields)
    return replace(spec, config_hash=config_hash(spec))


def network(key: str = "default", **fields: object) -> NetworkSpec:
    """Make a network of the project."""
    spec = replace(NetworkSpec(key=key, name=f"{PROJECT}_{key}"), **fields)
    return replace(spec, config_hash=network_hash(spec))


def volume(key: str, **fields: object) -> VolumeSpec:
    """Make a volume of the project."""
    spec = replace(VolumeSpec(key=key, name=f"{PROJECT}_{key}"), **fields)
    return replace(spec, config_hash=volume_hash(spec))


def project(
    *containers: ContainerSpec,
    networks: tuple[NetworkSpec, ...] | None = None,
    volumes: tuple[VolumeSpec, ...] = (),
    images: tuple[ImageSpec, ...] | None = None,
    services: tuple[str, ...] = (),
    idle: tuple[ContainerSpec, ...] = (),
) -> DesiredState:
    """Make a desired state; networks, images and services follow from the containers."""
    everyone = (*containers, *idle)
    if networks is None:
        networks = tuple(
            network(key) for key in sorted({p.network for c in everyone for p in c.networks})
        )
    if images is None:
        images = tuple(
            ImageSpec(
                reference=reference,
                services=tuple(sorted({c.service for c in everyone if c.image == reference})),
            )
            for reference in sorted({c.image for c in everyone})
        )
    return DesiredState(
        project=PROJECT,
        working_dir="/shop",
        containers=containers,
        networks=networks,
        volumes=volumes,
        images=images,
        services=tuple(sorted({*services, *(c.service for c in everyone)})),
        idle=idle,
    )


def empty(**fields: object) -> ObservedState:
    """Make a world in which nothing of the project is there."""
    return replace(ObservedState(project=PROJECT, taken_at=NOW), **fields)


def observe(spec: ContainerSpec, desired: DesiredState, **fields: object) -> ObservedContainer:
    """Make the running container of a replica."""
    names = {v.key: v.name for v in desired.volumes}
    found = ObservedContainer(
        id=f"{spec.service}{spec.number}".ljust(64, "0"),
        name=spec.name,
        service=spec.service,
        number=spec.number,
        image=spec.image,
        image_id=f"pulled:{spec.image}",
        config_hash=spec.config_hash,
        phase=Phase.RUNNING,
        created_at=NOW - timedelta(days=1),
        depends_on=spec.depends_on,
        networks=spec.networks,
        volumes=tuple(
            names[m.source] for m in spec.mounts if m.kind is MountKind.VOLUME and m.source
        ),
        ports=spec.ports,
        restart=spec.restart,
    )
    return replace(found, **fields)


def running(desired: DesiredState, **fields: object) -> ObservedState:
    """Make the world in which a project is up."""
    state = empty(
        containers=tuple(observe(spec, desired) for spec in desired.containers),
        networks=tuple(
            ObservedNetwork(key=n.key, name=n.name, project=PROJECT, config_hash=n.config_hash)
            for n in desired.networks
        ),
        volumes=tuple(
            ObservedVolume(key=v.key, name=v.name, project=PROJECT, config_hash=v.config_hash)
            for v in desired.volumes
        ),
        images=tuple(
            ObservedImage(reference=i.reference, id=f"pulled:{i.reference}") for i in desired.images
        ),
    )
    return replace(state, **fields)


SERVICES = ("a", "b", "c", "d")


class Dice:
    """Chance from one seed: Hypothesis draws seeds and sizes, and a case costs no thousand draws."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, choices: Iterable[T]) -> T:
        """Return one of the choices."""
        return self.random.choice(tuple(choices))

    def flag(self) -> bool:
        """Return true half of the time."""
        return self.random.random() < 0.5

    def number(self, low: int, high: int) -> int:
        """Return a number of the range, its ends included."""
        return self.random.randint(low, high)

    def some(self, choices: Sequence[T], most: int = 99) -> list[T]:
        """Return some of the choices, in their order."""
        count = self.random.randint(0, min(most, len(choices)))
        return sorted(self.random.sample(choices, count), key=choices.index)


SEEDS = st.integers(0, 2**32)


def projects() -> st.SearchStrategy[DesiredState]:
    """Draw projects."""
    return st.builds(lambda seed, size: random_project(Dice(seed), size), SEEDS, st.integers(1, 4))


def places() -> st.SearchStrategy[tuple[DesiredState, ObservedState]]:
    """Draw a project and a world."""

    def make(seed: int, size: int, crowd: int) -> tuple[DesiredState, ObservedState]:
        dice = Dice(seed)
        desired = random_project(dice, size)
        return desired, random_world(dice, desired, crowd)

    return st.builds(make, SEEDS, st.integers(1, 4), st.integers(0, 7))


def cases() -> st.SearchStrategy[tuple[DesiredState, ObservedState, UpOptions]]:
    """Draw a project, a world, and options of ``up``."""
    return st.builds(
        lambda place, seed: (*place, random_options(Dice(seed), place[0])), places(), SEEDS
    )


def random_project(dice: Dice, size: int) -> DesiredState:
    """Make a project of some services; each may need the ones before it."""
    names = SERVICES[:size]
    containers: list[ContainerSpec] = []
    idle: list[ContainerSpec] = []
    for index, name in enumerate(names):
        template = _service(dice, name, names[:index])
        count = dice.pick((1, 1, 1, 0, 2, 3))
        if count == 1:
            template = _with_port(template, index, dice)
        specs = [_numbered(template, number) for number in range(1, max(count, 1) + 1)]
        (containers if count else idle).extend(specs)
    images = tuple(
        ImageSpec(
            reference=reference,
            policy=dice.pick((PullPolicy.MISSING, PullPolicy.MISSING, PullPolicy.ALWAYS)),
            build=dice.pick((None, BuildSpec(context="/x", dockerfile="/x/Dockerfile"))),
            services=tuple(
                s
                for s in names
                if any(c.image == reference and c.service == s for c in (*containers, *idle))
            ),
        )
        for reference in sorted({c.image for c in (*containers, *idle)})
    )
    return project(
        *containers,
        idle=tuple(idle),
        networks=(network("default"), network("back", internal=dice.flag())),
        volumes=(volume("data"), volume("logs")),
        images=images,
        services=dice.pick(((), ("inactive",))),
    )


def _service(dice: Dice, name: str, before: tuple[str, ...]) -> ContainerSpec:
    needs = dice.some(before) if before else []
    dependencies = [
        Dependency(
            service=other,
            condition=dice.pick(Condition),
            required=dice.flag(),
            restart=dice.flag(),
        )
        for other in needs
    ]
    mode = ""
    if needs and dice.number(0, 3) == 0:
        mode = f"service:{needs[0]}"
    keys = dice.pick((("default",), ("default", "back"), ("back",)))
    volumes = dice.pick(((), (), ("data",), ("data", "logs")))
    return container(
        name,
        image=dice.pick(("x:1", "y:1", f"{PROJECT}-{name}")),
        environment={"A": dice.pick("12")},
        depends_on=tuple(dependencies),
        network_mode=mode,
        networks=() if mode else tuple(Attachment(network=key) for key in keys),
        mounts=tuple(Mount(kind=MountKind.VOLUME, target=f"/{v}", source=v) for v in volumes),
        restart=RestartPolicy(mode=dice.pick(RestartMode)),
        ports=dice.pick(((), (PortSpec(container_port=80),))),
    )


def _with_port(spec: ContainerSpec, index: int, dice: Dice) -> ContainerSpec:
    if dice.number(0, 2):
        return spec
    ports = (PortSpec(container_port=80, host_port=8000 + index),)
    spec = replace(spec, ports=ports)
    return replace(spec, config_hash=config_hash(spec))


def _numbered(template: ContainerSpec, number: int) -> ContainerSpec:
    return container_like(template, number)


def container_like(template: ContainerSpec, number: int) -> ContainerSpec:
    """Make another replica of the same service."""
    return replace(template, number=number, name=f"{PROJECT}-{template.service}-{number}")


def random_world(dice: Dice, desired: DesiredState, crowd: int) -> ObservedState:
    """Draw a world in which the project is up, half up, changed, broken, or not there."""
    networks = tuple(n for spec in desired.networks for n in _network_in(dice, spec))
    volumes = tuple(v for spec in desired.volumes for v in _volume_in(dice, spec))
    slots = [(s, n) for s in (*SERVICES, "inactive", "orphan") for n in (1, 2, 3, 4)]
    strays = dice.some(slots, crowd)
    wanted = [(c.service, c.number) for c in desired.containers if dice.number(0, 3)]
    chosen = [*wanted, *(slot for slot in strays if slot not in wanted)] if crowd else []
    containers = [_container_in(dice, desired, s, n, index) for index, (s, n) in enumerate(chosen)]
    if containers and dice.number(0, 3) == 0:
        _swap_names(dice, containers)
    if containers and dice.number(0, 4) == 0:
        twin = containers[0]
        containers.append(
            replace(twin, id="twin".ljust(64, "f"), created_at=twin.created_at - timedelta(hours=1))
        )
    images = tuple(
        ObservedImage(
            reference=image.reference,
            id=dice.pick((f"pulled:{image.reference}", "other")),
        )
        for image in desired.images
        if dice.number(0, 3)
    )
    return empty(containers=tuple(containers), networks=networks, volumes=volumes, images=images)


def _swap_names(dice: Dice, containers: list[ObservedContainer]) -> None:
    """Give one container another one's name, as after a container_name that moved."""
    one, other = dice.number(0, len(containers) - 1), dice.number(0, len(containers) - 1)
    names = containers[one].name, containers[other].name
    containers[one] = replace(containers[one], name=names[1])
    containers[other] = replace(containers[other], name=names[0])


def _network_in(dice: Dice, spec: NetworkSpec) -> list[ObservedNetwork]:
    found = ObservedNetwork(
        key=spec.key, name=spec.name, project=PROJECT, config_hash=spec.config_hash
    )
    match dice.pick(("there", "there", "there", "absent", "gone", "changed", "renamed")):
        case "absent":
            return []
        case "gone":
            return [replace(found, present=False)]
        case "changed":
            return [replace(found, config_hash="old")]
        case "renamed":
            return [replace(found, name=f"old_{spec.key}", config_hash="old")]
        case _:
            return [found]


def _volume_in(dice: Dice, spec: VolumeSpec) -> list[ObservedVolume]:
    found = ObservedVolume(
        key=spec.key, name=spec.name, project=PROJECT, config_hash=spec.config_hash
    )
    match dice.pick(("there", "there", "there", "absent", "changed", "renamed")):
        case "absent":
            return []
        case "changed":
            return [replace(found, config_hash="old")]
        case "renamed":
            return [replace(found, name=f"old_{spec.key}")]
        case _:
            return [found]


def _container_in(
    dice: Dice, desired: DesiredState, service: str, number: int, index: int
) -> ObservedContainer:
    specs = [c for c in (*desired.containers, *desired.idle) if c.service == service]
    spec = container_like(specs[0], number) if specs else container(service, number)
    image_id = dice.pick((f"pulled:{spec.image}", f"pulled:{spec.image}", "other"))
    phase = dice.pick((Phase.RUNNING, Phase.RUNNING, *Phase))
    found = observe(
        spec,
        desired,
        id=f"{service}{number}".ljust(64, "0"),
        phase=phase,
        exit_code=dice.pick((0, 1, 137)) if phase is Phase.EXITED else None,
        image_id=image_id,
        stopped_by_user=dice.flag(),
        one_off=dice.number(0, 9) == 0,
        created_at=NOW - timedelta(minutes=index),
    )
    if dice.number(0, 3) == 0:
        found = replace(found, config_hash=found.config_hash.replace("environment=", "user="))
        ports = (PortSpec(container_port=80, host_port=dice.number(8000, 8004)),)
        found = replace(found, ports=dice.pick((found.ports, ports)))
    if dice.number(0, 5) == 0:
        found = replace(found, volumes=(), networks=())
    return found


def random_options(dice: Dice, desired: DesiredState) -> UpOptions:
    """Draw options of ``up`` that fit a project."""
    active = sorted({c.service for c in (*desired.containers, *desired.idle)})
    return UpOptions(
        services=tuple(dice.some(active, 2)),
        recreate=dice.pick((Recreate.DIVERGED, Recreate.DIVERGED, *Recreate)),
        always_recreate_deps=dice.number(0, 5) == 0,
        no_deps=dice.number(0, 5) == 0,
        no_start=dice.number(0, 5) == 0,
        scale={service: dice.number(0, 4) for service in dice.some(active, 1)},
        remove_orphans=dice.flag(),
        renew_anon_volumes=dice.number(0, 5) == 0,
        keep_volumes=dice.flag(),
    )


def down_options() -> st.SearchStrategy[DownOptions]:
    """Draw options of ``down`` for a whole project."""
    return st.builds(DownOptions, volumes=st.booleans(), remove_orphans=st.booleans())
