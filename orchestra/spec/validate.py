"""Rules across a project: references that must lead somewhere, and keys that exclude each other.

Each rule yields what is wrong and where; ``validate`` adds the places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from orchestra.errors import ImageError
from orchestra.oci.reference import parse_reference
from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.network import Network
from orchestra.spec.model.project import AiModel, Project
from orchestra.spec.model.service import Service
from orchestra.spec.model.volume import Volume
from orchestra.spec.spelling import listed, shortened, suggestion
from orchestra.spec.tree import Value, child, lookup, mark_of, place

if TYPE_CHECKING:
    from orchestra.spec.model.container import Container
    from orchestra.spec.model.files import FileReference

_MOST = 400

Complaint = tuple[KeyPath, str, str | None]
Rule = Callable[[Project, Service], Iterator[Complaint]]


def validate(project: Project, tree: Value, findings: Findings) -> None:
    """Note everything that is wrong with the active services and their resources."""
    known = _with_refused(project, findings) if findings.errors else project
    found = list(islice(_complaints(project, known, tree), _MOST))
    for path, message, hint in [one for one in found if not _told(one[0], tree, findings)]:
        findings.add(message, path, place(tree, path), hint=hint)
    if findings.full:
        return
    everything = project.all_services
    for service in project.services.values():
        for name in service.depends_on:
            if name not in everything:
                path = ("services", service.name, "depends_on", name)
                findings.warn(f'no service "{name}" in this project', path, place(tree, path))


def _with_refused(project: Project, findings: Findings) -> Project:
    """Return the project with a stand-in for each resource that was refused: it is not unknown."""
    from orchestra.spec.model.files import Config, Secret  # noqa: PLC0415 - a rare model

    return project.model_copy(
        update={
            "networks": {
                **{name: Network(name=name) for name in findings.names("networks")},
                **project.networks,
            },
            "volumes": {
                **{name: Volume(name=name) for name in findings.names("volumes")},
                **project.volumes,
            },
            "secrets": {
                **{name: Secret(name=name) for name in findings.names("secrets")},
                **project.secrets,
            },
            "configs": {
                **{name: Config(name=name) for name in findings.names("configs")},
                **project.configs,
            },
            "models": {
                **{name: AiModel(model=name) for name in findings.names("models")},
                **project.models,
            },
        }
    )


def _told(path: KeyPath, tree: Value, findings: Findings) -> bool:
    """Tell whether a key's value was refused: that it is missing then is no news."""
    if len(path) == 2 and path[0] == "services":
        return any(findings.holds((*path, key)) for key in ("image", "build"))
    value: Value = tree
    for key in path:
        value = child(value, key)[1]
    resource = path[0] in {"secrets", "configs"}
    return (resource or not isinstance(value, dict | list)) and findings.holds(path)


def _complaints(project: Project, known: Project, tree: Value) -> Iterator[Complaint]:
    for service in project.services.values():
        for rule in RULES:
            for path, message, hint in rule(known, service):
                yield ("services", service.name, *path), message, hint
    yield from _jobs(project)
    yield from _resources(project, tree)
    yield from _cycles(project)
    yield from _container_names(project)


def _missing(kind: str, name: str, known: Mapping[str, object], where: str) -> tuple[str, str]:
    shown = shortened(name)
    hint = suggestion(name, known) or f"define {where}.{shown} ({where} here: {listed(known)})"
    return f'no {kind} "{shown}" in this project', hint


def _source(_project: Project, service: Service) -> Iterator[Complaint]:
    if not service.image and service.build is None and service.provider is None:
        yield (), "neither image nor build is given", "say what the service runs"
    if service.image:
        try:
            parse_reference(service.image)
        except ImageError as error:
            yield ("image",), error.message, error.hint


def _build(project: Project, service: Service) -> Iterator[Complaint]:
    build = service.build
    if build is None:
        return
    if build.dockerfile_inline is not None and build.dockerfile is not None:
        path: KeyPath = ("build", "dockerfile_inline")
        yield path, "dockerfile and dockerfile_inline exclude each other", "keep one"
    for name, context in build.additional_contexts.items():
        other = context.removeprefix("service:")
        if other == context:
            continue
        path = ("build", "additional_contexts", name)
        if other not in project.all_services:
            yield path, *_missing("service", other, project.all_services, "services")
        elif project.all_services[other].build is None:
            yield path, f'service "{other}" has no build', "give it one"
    if build.platforms and service.platform and service.platform not in build.platforms:
        yield ("platform",), "build.platforms does not hold this platform", "add it there"


def _networks(project: Project, service: Service) -> Iterator[Complaint]:
    if service.network_mode is not None and service.networks:
        yield ("network_mode",), "network_mode and networks exclude each other", "keep one"
        return
    for name in service.networks:
        if name not in project.networks:
            known = {"default": None, **project.networks}
            yield ("networks", name), *_missing("network", name, known, "networks")


