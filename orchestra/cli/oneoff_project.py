"""What `run` changes in the project before it is compiled: the service's ports and mounts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra.errors import UsageError
from orchestra.spec.findings import Misfit
from orchestra.spec.model.port import Port
from orchestra.spec.model.volume import ServiceVolume
from orchestra.spec.paths import absolute
from orchestra.spec.shorthand import expand_port, expand_volume

if TYPE_CHECKING:
    from orchestra.cli.oneoff import OneOff
    from orchestra.spec.model.project import Project


def adapted_project(
    project: Project, wanted: OneOff, *, directory: str, home: str | None
) -> Project:
    """Return the project with the service as the run wants it: its ports, its further mounts.

    ``directory``: what relative paths of ``--volume`` start from.

    :raises UsageError: when there is no such service, or a port or volume is none.
    """
    service = project.services.get(wanted.service)
    if service is None:
        raise UsageError(
            f'no such service: "{wanted.service}"',
            hint=f"services here: {', '.join(project.all_services)}",
        )
    ports = service.ports if wanted.service_ports else _ports(wanted.publish)
    mounts = tuple(_mount(text, project, directory, home) for text in wanted.volumes)
    targets = {mount.target for mount in mounts}
    kept = tuple(mount for mount in service.volumes if mount.target not in targets)
    changed = service.model_copy(
        update={"ports": ports, "volumes": (*kept, *mounts), "container_name": None}
    )
    services = {**project.services, wanted.service: changed}
    return project.model_copy(update={"services": services})


def _ports(texts: Sequence[str]) -> tuple[Port, ...]:
    try:
        return tuple(Port.model_validate(port) for text in texts for port in expand_port(text))
    except Misfit as err:
        raise UsageError(f"--publish: {err.message}", hint=err.hint) from err


def _mount(text: str, project: Project, directory: str, home: str | None) -> ServiceVolume:
    try:
        mount = expand_volume(text)
    except Misfit as err:
        raise UsageError(f"--volume: {err.message}", hint=err.hint) from err
    source = mount.get("source")
    if isinstance(source, str) and mount["type"] == "bind":
        mount["source"] = absolute(source, directory, home)
    elif source is not None and source not in project.volumes:
        raise UsageError(
            f'--volume: no volume "{source}" in this project',
            hint=f"define volumes.{source}, or write a path that begins with / or ./",
        )
    return ServiceVolume.model_validate(mount)
