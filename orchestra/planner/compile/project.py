"""A whole project -> DesiredState."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.compile.containers import compile_replicas
from orchestra.planner.compile.images import compile_images
from orchestra.planner.compile.networking import mode_networks
from orchestra.planner.compile.support import check_support
from orchestra.planner.desired import (
    ContainerSpec,
    DesiredState,
    NetworkSpec,
    Subnet,
    VolumeSpec,
)
from orchestra.planner.fingerprint import network_hash, volume_hash
from orchestra.spec.model.network import Network
from orchestra.spec.model.project import Project
from orchestra.spec.model.volume import Volume
from orchestra.values import replace


def compile_project(
    project: Project, *, scale: Mapping[str, int] | None = None, runtime: str | None = None
) -> DesiredState:
    """Return what a project should be, every replica resolved; ``scale`` overrides the files'.

    ``runtime`` is that of services which name none.

    :raises SpecErrors: when the project uses what is not implemented; holds every such key.
    """
    complaints = Complaints(project.places)
    check_support(project, complaints)
    images = compile_images(project, complaints)
    containers: list[ContainerSpec] = []
    idle: list[ContainerSpec] = []
    for name, service in sorted(project.services.items()):
        if not (service.image or service.build):
            continue
        count = (scale or {}).get(name, service.replicas)
        replicas = compile_replicas(service, project, max(count, 1), complaints, runtime=runtime)
        (containers if count else idle).extend(replicas)
    complaints.raise_errors()
    return DesiredState(
        project=project.name,
        working_dir=project.working_dir,
        containers=tuple(sorted(containers, key=lambda spec: (spec.service, spec.number))),
        networks=_networks(project),
        volumes=tuple(_volume(key, project.volumes[key]) for key in sorted(project.volumes)),
        images=images,
        services=tuple(sorted(project.all_services)),
        config_files=project.compose_files,
        idle=tuple(idle),
        warnings=complaints.warnings,
    )


def _networks(project: Project) -> tuple[NetworkSpec, ...]:
    written = [_network(key, network) for key, network in project.networks.items()]
    return tuple(sorted([*written, *mode_networks(project)], key=lambda spec: spec.key))


def _network(key: str, network: Network) -> NetworkSpec:
    spec = NetworkSpec(
        key=key,
        name=network.name,
        external=network.external,
        internal=network.internal,
        driver=network.driver or "bridge",
        ipv6=bool(network.enable_ipv6),
        subnets=tuple(
            Subnet(
                subnet=pool.subnet or None,
                gateway=pool.gateway or None,
                ip_range=pool.ip_range or None,
                reserved=dict(sorted(pool.aux_addresses.items())),
            )
            for pool in network.ipam.config
        ),
        driver_options=dict(sorted(network.driver_opts.items())),
        labels=dict(sorted(network.labels.items())),
    )
    return replace(spec, config_hash=network_hash(spec))


def _volume(key: str, volume: Volume) -> VolumeSpec:
    spec = VolumeSpec(
        key=key,
        name=volume.name,
        external=volume.external,
        driver=volume.driver or "local",
        driver_options=dict(sorted(volume.driver_opts.items())),
        labels=dict(sorted(volume.labels.items())),
    )
    return replace(spec, config_hash=volume_hash(spec))