def _implied(service: Service) -> dict[str, KeyPath]:
    """Return the services that other attributes than depends_on name, with the first's path."""
    found: dict[str, KeyPath] = {}
    for index, link in enumerate(service.links):
        found.setdefault(link.partition(":")[0], ("links", index))
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        kind, colon, name = str(getattr(service, key)).partition(":")
        if kind == "service" and colon:
            found.setdefault(name, (key,))
    for index, source in enumerate(service.volumes_from):
        if not source.startswith("container:"):
            found.setdefault(source.partition(":")[0], ("volumes_from", index))
    return found


def _dependencies(project: Project, service: Service) -> Iterator[Complaint]:
    implied = _implied(service)
    for name, dependency in service.depends_on.items():
        path: KeyPath = implied.get(name, ("depends_on", name))
        if name in project.services or not dependency.required:
            continue
        if name in project.disabled_services:
            profiles = ", ".join(project.disabled_services[name].profiles) or "none"
            hint = f"activate one of its profiles ({profiles})"
            if name not in implied:
                hint += ", or set required: false"
            yield path, f'service "{name}" is not active', hint
            continue
        yield path, *_missing("service", name, project.all_services, "services")


def _sourceless(container: Container, place: KeyPath = ()) -> Iterator[Complaint]:
    for index, mount in enumerate(container.volumes):
        if mount.type == "bind" and not mount.source:
            path: KeyPath = (*place, "volumes", index, "source")
            yield path, '"source" is missing', "say what to mount"


def _mounts(project: Project, service: Service) -> Iterator[Complaint]:
    yield from _sourceless(service)
    for index, hook in enumerate(service.pre_start):
        yield from _sourceless(hook, ("pre_start", index))
    seen: dict[str, str] = {}
    for index, text in enumerate(service.tmpfs):
        target = text.partition(":")[0]
        if target in seen:
            yield ("tmpfs", index), f'"{target}" is mounted twice', f"see {seen[target]}"
        seen.setdefault(target, f"tmpfs[{index}]")
    for index, mount in enumerate(service.volumes):
        path: KeyPath = ("volumes", index)
        if mount.type == "volume" and mount.source and mount.source not in project.volumes:
            yield path, *_missing("volume", mount.source, project.volumes, "volumes")
        if mount.target is None:
            yield (*path, "target"), '"target" is missing', "say where to mount it"
            continue
        if mount.target in seen:
            yield path, f'"{mount.target}" is mounted twice', f"see {seen[mount.target]}"
        seen.setdefault(mount.target, f"volumes[{index}]")


def _files(project: Project, service: Service) -> Iterator[Complaint]:
    of_build = service.build.secrets if service.build is not None else ()
    yield from _references(("secrets",), service.secrets, "secret", project.secrets)
    yield from _references(("build", "secrets"), of_build, "secret", project.secrets)
    yield from _references(("configs",), service.configs, "config", project.configs)
    for name in service.models:
        if name not in project.models:
            yield ("models", name), *_missing("model", name, project.models, "models")


def _references(
    path: KeyPath, references: Iterable[FileReference], kind: str, known: Mapping[str, object]
) -> Iterator[Complaint]:
    for index, reference in enumerate(references):
        if not reference.source:
            yield (*path, index, "source"), '"source" is missing', f"name a {kind} of the project"
        elif reference.source not in known:
            yield (*path, index), *_missing(kind, reference.source, known, f"{kind}s")


def _health(_project: Project, service: Service) -> Iterator[Complaint]:
    test = service.healthcheck.test if service.healthcheck is not None else ()
    if test and test[0] not in {"CMD", "CMD-SHELL", "NONE"}:
        hint = "a test written as a list begins so; or write one text"
        yield ("healthcheck", "test"), 'expected "CMD", "CMD-SHELL" or "NONE" first', hint


def _limits(_project: Project, service: Service) -> Iterator[Complaint]:
    deploy = service.deploy
    if deploy is None:
        return
    if None not in {service.scale, deploy.replicas} and service.scale != deploy.replicas:
        yield ("scale",), "scale and deploy.replicas differ", "keep one"
    resources = deploy.resources
    limits = resources.limits if resources is not None else None
    reservations = resources.reservations if resources is not None else None
    if limits is not None:
        if service.cpus and service.cpus != limits.cpus:
            yield ("cpus",), "cpus and deploy.resources.limits.cpus differ", "keep one"
        if service.mem_limit and service.mem_limit != limits.memory:
            yield ("mem_limit",), "mem_limit and deploy.resources.limits.memory differ", "keep one"
        if service.pids_limit and service.pids_limit != limits.pids:
            yield ("pids_limit",), "pids_limit and deploy.resources.limits.pids differ", "keep one"
    reserved = reservations.memory if reservations is not None else service.mem_reservation
    if service.mem_reservation and service.mem_reservation != reserved:
        message = "mem_reservation and deploy.resources.reservations.memory differ"
        yield ("mem_reservation",), message, "keep one"


