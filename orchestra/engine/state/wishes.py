"""What is wanted of a project, written down when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.engine.state.records import Wished
from orchestra.planner.building import without_secrets
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.engine.state.store import Store
    from orchestra.planner.desired import DesiredState


def remember(store: Store, project: str, state: DesiredState | None) -> None:
    """Write down what is wanted from now on; the project's lock is held by the caller.

    :raises StateError: when it cannot be written.
    """
    wished = store.wished(project)
    state = state and _without_secrets(state)
    if wished.state != state:
        store.write_wished(project, Wished(generation=wished.generation + 1, state=state))


def _without_secrets(state: DesiredState) -> DesiredState:
    """Return a state as it may be written down: a build's secrets are for the build alone."""
    images = tuple(
        replace(image, build=without_secrets(image.build)) if image.build else image
        for image in state.images
    )
    return replace(state, images=images)
