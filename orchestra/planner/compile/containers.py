"""One service -> one ContainerSpec per replica."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.compile.images import image_of
from orchestra.planner.compile.limits import (
    compile_cgroup_parent,
    compile_device_requests,
    compile_devices,
    compile_heal,
    compile_health,
    compile_resources,
    compile_restart,
    compile_storage,
    ulimits_of,
)
from orchestra.planner.compile.logging import compile_logging
from orchestra.planner.compile.mounts import compile_files, compile_mounts, compile_volumes_from
from orchestra.planner.compile.networking import (
    compile_attachments,
    compile_links,
    compile_ports,
    host_pairs,
    named_network,
)
from orchestra.planner.desired import Condition, ContainerSpec, Dependency, Hook
from orchestra.planner.fingerprint import OWN_LABELS, config_hash
from orchestra.planner.scope import NUMBER_LABEL
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.spec.model.hook import Hook as WrittenHook

_GRACE = timedelta(seconds=10)


NATIVE_RUNTIME = "native"


def compile_replicas(
    service: Service,
    project: Project,
    count: int,
    complaints: Complaints,
    *,
    runtime: str | None = None,
) -> tuple[ContainerSpec, ...]:
    """Return the containers of a service, numbered from 1; ``runtime`` is for one without."""
    if count > 1 and service.container_name:
        complaints.add(
            ("services", service.name, "container_name"),
            f"{count} containers cannot share one name",
            hint="remove container_name, or do not scale the service",
        )
        count = 1
    template = _template(service, project, complaints)
    chosen = template.runtime or runtime
    template = replace(template, runtime=None if chosen == NATIVE_RUNTIME else chosen)
    return tuple(
        _replica(template, service, project, number, complaints) for number in range(1, count + 1)
    )


def _replica(
    template: ContainerSpec,
    service: Service,
    project: Project,
    number: int,
    complaints: Complaints,
) -> ContainerSpec:
    name = service.container_name or f"{project.name}-{service.name}-{number}"
    spec = replace(
        template,
        number=number,
        name=name,
        networks=compile_attachments(service, name, complaints),
        ports=compile_ports(service, number, complaints),
    )
    digest = config_hash(spec)
    labels = {**_labels(service, project, number, digest), **service.labels}
    return replace(spec, config_hash=digest, labels=dict(sorted(labels.items())))


def _labels(service: Service, project: Project, number: int, digest: str) -> Mapping[str, str]:
    dependencies = (
        f"{name}:{dependency.condition}:{str(dependency.restart).lower()}"
        for name, dependency in sorted(service.depends_on.items())
        if name in project.services
    )
    return {
        f"{OWN_LABELS}project": project.name,
        f"{OWN_LABELS}project.working_dir": project.working_dir,
        f"{OWN_LABELS}project.config_files": ",".join(project.compose_files),
        f"{OWN_LABELS}service": service.name,
        f"{OWN_LABELS}oneoff": "False",
        f"{OWN_LABELS}config-hash": digest,
        f"{OWN_LABELS}depends_on": ",".join(dependencies),
        NUMBER_LABEL: str(number),
    }


def _dependencies(service: Service, project: Project) -> tuple[Dependency, ...]:
    """Return what a service needs of the active ones; the loader has implied what is implied."""
    return tuple(
        Dependency(
            service=name,
            condition=Condition(str(dependency.condition)),
            required=dependency.required,
            restart=dependency.restart,
        )
        for name, dependency in sorted(service.depends_on.items())
        if name in project.services
    )


def _template(service: Service, project: Project, complaints: Complaints) -> ContainerSpec:
    grace = service.stop_grace_period
    return ContainerSpec(
        project=project.name,
        service=service.name,
        number=0,
        name="",
        image=image_of(service, project),
        config_hash="",
        command=service.command,
        entrypoint=service.entrypoint,
        environment={k: v for k, v in sorted(service.environment.items()) if v is not None},
        unset=tuple(sorted(k for k, v in service.environment.items() if v is None)),
        working_dir=service.working_dir or None,
        user=service.user or None,
        group_add=service.group_add,
        hostname=service.hostname or None,
        domainname=service.domainname or None,
        labels=dict(sorted(service.labels.items())),
        annotations=dict(sorted(service.annotations.items())),
        mounts=compile_mounts(service, project, complaints),
        volumes_from=compile_volumes_from(service),
        files=compile_files(service, project, complaints),
        network_mode="" if named_network(service.network_mode) else service.network_mode or "",
        expose=tuple(sorted(service.expose)),
        links=compile_links(service),
        extra_hosts=host_pairs(service.extra_hosts),
        dns=service.dns,
        dns_search=service.dns_search,
        dns_options=service.dns_opt,
        depends_on=_dependencies(service, project),
        health=compile_health(service.healthcheck),
        restart=compile_restart(service, complaints),
        heal=compile_heal(service, complaints),
        stop_signal=service.stop_signal or None,
        stop_grace_period=_GRACE if grace is None else grace,
        tty=service.tty,
        stdin_open=service.stdin_open,
        init=bool(service.init),
        privileged=service.privileged,
        read_only=service.read_only,
        cap_add=tuple(sorted(service.cap_add)),
        cap_drop=tuple(sorted(service.cap_drop)),
        security_opt=tuple(sorted(service.security_opt)),
        devices=compile_devices(service, complaints),
        device_requests=compile_device_requests(service),
        device_cgroup_rules=service.device_cgroup_rules,
        ulimits=ulimits_of(service.ulimits),
        sysctls=dict(sorted(service.sysctls.items())),
        shm_size_bytes=service.shm_size or None,
        storage_bytes=compile_storage(service, complaints),
        resources=compile_resources(service, complaints),
        pid_mode=_mode(service.pid),
        ipc_mode=_mode(service.ipc),
        uts_mode=_mode(service.uts),
        cgroup_mode=service.cgroup or "",
        cgroup_parent=compile_cgroup_parent(service, complaints),
        userns_mode=service.userns_mode or "",
        logging=compile_logging(service, complaints),
        runtime=service.runtime or None,
        post_start=_hooks(service.post_start),
        pre_stop=_hooks(service.pre_stop),
        attach=service.attach is not False,
    )


def _mode(text: str | None) -> str:
    return "" if text in {None, "private", "shareable"} else text or ""


def _hooks(written: Sequence[WrittenHook]) -> tuple[Hook, ...]:
    return tuple(
        Hook(
            command=hook.command,
            user=hook.user,
            privileged=hook.privileged,
            working_dir=hook.working_dir,
            environment={k: v for k, v in sorted(hook.environment.items()) if v is not None},
        )
        for hook in written
    )
