"""Lists of names out of a project, as ``config`` prints them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.spec.model.project import Project


def names_of(project: Project, kind: str) -> list[str]:
    """Return the sorted names of one kind: services, volumes, networks, images, profiles."""
    services = project.services.values()
    found: Iterable[str]
    match kind:
        case "services":
            found = project.services
        case "volumes":
            found = project.volumes
        case "networks":
            found = project.networks
        case "images":
            found = {s.image or f"{project.name}-{s.name}" for s in services}
        case _:
            everyone = [*services, *project.disabled_services.values()]
            found = {profile for service in everyone for profile in service.profiles}
    return sorted(found)
