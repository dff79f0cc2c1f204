"""``down``, ``stop``, ``start``, ``restart``, ``rm``: plans on what is there.

They need no Compose file: order and gates come from what each container's record says it depends
on. Records of several generations may contradict each other, so their cycles are cut, not refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from orchestra.errors import PlanError
from orchestra.planner.desired import Dependency, DesiredState
from orchestra.planner.graph import ServiceGraph, service_graph
from orchestra.planner.observed import LIVE, ObservedContainer, ObservedState
from orchestra.planner.options import DownOptions, RemoveImages, RemoveOptions, StopOptions
from orchestra.planner.plan import Plan
from orchestra.planner.replicas import (
    must_stop,
    orphan_reason,
    shown_names,
    why_not_running,
)
from orchestra.planner.steps import (
    Gate,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    Step,
    StepId,
    StopContainer,
)
from orchestra.values import dataclass


def plan_down(
    observed: ObservedState, options: DownOptions, desired: DesiredState | None = None
) -> Plan[Step]:
    """Return what takes the project off the machine.

    Named services go with what depends on them. Without names, everything goes; where ``desired``
    tells which services there are, orphans go with ``remove_orphans`` only. One-off containers
    always go with the whole. A network, volume or image goes when nothing that stays uses it.

    :raises PlanError: when ``desired`` knows no such service.
    """
    if desired is not None:
        _check_services(options.services, desired.services)
    work = _Work.on(observed, options.timeout)
    going = _going(observed, options, desired, work)
    ids = {container.id for container in going}
    staying = tuple(container for container in observed.containers if container.id not in ids)
    down = _Down(work=work, going=going, staying=staying)
    steps: list[Step] = [
        *work.stops(going, "down"),
        *work.removals(going, "down", volumes=options.volumes),
        *_networks_down(observed, down),
        *_images_down(observed, options, desired, down),
    ]
    if options.volumes:
        steps += _volumes_down(observed, down)
    return Plan.of(steps)


def plan_stop(observed: ObservedState, options: StopOptions) -> Plan[Step]:
    """Return what stops the named services, or all; one-offs are left alone."""
    work = _Work.on(observed, options.timeout)
    return Plan.of(work.stops(_pick(observed, options.services), "stop"))


def plan_start(observed: ObservedState, options: StopOptions) -> Plan[Step]:
    """Return what starts the existing containers of the named services and what they need.

    :raises PlanError: when a named service has no container.
    """
    graph = _graph(observed.containers)
    _check_services(options.services, graph.services)
    chosen = graph.with_dependencies(options.services or graph.services)
    steps: list[Step] = []
    for container in _current(_pick(observed, chosen)):
        reason = why_not_running(container)
        if reason:
            steps.append(_start(container, reason, chosen, ()))
    return Plan.of(steps)


def plan_restart(observed: ObservedState, options: StopOptions) -> Plan[Step]:
    """Return what stops and starts again the named services, or all.

    What depends on them with ``restart: true`` follows, unless ``no_deps``.

    :raises PlanError: when a named service has no container.
    """
    graph = _graph(observed.containers)
    _check_services(options.services, graph.services)
    chosen = frozenset(options.services or graph.services)
    if not options.no_deps:
        chosen = _graph(observed.containers, only_restarting=True).with_dependents(chosen)
    work = _Work.on(observed, options.timeout)
    containers = _current(_pick(observed, chosen))
    asked = frozenset(options.services or chosen)
    steps: list[Step] = [*work.stops(containers, "restart")]
    for container in containers:
        reason = "restart" if container.service in asked else "its dependency restarts"
        stops = (work.stop_id(container),) if must_stop(container) else ()
        steps.append(_start(container, reason, chosen, stops))
    return Plan.of(steps)


def plan_rm(observed: ObservedState, options: RemoveOptions) -> Plan[Step]:
    """Return what removes the stopped containers of the named services, or all of the project.

    With ``stop``, those that run are stopped first.
    """
    work = _Work.on(observed, options.timeout)
    chosen = [
        container
        for container in _pick(observed, options.services)
        if options.stop or container.phase not in LIVE
    ]
    return Plan.of(
        [*work.stops(chosen, "rm"), *work.removals(chosen, "rm", volumes=options.volumes)]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Makes steps on the containers of one snapshot."""

    graph: ServiceGraph
    names: Mapping[str, str]
    timeout: timedelta | None

    @classmethod
    def on(cls, observed: ObservedState, timeout: timedelta | None) -> _Work:
        """Prepare for a snapshot."""
        names = shown_names(observed.containers)
        return cls(graph=_graph(observed.containers), names=names, timeout=timeout)

    def stop_id(self, container: ObservedContainer) -> StepId:
        """Return the id of the step that stops a container."""
        return StepId(f"stop container:{self.names[container.id]}")

    def remove_id(self, container: ObservedContainer) -> StepId:
        """Return the id of the step that removes a container."""
        return StepId(f"remove container:{self.names[container.id]}")

    def stops(self, containers: Iterable[ObservedContainer], reason: str) -> Iterator[Step]:
        """Yield a stop for each container that needs one, dependents first."""
        stopping: dict[str, list[ObservedContainer]] = defaultdict(list)
        for container in containers:
            if must_stop(container):
                stopping[container.service].append(container)
        present = frozenset(stopping)
        for service in sorted(stopping):
            dependents = self.graph.nearest_dependents(service, present)
            after = [self.stop_id(c) for name in dependents for c in stopping[name]]
            for container in stopping[service]:
                yield StopContainer(
                    container_id=container.id,
                    name=self.names[container.id],
                    service=service,
                    timeout=self.timeout,
                    reason=reason,
                    after=tuple(sorted(after)),
                )

    def removals(
        self, containers: Iterable[ObservedContainer], reason: str, *, volumes: bool
    ) -> Iterator[Step]:
        """Yield a removal for each container, after its stop."""
        for container in containers:
            yield RemoveContainer(
                container_id=container.id,
                name=self.names[container.id],
                service=container.service,
                volumes=volumes,
                reason=reason,
                after=(self.stop_id(container),) if must_stop(container) else (),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Down:
    """What goes, and what stays and may still use what the project has."""

    work: _Work
    going: tuple[ObservedContainer, ...]
    staying: tuple[ObservedContainer, ...]

    def ends(self, users: Iterable[ObservedContainer]) -> tuple[StepId, ...]:
        """Return the removals after which nothing uses a resource."""
        return tuple(sorted(self.work.remove_id(container) for container in users))


def _going(
    observed: ObservedState, options: DownOptions, desired: DesiredState | None, work: _Work
) -> tuple[ObservedContainer, ...]:
    if options.services:
        return tuple(_pick(observed, work.graph.with_dependents(options.services)))
    keep_orphans = desired is not None and not options.remove_orphans
    known = desired.services if desired is not None else ()
    return tuple(
        container
        for container in observed.containers
        if container.one_off or not (keep_orphans and orphan_reason(container, known))
    )


def _networks_down(observed: ObservedState, down: _Down) -> Iterator[Step]:
    keys: set[str] = set()
    for network in sorted(observed.networks, key=lambda network: network.name):
        if network.project != observed.project:
            continue
        if any(p.network == network.key for c in down.staying for p in c.networks):
            continue
        users = [c for c in down.going if any(p.network == network.key for p in c.networks)]
        key = network.name if network.key in keys else network.key
        keys.add(network.key)
        yield RemoveNetwork(key=key, name=network.name, reason="down", after=down.ends(users))


def _volumes_down(observed: ObservedState, down: _Down) -> Iterator[Step]:
    keys: set[str] = set()
    for volume in sorted(observed.volumes, key=lambda volume: volume.name):
        users = [c for c in down.going if volume.name in c.volumes]
        goes_with_container = volume.anonymous and users
        used = any(volume.name in c.volumes for c in down.staying)
        if volume.project != observed.project or used or goes_with_container:
            continue
        key = volume.name if volume.anonymous or volume.key in keys else volume.key
        keys.add(volume.key)
        yield RemoveVolume(
            key=key, name=volume.name, reason="down with volumes", after=down.ends(users)
        )


def _images_down(
    observed: ObservedState, options: DownOptions, desired: DesiredState | None, down: _Down
) -> Iterator[Step]:
    if options.rmi is RemoveImages.NONE:
        return
    built = {image.reference for image in observed.images if image.build_hash}
    built |= {c.image for c in observed.containers if c.image == f"{observed.project}-{c.service}"}
    named = {c.image for c in observed.containers}
    if desired is not None:
        built |= {image.reference for image in desired.images if image.build is not None}
        named |= {image.reference for image in desired.images}
        there = {image.reference for image in observed.images}
        built, named = built & there, named & there
    used = {container.image for container in down.staying}
    chosen = built if options.rmi is RemoveImages.LOCAL else built | named
    for reference in sorted(chosen - used):
        users = [container for container in down.going if container.image == reference]
        yield RemoveImage(
            reference=reference,
            reason=f"down with {options.rmi} images",
            after=down.ends(users),
        )


def _start(
    container: ObservedContainer, reason: str, chosen: Iterable[str], after: tuple[StepId, ...]
) -> StartContainer:
    return StartContainer(
        name=container.name,
        service=container.service,
        reason=reason,
        after=after,
        gates=tuple(
            sorted(
                Gate(service=d.service, condition=d.condition, required=d.required)
                for d in container.depends_on
                if d.service in chosen and d.service != container.service
            )
        ),
    )


def _pick(observed: ObservedState, services: Iterable[str]) -> tuple[ObservedContainer, ...]:
    """Return the containers of some services (of all, where none is named), without one-offs."""
    chosen = frozenset(services)
    return tuple(
        container
        for container in observed.containers
        if not container.one_off and (not chosen or container.service in chosen)
    )


def _current(containers: Iterable[ObservedContainer]) -> tuple[ObservedContainer, ...]:
    """Return the newest container of every name: what an interrupted recreate left is left out."""
    everything = tuple(containers)
    names = shown_names(everything)
    return tuple(container for container in everything if names[container.id] == container.name)


def _graph(
    containers: Iterable[ObservedContainer], *, only_restarting: bool = False
) -> ServiceGraph:
    needs: dict[str, list[Dependency]] = defaultdict(list)
    for container in containers:
        if container.one_off:
            continue
        needs[container.service] += [
            dependency
            for dependency in container.depends_on
            if dependency.restart or not only_restarting
        ]
    return service_graph(needs).without_cycles()


def _check_services(named: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise PlanError(
            f'no such service: "{unknown[0]}"',
            hint=f"services here: {', '.join(sorted(known)) or 'none'}",
        )
