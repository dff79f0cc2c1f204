"""What `run` makes of a service: a container of its own, and the plan of what that needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.errors import UsageError
from orchestra.planner.desired import (
    ContainerSpec,
    DesiredState,
    HealthSpec,
    RestartPolicy,
)
from orchestra.planner.plan import Plan
from orchestra.planner.steps import CreateContainer, Gate, StartContainer, Step
from orchestra.spec.findings import Misfit
from orchestra.spec.shorthand import split_command
from orchestra.values import dataclass, field, replace

_LABELS = "com.docker.compose."
_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOff:
    """What the command line asks of the container; None and () take what the service says.

    ``slug``: 64 hex digits that tell this run from all others.
    """

    service: str
    slug: str
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    name: str | None = None
    user: str | None = None
    workdir: str | None = None
    volumes: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    service_ports: bool = False
    aliases: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = True


def one_off_spec(template: ContainerSpec, wanted: OneOff) -> ContainerSpec:
    """Return the container of a run: the service's, changed as asked, never restarted or healed.

    :raises UsageError: when a label or the entrypoint cannot be read.
    """
    default = f"{template.project}-{template.service}-run-{wanted.slug[:_SHORT]}"
    entrypoint, command = _argv(template, wanted)
    name = wanted.name or default
    return replace(
        template,
        name=name,
        number=1,
        config_hash="",
        entrypoint=entrypoint,
        command=command,
        environment={**template.environment, **wanted.environment},
        labels={**template.labels, **_labels(wanted)},
        networks=tuple(
            replace(
                place,
                aliases=(name, *(a for a in place.aliases if a != template.name))
                if wanted.aliases
                else (name,),
            )
            for place in template.networks
        ),
        user=template.user if wanted.user is None else wanted.user,
        working_dir=template.working_dir if wanted.workdir is None else wanted.workdir,
        cap_add=_without(template.cap_add, wanted.cap_drop, wanted.cap_add),
        cap_drop=_without(template.cap_drop, wanted.cap_add, wanted.cap_drop),
        restart=RestartPolicy(),
        health=HealthSpec(test=("NONE",)),
        heal=False,
        tty=wanted.tty,
        stdin_open=wanted.stdin,
    )


def _argv(
    template: ContainerSpec, wanted: OneOff
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return entrypoint and command; a new entrypoint drops the service's command."""
    command = wanted.command or template.command
    if wanted.entrypoint is None:
        return template.entrypoint, command
    try:
        words = tuple(split_command(wanted.entrypoint))
    except Misfit as err:
        raise UsageError(f"--entrypoint: {err.message}", hint=err.hint) from err
    return words, wanted.command


def _labels(wanted: OneOff) -> Mapping[str, str]:
    labels = {}
    for text in wanted.labels:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f'"{text}" is no label', hint="write it as --label KEY=VALUE")
        labels[key] = value
    return {**labels, f"{_LABELS}oneoff": "True", f"{_LABELS}slug": wanted.slug}


def _without(
    own: tuple[str, ...], removed: tuple[str, ...], added: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(sorted({*own, *added} - set(removed)))


def with_one_off(desired: DesiredState, spec: ContainerSpec) -> tuple[DesiredState, str]:
    """Return a state in which the run's container is a service of its own, and that one's name.

    So the plan for it brings its images, networks, volumes and dependencies, by ``up``'s rules.
    """
    alone = replace(spec, service=spec.name)
    images = tuple(
        replace(image, services=(*image.services, spec.name))
        if image.reference == spec.image
        else image
        for image in desired.images
    )
    state = replace(
        desired,
        containers=(*(c for c in desired.containers if c.service != spec.service), alone),
        services=(*desired.services, spec.name),
        images=images,
    )
    return state, spec.name


def split_plan(plan: Plan[Step], name: str) -> tuple[Plan[Step], tuple[Gate, ...]]:
    """Return the plan without the run's own container, and what that container waits for."""
    gates: tuple[Gate, ...] = ()
    steps: list[Step] = []
    for step in plan.steps:
        if isinstance(step, CreateContainer) and step.container.name == name:
            continue
        if isinstance(step, StartContainer) and step.name == name:
            gates = step.gates
            continue
        steps.append(step)
    return Plan.of(steps), gates


def with_places(known: DesiredState | None, desired: DesiredState) -> DesiredState:
    """Return what was last wanted, with the networks and volumes that a run uses now."""
    if known is None:
        return desired
    networks = {place.key: place for place in (*known.networks, *desired.networks)}
    volumes = {place.key: place for place in (*known.volumes, *desired.volumes)}
    return replace(
        known,
        networks=tuple(networks[key] for key in sorted(networks)),
        volumes=tuple(volumes[key] for key in sorted(volumes)),
    )
