"""``up``: the desired state and the world as it is -> a plan.

resources.py and replicas.py judge, draft.py settles what comes before what; this file makes the
steps. Three rules keep the order free of cycles: nothing but a start comes after a start; a stop
comes after images, stops of dependents, and the creation of its own successor; a container whose
successor waits for any removal is stopped and removed first, and not after that creation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestra.planner.desired import DesiredState
from orchestra.planner.draft import Draft, make_draft
from orchestra.planner.observed import ObservedContainer, ObservedState
from orchestra.planner.options import UpOptions
from orchestra.planner.plan import Plan
from orchestra.planner.replicas import Action, Decision, judge_containers
from orchestra.planner.resources import (
    Fate,
    bases_first,
    images_here,
    judge_resources,
    refresh,
    with_bases,
)
from orchestra.planner.scope import images_of, make_scope, volume_keys
from orchestra.planner.steps import (
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Gate,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    Step,
    StepId,
    StopContainer,
)


def plan_up(desired: DesiredState, observed: ObservedState, options: UpOptions) -> Plan[Step]:
    """Return what brings the world to the desired state.

    :raises PlanError: when there is no way, or an option forbids it.
    """
    scope = make_scope(desired, options)
    resources = judge_resources(scope, observed, options)
    verdict = judge_containers(scope, observed, resources, options)
    draft = make_draft(scope, observed, resources, verdict, options)
    return Plan.of(
        [
            *draft.images.values(),
            *_network_steps(draft),
            *_volume_steps(draft),
            *_surplus_steps(draft),
            *(step for decision in verdict.decisions for step in _steps_of(decision, draft)),
        ]
    )


def plan_images(desired: DesiredState, observed: ObservedState, options: UpOptions) -> Plan[Step]:
    """Return the pulls and builds that may change the id of an image that is there.

    Executed before the world is observed for :func:`plan_up`, which itself only fetches images
    that are missing.

    :raises PlanError: when the options ask for what is not there.
    """
    scope = make_scope(desired, options)
    there = images_here(desired.images, observed)
    chosen = [
        image
        for image in scope.images
        if not options.only_build or scope.named & set(image.services)
    ]
    steps = [
        step
        for image in with_bases(chosen, desired.images, there)
        if (
            step := refresh(
                image,
                desired.project,
                there.get(image.reference),
                options,
                observed.taken_at,
            )
        )
    ]
    return Plan.of(bases_first(steps))


def plan_fetches(desired: DesiredState, observed: ObservedState, options: UpOptions) -> Plan[Step]:
    """Return :func:`plan_images`, and with it the pulls of :func:`plan_up`.

    So no pull waits for the builds to end, and what has no plan is refused before anything is
    built.

    :raises PlanError: as both do.
    """
    forced = plan_images(desired, observed, options)
    if forced.empty:
        return forced
    rest = plan_up(desired, observed, options).steps
    pulls = [step for step in rest if isinstance(step, PullImage) and step.id not in forced.ids]
    return Plan.of([*forced.steps, *pulls])


def _network_steps(draft: Draft) -> Iterator[Step]:
    for key, network in sorted(draft.resources.networks.items()):
        if network.fate is Fate.KEEP:
            continue
        after: tuple[StepId, ...] = ()
        if network.fate is Fate.RENEW:
            users = [
                c for c in draft.observed.containers if any(p.network == key for p in c.networks)
            ]
            removal = RemoveNetwork(
                key=key,
                name=network.old_name,
                reason=network.reason,
                after=_removals(users, draft),
            )
            yield removal
            after = (removal.id,) if network.in_place else ()
        yield CreateNetwork(network=network.spec, reason=network.reason, after=after)


def _removals(users: Iterable[ObservedContainer], draft: Draft) -> tuple[StepId, ...]:
    return tuple(sorted(draft.removals[container.id] for container in users))


def _volume_steps(draft: Draft) -> Iterator[Step]:
    for key, volume in sorted(draft.resources.volumes.items()):
        if volume.fate is Fate.KEEP:
            continue
        after: tuple[StepId, ...] = ()
        if volume.fate is Fate.RENEW:
            users = [c for c in draft.observed.containers if volume.spec.name in c.volumes]
            removal = RemoveVolume(
                key=key,
                name=volume.spec.name,
                reason=volume.reason,
                after=_removals(users, draft),
            )
            yield removal
            after = (removal.id,)
        yield CreateVolume(volume=volume.spec, reason=volume.reason, after=after)


def _surplus_steps(draft: Draft) -> Iterator[Step]:
    for surplus in draft.verdict.surplus:
        yield from _stop(surplus.container, surplus.reason, draft, ())
        yield _remove(surplus.container, surplus.reason, draft, ())


def _steps_of(decision: Decision, draft: Draft) -> Iterator[Step]:
    match decision.action:
        case Action.KEEP:
            return
        case Action.CREATE | Action.RECREATE:
            yield from _replacement(decision, draft)
        case Action.RESTART:
            assert decision.old is not None
            yield from _stop(decision.old, decision.reason, draft, ())
            yield _start(decision, draft, (draft.stops[decision.old.id],))
        case Action.START:
            yield _start(decision, draft, ())


def _replacement(decision: Decision, draft: Draft) -> Iterator[Step]:
    spec, old = decision.spec, decision.old
    first = old is not None and old.id in draft.first
    fresh = old is not None and _renews(decision, draft)
    creation = CreateContainer(
        container=spec,
        inherit=old.id if old and not first else None,
        anonymous_volumes=old.anonymous_volumes if old and not fresh else {},
        fresh_volumes=fresh,
        reason=decision.reason,
        after=_before_create(decision, draft, first=first),
    )
    yield creation
    done = creation.id
    if old is not None:
        late = () if first else (creation.id,)
        yield from _stop(old, decision.reason, draft, late or draft.image_ids)
        removal = _remove(old, decision.reason, draft, late)
        yield removal
        done = creation.id if first else removal.id
    if not draft.options.no_start:
        yield _start(decision, draft, (done,))


def _renews(decision: Decision, draft: Draft) -> bool:
    return draft.options.renew_anon_volumes and decision.spec.service in draft.scope.named


def _before_create(decision: Decision, draft: Draft, *, first: bool) -> tuple[StepId, ...]:
    spec = decision.spec
    before = [draft.images[ref].id for ref in images_of(spec) if ref in draft.images]
    before += [
        StepId(f"create network:{place.network}")
        for place in spec.networks
        if draft.resources.networks[place.network].fate is not Fate.KEEP
    ]
    before += [
        StepId(f"create volume:{key}")
        for key in volume_keys(spec)
        if draft.resources.volumes[key].fate is not Fate.KEEP
    ]
    for holder in draft.observed.containers:
        is_old = decision.old is not None and holder.id == decision.old.id
        if (is_old and first) or (not is_old and holder.name == spec.name):
            before.append(draft.removals[holder.id])
    return tuple(sorted(set(before)))


def _stop(
    container: ObservedContainer, reason: str, draft: Draft, after: tuple[StepId, ...]
) -> Iterator[Step]:
    if container.id in draft.stops:
        yield StopContainer(
            container_id=container.id,
            name=draft.names[container.id],
            service=container.service,
            timeout=draft.options.timeout,
            reason=reason,
            after=tuple(sorted({*after, *draft.before_stop.get(container.service, ())})),
        )


def _remove(
    container: ObservedContainer, reason: str, draft: Draft, after: tuple[StepId, ...]
) -> RemoveContainer:
    """Remove a container after its stop, or after ``after`` where there is nothing to stop."""
    if container.id in draft.stops:
        after = (draft.stops[container.id],)
    return RemoveContainer(
        container_id=container.id,
        name=draft.names[container.id],
        service=container.service,
        reason=reason,
        after=after,
    )


def _start(decision: Decision, draft: Draft, after: tuple[StepId, ...]) -> StartContainer:
    spec = decision.spec
    replaced = decision.action in {Action.CREATE, Action.RECREATE}
    revived = [
        StepId(f"create network:{place.network}")
        for place in spec.networks
        if not replaced and draft.resources.networks[place.network].fate is Fate.REVIVE
    ]
    name = spec.name if replaced or decision.old is None else decision.old.name
    return StartContainer(
        name=name,
        service=spec.service,
        reason=decision.reason,
        after=tuple(sorted({*after, *revived, *_in_the_way(decision, draft)})),
        gates=_gates(decision, draft),
    )


def _in_the_way(decision: Decision, draft: Draft) -> Iterator[StepId]:
    """Yield the ends of other containers with this one's name, or a host port that it publishes."""
    kept = decision.old if decision.action in {Action.START, Action.RESTART} else None
    ports = kept.ports if kept else decision.spec.ports
    name = kept.name if kept else decision.spec.name
    wanted = {(port.protocol, port.host_port) for port in ports if port.host_port is not None}
    for container in draft.observed.containers:
        if decision.old is not None and container.id == decision.old.id:
            continue
        if container.name == name and container.id in draft.removals:
            yield draft.removals[container.id]
        elif container.id in draft.stops and any(
            (port.protocol, port.host_port) in wanted for port in container.ports
        ):
            yield draft.stops[container.id]


def _gates(decision: Decision, draft: Draft) -> tuple[Gate, ...]:
    """Return what to wait for: dependencies in scope that have a container at all."""
    return tuple(
        sorted(
            Gate(
                service=dependency.service,
                condition=dependency.condition,
                required=dependency.required,
            )
            for dependency in decision.spec.depends_on
            if draft.scope.containers.get(dependency.service)
        )
    )
