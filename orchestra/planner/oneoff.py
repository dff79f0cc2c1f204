"""A service's container as `run` wants it, and the plan of what that needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.planner.desired import ContainerSpec, DesiredState, HealthSpec, RestartPolicy
from orchestra.planner.plan import Plan
from orchestra.planner.steps import CreateContainer, Gate, StartContainer, Step
from orchestra.values import dataclass, field, replace

_LABELS = "com.docker.compose."
SLUG_LABEL = f"{_LABELS}slug"
_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run changes in a service's container; None and () take what the service says.

    ``slug``: 64 hex digits that tell this run from all others.
    """

    service: str
    slug: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    user: str | None = None
    workdir: str | None = None
    aliases: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = True


def run_spec(template: ContainerSpec, run: Run) -> ContainerSpec:
    """Return the container of a run: the service's, changed as asked, never restarted or healed.

    A new entrypoint drops the service's command.
    """
    name = run.name or f"{template.project}-{template.service}-run-{run.slug[:_SHORT]}"
    own = run.entrypoint is None
    return replace(
        template,
        name=name,
        number=1,
        config_hash="",
        entrypoint=template.entrypoint if own else run.entrypoint,
        command=run.command or template.command if own else run.command,
        environment={**template.environment, **run.environment},
        labels={
            **template.labels,
            **run.labels,
            f"{_LABELS}oneoff": "True",
            SLUG_LABEL: run.slug,
        },
        networks=tuple(
            replace(
                place,
                aliases=(name, *(a for a in place.aliases if a != template.name))
                if run.aliases
                else (name,),
            )
            for place in template.networks
        ),
        user=template.user if run.user is None else run.user,
        working_dir=template.working_dir if run.workdir is None else run.workdir,
        cap_add=_without(template.cap_add, run.cap_drop, run.cap_add),
        cap_drop=_without(template.cap_drop, run.cap_add, run.cap_drop),
        restart=RestartPolicy(),
        health=HealthSpec(test=("NONE",)),
        heal=False,
        tty=run.tty,
        stdin_open=run.stdin,
    )


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
