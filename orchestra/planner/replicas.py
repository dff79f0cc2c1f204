"""What becomes of each container: kept, created, recreated, started, restarted or taken away.

One slot per service and number: replicas are 1 to N, the highest go first when there are to be
fewer. The steps are made in reconcile.py; here is only the judgement, and its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import assert_never

from orchestra.planner.desired import ContainerSpec, RestartMode
from orchestra.planner.fingerprint import changes
from orchestra.planner.observed import LIVE, ObservedContainer, ObservedState, Phase
from orchestra.planner.options import Recreate, UpOptions
from orchestra.planner.resources import Fate, Resources
from orchestra.planner.scope import Scope, namespace_parents, volume_keys
from orchestra.values import dataclass


class Action(StrEnum):
    """What is done with a slot."""

    KEEP = "keep"
    CREATE = "create"
    RECREATE = "recreate"
    START = "start"
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The judgement on one slot; ``old`` is the container that is there."""

    spec: ContainerSpec
    action: Action
    reason: str = ""
    old: ObservedContainer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """A container that goes without another in its place."""

    container: ObservedContainer
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement on every container in scope, and what goes."""

    decisions: tuple[Decision, ...]
    surplus: tuple[Surplus, ...]

    @property
    def gone(self) -> frozenset[str]:
        """Return the ids of containers that will not be there any more."""
        recreated = {d.old.id for d in self.decisions if d.old and d.action is Action.RECREATE}
        return frozenset(recreated | {surplus.container.id for surplus in self.surplus})


Slot = tuple[str, int]


@dataclass(slots=True)
class _Progress:
    """What the judgement of earlier services means for later ones."""

    fetched: frozenset[str]
    renewed: set[str]
    recreated: set[str]
    awakened: set[str]


def judge_containers(
    scope: Scope, observed: ObservedState, resources: Resources, options: UpOptions
) -> Verdict:
    """Decide on every slot, dependencies first.

    A missing image that one container needs is fetched, and may turn out to be another one than
    its siblings run: they are recreated with it, which may need further images, and so on.
    """
    slots, surplus = _slots(scope, observed)
    fetched: frozenset[str] = frozenset()
    while True:
        progress = _Progress(fetched, set(), set(), set())
        decisions = tuple(
            decision
            for service in scope.order
            for decision in _judge_service(service, scope, slots, resources, options, progress)
        )
        needed = frozenset(
            decision.spec.image
            for decision in decisions
            if decision.action in {Action.CREATE, Action.RECREATE}
            and decision.spec.image not in resources.images
        )
        if needed <= fetched:
            break
        fetched |= needed
    if options.remove_orphans:
        surplus += _orphans(scope, observed)
    return Verdict(decisions=decisions, surplus=surplus)


def comes_back(container: ObservedContainer) -> bool:
    """Tell whether a container that has ended may be started again by its restart policy."""
    if container.phase not in {Phase.EXITED, Phase.LOST} or container.stopped_by_user:
        return False
    match container.restart.mode:
        case RestartMode.ALWAYS | RestartMode.UNLESS_STOPPED:
            return True
        case RestartMode.ON_FAILURE:
            return container.exit_code != 0
        case RestartMode.NO:
            return False
        case _:
            assert_never(container.restart.mode)


def must_stop(container: ObservedContainer) -> bool:
    """Tell whether a container runs, or may run again by itself before it is dealt with."""
    return container.phase in LIVE or comes_back(container)


def why_not_running(container: ObservedContainer) -> str:
    """Say what a container does instead of running; "" when it runs."""
    match container.phase:
        case Phase.RUNNING:
            return ""
        case Phase.PAUSED:
            return "paused"
        case Phase.CREATED:
            return "never started"
        case Phase.EXITED:
            return f"exited {container.exit_code}" if container.exit_code is not None else "exited"
        case Phase.LOST:
            return "lost"
        case _:
            assert_never(container.phase)


def shown_names(containers: Iterable[ObservedContainer]) -> Mapping[str, str]:
    """Return what to call each container, by id: its name, which older namesakes don't own."""
    names: dict[str, str] = {}
    newest: set[str] = set()
    for container in sorted(containers, key=_age, reverse=True):
        own = container.name not in newest
        newest.add(container.name)
        names[container.id] = container.name if own else f"{container.id[:12]}_{container.name}"
    return names


def _age(container: ObservedContainer) -> tuple[float, str]:
    return container.created_at.timestamp(), container.id


def _slots(
    scope: Scope, observed: ObservedState
) -> tuple[Mapping[Slot, ObservedContainer], tuple[Surplus, ...]]:
    by_slot: dict[Slot, list[ObservedContainer]] = defaultdict(list)
    for container in observed.containers:
        if container.service in scope.containers and not container.one_off:
            by_slot[container.service, container.number].append(container)
    slots: dict[Slot, ObservedContainer] = {}
    surplus: list[Surplus] = []
    for slot in sorted(by_slot):
        *older, newest = sorted(by_slot[slot], key=_age)
        surplus += [Surplus(container=c, reason="replaced already") for c in older]
        service, number = slot
        wanted = scope.containers[service]
        if any(spec.number == number for spec in wanted):
            slots[slot] = newest
        else:
            surplus.append(Surplus(container=newest, reason=f"scaled to {len(wanted)}"))
    return slots, tuple(surplus)


