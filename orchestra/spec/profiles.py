"""Which services are active (compose-spec 15-profiles.md), and what they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestra.spec.model.job import Job
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service


def is_active(service: Service | Job, profiles: Sequence[str]) -> bool:
    """Tell whether a service or job takes part under these profiles."""
    return takes_part(service.profiles, profiles)


def takes_part(own: Sequence[str], profiles: Sequence[str]) -> bool:
    """Tell whether what has profiles of its own takes part under others; "*" is all of them.

    The empty profile (of an unset variable) is active as long as no other is asked for.
    """
    if not own or "*" in profiles:
        return True
    return any(profile in (profiles or ("",)) for profile in own)


def activate(project: Project, profiles: Sequence[str]) -> Project:
    """Return the project with its services parted into active and disabled ones."""
    everything = project.all_services
    active = {name for name, service in everything.items() if is_active(service, profiles)}
    parted = _parted(project, everything, active, tuple(profiles))
    jobs = project.jobs
    return parted.model_copy(
        update={
            "jobs": {name: job for name, job in jobs.items() if is_active(job, profiles)},
            "disabled_jobs": {
                name: job for name, job in jobs.items() if not is_active(job, profiles)
            },
        }
    )


def select(project: Project, names: Iterable[str]) -> Project:
    """Return the project with only these services and what they depend on active."""
    everything = project.all_services
    wanted: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in wanted or name not in everything:
            continue
        wanted.add(name)
        pending.extend(
            other
            for other, dependency in everything[name].depends_on.items()
            if dependency.required or other in project.services
        )
    return _parted(project, everything, wanted, project.profiles)


def only(project: Project, names: Iterable[str]) -> Project:
    """Return the project with no other services active, whatever these depend on."""
    return _parted(project, project.all_services, set(names), project.profiles)


def _parted(
    project: Project, everything: Mapping[str, Service], active: set[str], profiles: tuple[str, ...]
) -> Project:
    return project.model_copy(
        update={
            "services": {name: service for name, service in everything.items() if name in active},
            "disabled_services": {
                name: service for name, service in everything.items() if name not in active
            },
            "profiles": profiles,
        }
    )


def prune(project: Project) -> Project:
    """Return the project without networks, volumes and files that no active service uses."""
    services = project.services.values()
    networks = {name for service in services for name in service.networks}
    volumes = {
        mount.source for service in services for mount in service.volumes if mount.type == "volume"
    }
    secrets = {reference.source for service in services for reference in service.secrets}
    secrets |= {
        reference.source
        for service in services
        if service.build
        for reference in service.build.secrets
    }
    configs = {reference.source for service in services for reference in service.configs}
    models = {name for service in services for name in service.models}
    return project.model_copy(
        update={
            "networks": {key: one for key, one in project.networks.items() if key in networks},
            "volumes": {key: one for key, one in project.volumes.items() if key in volumes},
            "secrets": {key: one for key, one in project.secrets.items() if key in secrets},
            "configs": {key: one for key, one in project.configs.items() if key in configs},
            "models": {key: one for key, one in project.models.items() if key in models},
        }
    )