def _replicas(_project: Project, service: Service) -> Iterator[Complaint]:
    if service.container_name is not None and service.replicas > 1:
        message = f"one name cannot serve {service.replicas} containers"
        yield ("container_name",), message, "drop container_name or run one replica"


def _devices(_project: Project, service: Service) -> Iterator[Complaint]:
    for index, request in enumerate(service.gpus):
        if request.count is not None and request.device_ids:
            yield ("gpus", index), "count and device_ids exclude each other", "keep one"
    resources = service.deploy.resources if service.deploy is not None else None
    reservations = resources.reservations if resources is not None else None
    for index, request in enumerate(reservations.devices if reservations is not None else ()):
        path: KeyPath = ("deploy", "resources", "reservations", "devices", index)
        if request.count is not None and request.device_ids:
            yield path, "count and device_ids exclude each other", "keep one"


def _watch(_project: Project, service: Service) -> Iterator[Complaint]:
    for index, trigger in enumerate(service.develop.watch if service.develop else ()):
        if not trigger.path:
            yield ("develop", "watch", index, "path"), "the path is empty", "say what to watch"
        if trigger.target is None and trigger.action not in {"rebuild", "restart"}:
            path: KeyPath = ("develop", "watch", index)
            yield path, f'"target" is missing for action "{trigger.action}"', "say where to"


RULES: tuple[Rule, ...] = (
    _source, _build, _networks, _dependencies, _mounts, _files, _health, _limits, _replicas,
    _devices, _watch,
)  # fmt: skip


def _jobs(project: Project) -> Iterator[Complaint]:
    jobs = {**project.disabled_jobs, **project.jobs}
    for name in jobs:
        if name in project.all_services:
            yield ("jobs", name), f'a service is named "{name}" too', "rename one of them"
    for name, job in project.jobs.items():
        yield from _sourceless(job, ("jobs", name))
        if job.triggers.manual is None and not job.triggers.schedule:
            hint = "write manual: true, or a schedule"
            yield ("jobs", name, "triggers"), "nothing triggers this job", hint
        for other, dependency in job.depends_on.items():
            disabled = other in project.disabled_services and not dependency.required
            if other not in {*project.jobs, *project.services} and not disabled:
                path: KeyPath = ("jobs", name, "depends_on", other)
                yield path, *_missing("service", other, project.all_services, "services")


def _resources(project: Project, tree: Value) -> Iterator[Complaint]:
    for name, secret in project.secrets.items():
        given = [key for key in ("file", "environment") if getattr(secret, key)]
        if not secret.external:
            yield from _one_of(("secrets", name), given, "file or environment")
    for name, config in project.configs.items():
        given = [key for key in ("file", "environment") if getattr(config, key)]
        # a variable's value is put there too, but at no place of a file
        written = mark_of(lookup(tree, "configs", name), "content") is not None
        if config.content is not None and (written or not config.environment):
            given.append("content")
        if not config.external:
            yield from _one_of(("configs", name), given, "file, environment or content")
    for name, volume in project.volumes.items():
        for key in ("driver", "driver_opts", "labels") if volume.external else ():
            if getattr(volume, key):
                hint = "an external volume is made elsewhere; keep name and external"
                yield ("volumes", name, key), f"external and {key} exclude each other", hint


def _one_of(path: KeyPath, given: list[str], choices: str) -> Iterator[Complaint]:
    if not given:
        yield path, f"one of {choices} must be given", "add one of them"
    elif len(given) > 1:
        yield path, f"{' and '.join(given)} exclude each other", "keep one"


def _cycles(project: Project) -> Iterator[Complaint]:
    done: set[str] = set()
    for name in sorted(project.services):
        cycle = _cycle_from(name, project, done)
        if cycle is not None:
            done.update(cycle)
            message = f"services wait for each other in a circle: {' -> '.join(cycle)}"
            path = _implied(project.services[cycle[0]]).get(cycle[1], ("depends_on", cycle[1]))
            yield ("services", cycle[0], *path), message, "break it"


def _cycle_from(start: str, project: Project, done: set[str]) -> list[str] | None:
    trail: dict[str, None] = {}
    pending: list[tuple[str, bool]] = [(start, False)]
    while pending:
        name, leaving = pending.pop()
        if leaving:
            trail.popitem()
            done.add(name)
            continue
        if name in trail:
            steps = list(trail)
            return [*steps[steps.index(name) :], name]
        if name in done or name not in project.services:
            continue
        trail[name] = None
        pending.append((name, True))
        others = sorted(project.services[name].depends_on, reverse=True)
        pending.extend((other, False) for other in others)
    return None


def _container_names(project: Project) -> Iterator[Complaint]:
    owners: dict[str, str] = {}
    for service in project.services.values():
        name = service.container_name
        if name is None:
            continue
        if name in owners:
            path: KeyPath = ("services", service.name, "container_name")
            yield (
                path,
                f'service "{owners[name]}" has this container_name too',
                "name one otherwise",
            )
        owners.setdefault(name, service.name)
