"""A project of which nothing is to be done, taken note of: no event loop, no steps, few imports.

The walk of a transaction (controller.py) for a plan that turns out empty. It comes first, and
leaves everything to that one as soon as it cannot go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.engine.container.exec_talk import tell
from orchestra.engine.linux.dialing import dial
from orchestra.engine.state.lock import at_once
from orchestra.engine.state.wishes import remember
from orchestra.planner.observed import LIVE, ObservedState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestra.engine.local.observe import Observer
    from orchestra.engine.state.store import Store
    from orchestra.planner.desired import DesiredState

LAUNCHER_SOCKET = "launcher.sock"
"""That of shim/protocol.py, which a test compares."""


def settle(
    store: Store,
    observer: Observer,
    program: tuple[Sequence[str], Mapping[str, str]],
    desired: DesiredState,
    nothing_to_do: Callable[[ObservedState], bool],
) -> bool:
    """Write down what is wanted where nothing is to be done for it; tell whether that was so.

    What runs is watched over by ``program`` from then on, as after any transaction. Where somebody
    else holds the project's lock, or has to be started first, the answer is no.

    :raises StateError: when a record is damaged, or cannot be written.
    """
    project = desired.project
    with at_once(store.paths, project) as held:
        if not held:
            return False
        observed = observer.observe(project, tuple(i.reference for i in desired.images))
        if not nothing_to_do(observed):
            return False
        runs = any(c.phase in LIVE and not c.one_off for c in observed.containers)
        if runs and not _watched(str(store.paths.project_run(project)), program):
            return False
        remember(store, project, desired)
    return True


def _watched(directory: str, program: tuple[Sequence[str], Mapping[str, str]]) -> bool:
    """Have the launcher, where there is one, keep the supervisor alive."""
    argv, environment = program
    message = {"op": "supervise", "argv": list(argv), "env": dict(environment)}
    try:
        return tell(dial(directory, LAUNCHER_SOCKET), message).get("ok") is True
    except OSError:
        return False
