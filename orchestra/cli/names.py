"""Lists of names out of a project, as ``config`` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.errors import UsageError

if TYPE_CHECKING:
    from orchestra.planner.desired import DesiredState
    from orchestra.spec.discovery import LoadOptions
    from orchestra.spec.model.project import Project


def name_patterns(filters: Iterable[str]) -> list[re.Pattern[str]]:
    """Parse ``--filter name=REGEX`` options.

    :raises UsageError: when one is of another kind, or no regular expression.
    """
    patterns = []
    for text in filters:
        key, equals, pattern = text.partition("=")
        if key != "name" or not equals:
            raise UsageError(f'invalid filter "{text}"', hint="use --filter name=REGEX")
        try:
            patterns.append(re.compile(pattern))
        except re.error as err:
            raise UsageError(f'invalid filter "{text}": {err.msg}', hint="use a regex") from err
    return patterns


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


def hash_lines(desired: DesiredState, wanted: str) -> str:
    """Return "SERVICE HASH" lines for the services named with commas between, "*" for all.

    :raises UsageError: when there is no such service.
    """
    found = {c.service: c.config_hash for c in (*desired.idle, *desired.containers)}
    names = sorted(found) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in found:
            raise UsageError(
                f'no such service: "{name}"', hint=f"services here: {', '.join(sorted(found))}"
            )
    return "".join(f"{name} {found[name]}\n" for name in names)


def environment_lines(options: LoadOptions, environment: Mapping[str, str], cwd: Path) -> str:
    """Return the variables that Compose files may use, as KEY=value lines.

    :raises SpecError: when an env file is missing or malformed.
    """
    from orchestra.spec.discovery import find_site
    from orchestra.spec.findings import Findings

    site = find_site(options, environment, cwd, Findings())
    return "".join(f"{key}={site.environment[key]}\n" for key in sorted(site.environment))