def _orphans(scope: Scope, observed: ObservedState) -> tuple[Surplus, ...]:
    known = set(scope.desired.services)
    return tuple(
        Surplus(container=container, reason=reason)
        for container in observed.containers
        if (reason := orphan_reason(container, known))
    )


def orphan_reason(container: ObservedContainer, services: Iterable[str]) -> str:
    """Say why a container is an orphan; "" when it is none.

    Docker compose counts one-off containers that have ended among them.
    """
    if container.one_off:
        return "" if container.phase in LIVE else "a one-off that has ended"
    if container.service in services:
        return ""
    return f'orphan: no service "{container.service}"'


def _judge_service(
    service: str,
    scope: Scope,
    slots: Mapping[Slot, ObservedContainer],
    resources: Resources,
    options: UpOptions,
    progress: _Progress,
) -> Iterable[Decision]:
    strategy = _strategy(service, scope, options)
    decisions = [
        _judge(spec, slots.get((service, spec.number)), strategy, resources, options, progress)
        for spec in scope.containers[service]
    ]
    actions = {decision.action for decision in decisions}
    if actions & {Action.CREATE, Action.RECREATE}:
        progress.renewed.add(service)
    if Action.RECREATE in actions:
        progress.recreated.add(service)
    if any(map(_has_new_namespaces, decisions)):
        progress.awakened.add(service)
    return decisions


def _has_new_namespaces(decision: Decision) -> bool:
    alive = decision.old is not None and decision.old.phase in LIVE
    return decision.action is Action.RESTART or (decision.action is Action.START and not alive)


def _strategy(service: str, scope: Scope, options: UpOptions) -> Recreate:
    if options.recreate is Recreate.NEVER:
        return Recreate.NEVER
    if service in scope.named:
        return Recreate.FORCE if options.renew_anon_volumes else options.recreate
    return Recreate.FORCE if options.always_recreate_deps else Recreate.DIVERGED


def _judge(
    spec: ContainerSpec,
    old: ObservedContainer | None,
    strategy: Recreate,
    resources: Resources,
    options: UpOptions,
    progress: _Progress,
) -> Decision:
    if old is None:
        return Decision(spec=spec, action=Action.CREATE, reason="no such container")
    reason = _recreate_reason(spec, old, strategy, resources, progress)
    if reason:
        return Decision(spec=spec, action=Action.RECREATE, reason=reason, old=old)
    if options.no_start:
        return Decision(spec=spec, action=Action.KEEP, old=old)
    reason = _restart_reason(spec, old, resources, progress) if old.phase in LIVE else ""
    if reason:
        return Decision(spec=spec, action=Action.RESTART, reason=reason, old=old)
    reason = why_not_running(old) or ("its post_start hooks did not run" if old.hooks_due else "")
    action = Action.START if reason else Action.KEEP
    return Decision(spec=spec, action=action, reason=reason, old=old)


def _recreate_reason(
    spec: ContainerSpec,
    old: ObservedContainer,
    strategy: Recreate,
    resources: Resources,
    progress: _Progress,
) -> str:
    if strategy is Recreate.NEVER:
        return ""
    if strategy is Recreate.FORCE:
        return "recreate asked for"
    if old.config_hash != spec.config_hash:
        return changes(old.config_hash, spec.config_hash)
    image = resources.images.get(spec.image)
    if image is None and spec.image in progress.fetched:
        return "image was gone"
    if image is not None and image.id != old.image_id:
        return "image changed"
    if old.name != spec.name:
        return f'its name was "{old.name}"'
    return (
        _network_reason(spec, resources)
        or _volume_reason(spec, old, resources)
        or _parent_reason(spec, progress.renewed, "recreated")
    )


def _network_reason(spec: ContainerSpec, resources: Resources) -> str:
    for place in sorted(spec.networks, key=lambda place: place.network):
        match resources.networks[place.network].fate:
            case Fate.RENEW:
                return f'network "{place.network}" changed'
            case Fate.CREATE:
                return f'network "{place.network}" was gone'
            case Fate.KEEP | Fate.REVIVE:
                continue
    return ""


def _volume_reason(spec: ContainerSpec, old: ObservedContainer, resources: Resources) -> str:
    for key in volume_keys(spec):
        volume = resources.volumes[key]
        if volume.fate is Fate.RENEW:
            return f'volume "{key}" changed'
        if volume.spec.name not in old.volumes:
            return f'volume "{key}" is another one'
        if volume.fate is Fate.CREATE:
            return f'volume "{key}" was gone'
    return ""


def _parent_reason(spec: ContainerSpec, services: Iterable[str], what: str) -> str:
    parents = sorted(namespace_parents(spec) & set(services))
    return f'shares a namespace with "{parents[0]}", which is {what}' if parents else ""


def _restart_reason(
    spec: ContainerSpec, old: ObservedContainer, resources: Resources, progress: _Progress
) -> str:
    for place in sorted(spec.networks, key=lambda place: place.network):
        if resources.networks[place.network].fate is Fate.REVIVE:
            return f'network "{place.network}" is made again'
    if old.unplugged:
        return f'its link to network "{old.unplugged[0]}" is gone'
    parent = _parent_reason(spec, progress.awakened, "started")
    if parent:
        return parent
    for dependency in sorted(spec.depends_on, key=lambda dependency: dependency.service):
        if dependency.restart and dependency.service in progress.recreated:
            return f'"{dependency.service}" is recreated'
    return ""
