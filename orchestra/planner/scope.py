"""What one run is about: the services it was asked for, what they depend on, at the asked scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from orchestra.errors import PlanError
from orchestra.planner.desired import ContainerSpec, DesiredState, ImageSpec, MountKind
from orchestra.planner.graph import ServiceGraph, service_graph
from orchestra.planner.options import UpOptions
from orchestra.values import dataclass, replace

NUMBER_LABEL = "com.docker.compose.container-number"
_SHARED = "service:"
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (compared, not bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of a project that a plan is made for.

    ``order`` are the services in start order, those without a replica among them; ``named`` are
    the ones asked for by name (all, when none was).
    """

    desired: DesiredState
    order: tuple[str, ...]
    named: frozenset[str]
    graph: ServiceGraph
    containers: Mapping[str, tuple[ContainerSpec, ...]]

    @property
    def specs(self) -> tuple[ContainerSpec, ...]:
        """Return the containers that should be there, service by service in start order."""
        return tuple(spec for service in self.order for spec in self.containers[service])

    @property
    def images(self) -> tuple[ImageSpec, ...]:
        """Return the images of services in scope."""
        references = {reference for spec in self.specs for reference in images_of(spec)}
        return tuple(image for image in self.desired.images if image.reference in references)


def make_scope(desired: DesiredState, options: UpOptions) -> Scope:
    """Choose services and scale them.

    :raises PlanError: when a service is not there, cannot be scaled, or dependencies are circular.
    """
    containers = _scaled(desired, options.scale)
    unknown = sorted(set(options.services) - set(desired.services))
    if unknown:
        raise PlanError(
            f'no such service: "{unknown[0]}"',
            hint=f"services here: {', '.join(desired.services)}",
        )
    graph = service_graph({name: _first(desired, name).depends_on for name in containers})
    order = graph.start_order()
    named = frozenset(options.services or containers) & containers.keys()
    chosen = named if options.no_deps else graph.with_dependencies(named)
    scope = Scope(
        desired=desired,
        order=tuple(name for name in order if name in chosen),
        named=named,
        graph=graph,
        containers={name: specs for name, specs in containers.items() if name in chosen},
    )
    _check_names(scope.specs)
    _check_ports(scope.specs)
    return scope


def namespace_parents(spec: ContainerSpec) -> frozenset[str]:
    """Return the services whose namespaces a container shares."""
    modes = (spec.network_mode, spec.pid_mode, spec.ipc_mode, spec.uts_mode, spec.cgroup_mode)
    return frozenset(mode.removeprefix(_SHARED) for mode in modes if mode.startswith(_SHARED))


def images_of(spec: ContainerSpec) -> tuple[str, ...]:
    """Return the references of the image that a container is made of, and of those it mounts."""
    return (spec.image, *(m.source for m in spec.mounts if m.kind is MountKind.IMAGE))


def volume_keys(spec: ContainerSpec) -> tuple[str, ...]:
    """Return the keys of the named volumes that a container mounts."""
    return tuple(sorted({m.source for m in spec.mounts if m.kind is MountKind.VOLUME and m.source}))


def with_number(template: ContainerSpec, number: int) -> ContainerSpec:
    """Return the same container as another replica.

    :raises PlanError: when it has a name of its own, which only one replica can have.
    """
    default = f"{template.project}-{template.service}-"
    if template.name != f"{default}{template.number}":
        raise PlanError(
            f'cannot scale service "{template.service}" to {number}: its container_name '
            f'"{template.name}" can be given once',
            hint=f"remove services.{template.service}.container_name",
        )
    name = f"{default}{number}"
    networks = tuple(
        replace(place, aliases=tuple(name if a == template.name else a for a in place.aliases))
        for place in template.networks
    )
    labels = {**template.labels}
    if NUMBER_LABEL in labels:
        labels[NUMBER_LABEL] = str(number)
    return replace(template, number=number, name=name, networks=networks, labels=labels)


def _first(desired: DesiredState, service: str) -> ContainerSpec:
    return next(s for s in (*desired.containers, *desired.idle) if s.service == service)


def _scaled(
    desired: DesiredState, scale: Mapping[str, int]
) -> Mapping[str, tuple[ContainerSpec, ...]]:
    """Return every active service's containers, by number."""
    found: dict[str, list[ContainerSpec]] = defaultdict(list)
    for spec in desired.idle:
        found[spec.service] = []
    for spec in sorted(desired.containers, key=lambda spec: spec.number):
        found[spec.service].append(spec)
    for service, count in scale.items():
        if service not in found or count < 0:
            raise PlanError(
                f'cannot scale service "{service}" to {count}',
                hint=f"active services here: {', '.join(sorted(found)) or 'none'}",
            )
        have = found[service][:count]
        template = _first(desired, service)
        have.extend(
            template if number == template.number else with_number(template, number)
            for number in range(len(have) + 1, count + 1)
        )
        found[service] = have
    return {service: tuple(specs) for service, specs in found.items()}


def _check_names(specs: Iterable[ContainerSpec]) -> None:
    seen: dict[str, ContainerSpec] = {}
    for spec in specs:
        other = seen.setdefault(spec.name, spec)
        if other is not spec:
            raise PlanError(
                f'two containers are to be called "{spec.name}": of service "{other.service}" '
                f'and of service "{spec.service}"',
                hint="change container_name, or the scale, of one of them",
            )


def _check_ports(specs: Sequence[ContainerSpec]) -> None:
    seen: dict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)
    for spec in specs:
        for port in spec.ports:
            if port.host_port is None:
                continue
            others = seen[port.protocol, port.host_port]
            for address, name in others:
                if address == port.host_ip or _EVERY_ADDRESS & {address, port.host_ip}:
                    raise PlanError(
                        f'port {port.host_port}/{port.protocol} is published by container "{name}" '
                        f'and by container "{spec.name}"',
                        hint=f"change services.{spec.service}.ports, or publish a range of ports",
                    )
            others.append((port.host_ip, spec.name))
