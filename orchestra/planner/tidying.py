"""``system prune``: a plan that removes what a project does not use just now."""

from __future__ import annotations

from orchestra.planner.desired import RestartMode
from orchestra.planner.observed import LIVE, ObservedContainer, ObservedState
from orchestra.planner.plan import Plan
from orchestra.planner.steps import (
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    Step,
    StepId,
)

_REASON = "unused"


def plan_tidying(observed: ObservedState, *, volumes: bool) -> Plan[Step]:
    """Return what takes stopped containers and networks without containers off the machine.

    ``volumes``: anonymous volumes that no container mounts as well. A container that is about to
    be restarted is not stopped.
    """
    going = tuple(container for container in observed.containers if _is_over(container))
    staying = [container for container in observed.containers if container not in going]
    steps: list[Step] = [
        RemoveContainer(
            container_id=container.id,
            name=container.name,
            service=container.service,
            volumes=volumes,
            reason=_REASON,
        )
        for container in going
    ]
    after: tuple[StepId, ...] = tuple(step.id for step in steps)
    networks = {place.network for container in staying for place in container.networks}
    steps += [
        RemoveNetwork(key=network.key, name=network.name, reason=_REASON, after=after)
        for network in observed.networks
        if network.project == observed.project and network.key not in networks
    ]
    if volumes:
        mounted = {name for container in observed.containers for name in container.volumes}
        steps += [
            RemoveVolume(key=volume.key, name=volume.name, reason=_REASON, after=after)
            for volume in observed.volumes
            if volume.anonymous and volume.name not in mounted
        ]
    return Plan.of(steps)


def _is_over(container: ObservedContainer) -> bool:
    if container.phase in LIVE:
        return False
    mode = container.restart.mode
    ended_well = mode is RestartMode.ON_FAILURE and container.exit_code == 0
    return container.stopped_by_user or mode is RestartMode.NO or ended_well
