"""Which of a service's containers a command is about."""

from __future__ import annotations

from orchestra.cli.transact import NotRunningError
from orchestra.planner.observed import ObservedContainer, ObservedState


def choose(
    observed: ObservedState, service: str, *, index: int, everything: bool
) -> tuple[ObservedContainer, ...]:
    """Return a service's containers, running or not: that of a number, or all, by number.

    :raises UsageError: when there is none.
    """
    found = [
        container
        for container in observed.containers
        if container.service == service
        and (not container.one_off or (everything and not index))
        and (not index or container.number == index)
    ]
    if not found:
        which = f" with index {index}" if index else ""
        raise NotRunningError(
            f'no container found for service "{service}"{which}', hint="see `orchestra ps -a`"
        )
    return tuple(sorted(found, key=lambda each: (each.one_off, each.number, each.created_at)))
