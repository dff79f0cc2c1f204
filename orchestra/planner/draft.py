"""Judgements, and everything about their order that single steps cannot know by themselves.

Which containers stop, and who of them first; how each is replaced; what would be in the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from orchestra.errors import PlanError
from orchestra.planner.desired import ImageSpec
from orchestra.planner.graph import service_graph
from orchestra.planner.observed import ObservedContainer, ObservedState
from orchestra.planner.options import UpOptions
from orchestra.planner.replicas import Action, Verdict, must_stop, shown_names
from orchestra.planner.resources import Fate, Resources, bases_first, fetch_missing, with_bases
from orchestra.planner.scope import Scope, images_of, volume_keys
from orchestra.planner.steps import BuildImage, PullImage, StepId
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything decided; ``stops`` and ``removals`` are the steps' ids by container id.

    ``first``: ids of the recreated containers that are removed before their successors are made,
    because these wait for what only their removal sets free. The others stop only when their
    successor is there.
    """

    scope: Scope
    observed: ObservedState
    resources: Resources
    verdict: Verdict
    options: UpOptions
    images: Mapping[str, PullImage | BuildImage]
    names: Mapping[str, str]
    first: frozenset[str]
    stops: Mapping[str, StepId]
    removals: Mapping[str, StepId]
    before_stop: Mapping[str, tuple[StepId, ...]]

    @property
    def image_ids(self) -> tuple[StepId, ...]:
        """Return every step that fetches an image."""
        return tuple(step.id for step in self.images.values())


def make_draft(
    scope: Scope,
    observed: ObservedState,
    resources: Resources,
    verdict: Verdict,
    options: UpOptions,
) -> Draft:
    """Settle the order of what was judged.

    :raises PlanError: when something that stays is in the way, or an image cannot be had.
    """
    _check_users(resources, observed, verdict)
    names = shown_names(observed.containers)
    gone = verdict.gone
    restarted = {d.old.id for d in verdict.decisions if d.old and d.action is Action.RESTART}
    stopping = [
        container
        for container in observed.containers
        if (container.id in gone and must_stop(container)) or container.id in restarted
    ]
    stops = {c.id: StepId(f"stop container:{names[c.id]}") for c in stopping}
    return Draft(
        scope=scope,
        observed=observed,
        resources=resources,
        verdict=verdict,
        options=options,
        images={
            step.image.reference: step
            for step in bases_first(
                fetch_missing(image, scope.desired.project, options)
                for image in _missing_images(scope, resources, verdict)
            )
        },
        names=names,
        first=_removed_first(verdict, observed, resources),
        stops=stops,
        removals={id_: StepId(f"remove container:{names[id_]}") for id_ in gone},
        before_stop=_stop_edges(scope, stopping, stops),
    )


def _missing_images(scope: Scope, resources: Resources, verdict: Verdict) -> tuple[ImageSpec, ...]:
    needed = {
        reference
        for decision in verdict.decisions
        if decision.action in {Action.CREATE, Action.RECREATE}
        for reference in images_of(decision.spec)
    }
    missing = [i for i in scope.images if i.reference in needed - resources.images.keys()]
    return with_bases(missing, scope.desired.images, resources.images)


def _stop_edges(
    scope: Scope, stopping: Iterable[ObservedContainer], stops: Mapping[str, StepId]
) -> Mapping[str, tuple[StepId, ...]]:
    """Return, by service, the stops that come before its own: those of who needs it."""
    needs = {
        name: tuple(
            d
            for spec in (*scope.desired.containers, *scope.desired.idle)
            if spec.service == name
            for d in spec.depends_on
        )
        for name in scope.graph.services
    }
    by_service: dict[str, list[StepId]] = defaultdict(list)
    for container in stopping:
        by_service[container.service].append(stops[container.id])
        needs.setdefault(container.service, container.depends_on)
    graph = service_graph(needs).without_cycles()
    present = frozenset(by_service)
    return {
        service: tuple(
            stop
            for dependent in sorted(graph.nearest_dependents(service, present))
            for stop in by_service[dependent]
        )
        for service in present
    }


def _removed_first(
    verdict: Verdict, observed: ObservedState, resources: Resources
) -> frozenset[str]:
    """Return the ids of the containers that cannot wait for their successors.

    :raises PlanError: when a name is taken by a container that stays.
    """
    contested = _contested_names(verdict, observed)
    found: set[str] = set()
    for decision in verdict.decisions:
        old, spec = decision.old, decision.spec
        if old is None or decision.action is not Action.RECREATE:
            continue
        networks = (resources.networks[place.network] for place in spec.networks)
        volumes = (resources.volumes[key] for key in volume_keys(spec))
        if (
            {old.name, spec.name} & contested
            or any(network.in_place for network in networks)
            or any(volume.fate is Fate.RENEW for volume in volumes)
        ):
            found.add(old.id)
    return frozenset(found)


def _contested_names(verdict: Verdict, observed: ObservedState) -> frozenset[str]:
    """Return the names that pass from one container to another which is not its successor."""
    gone = verdict.gone
    contested: set[str] = set()
    for decision in verdict.decisions:
        if decision.action not in {Action.CREATE, Action.RECREATE}:
            continue
        own = decision.old.id if decision.old else ""
        for holder in observed.containers:
            if holder.name != decision.spec.name or holder.id == own:
                continue
            if holder.id not in gone:
                raise PlanError(
                    f'cannot create container "{holder.name}" for service '
                    f'"{decision.spec.service}": a container of service "{holder.service}" is '
                    "called so",
                    hint="remove it with --remove-orphans, or with "
                    f"`orchestra rm --stop {holder.service}`",
                )
            if (holder.service, holder.number) != (decision.spec.service, decision.spec.number):
                contested.add(holder.name)
    return frozenset(contested)


def _check_users(resources: Resources, observed: ObservedState, verdict: Verdict) -> None:
    """See that nothing stays that uses a network or volume which is made anew.

    :raises PlanError: when something does.
    """
    gone = verdict.gone
    staying = [container for container in observed.containers if container.id not in gone]
    for key, network in sorted(resources.networks.items()):
        for container in staying if network.fate is Fate.RENEW else ():
            if any(place.network == key for place in container.networks):
                raise _still_used("network", key, container)
    for key, volume in sorted(resources.volumes.items()):
        for container in staying if volume.fate is Fate.RENEW else ():
            if volume.spec.name in container.volumes:
                raise _still_used("volume", key, container)


def _still_used(kind: str, key: str, container: ObservedContainer) -> PlanError:
    return PlanError(
        f'cannot make {kind} "{key}" anew, though its definition changed: container '
        f'"{container.name}" uses it and is not part of this run',
        hint="name no service, add --remove-orphans, or remove that container first",
    )
