"""Compose keys that are valid but not implemented: refused by name, never ignored.

Tables of key -> reason. A key is refused when the project gives it a value that is not empty.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.planner.compile.complaints import Complaints
from orchestra.spec.model.build import Build
from orchestra.spec.model.deploy import Deploy
from orchestra.spec.model.network import Attachment, Network
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service
from orchestra.spec.model.volume import ServiceVolume

_WINDOWS = "it exists on Windows only"
_CLUSTER = "it places services on a cluster, and this is one machine"

SERVICE: Mapping[str, str] = {
    "blkio_config": "block I/O is not limited",
    "cgroup_parent": "every container has its place below the project's cgroup",
    "cpu_count": _WINDOWS,
    "cpu_percent": _WINDOWS,
    "cpu_rt_period": "real-time scheduling is not set up",
    "cpu_rt_runtime": "real-time scheduling is not set up",
    "credential_spec": _WINDOWS,
    "external_links": "containers of other projects are out of reach",
    "gpus": "accelerators are not handed to containers",
    "isolation": _WINDOWS,
    "mem_swappiness": "swappiness is not set per container",
    "models": "no model runner is there",
    "post_start": "hooks are not run",
    "pre_start": "hooks are not run",
    "pre_stop": "hooks are not run",
    "provider": "services are not handed to other programs",
    "pull_refresh_after": "images are not refreshed by age",
    "storage_opt": "the size of a container's layer is not limited",
    "use_api_socket": "there is no engine socket to hand over",
}

DEPLOY: Mapping[str, str] = {
    "endpoint_mode": _CLUSTER,
    "labels": "there is no object but the containers to put them on",
    "placement": _CLUSTER,
    "rollback_config": "updates are not rolled back",
    "update_config": "updates are not rolled out in turn",
}

BUILD: Mapping[str, str] = {
    "cache_to": "the build cache is not exported",
    "entitlements": "build steps get no more rights than containers",
    "isolation": _WINDOWS,
    "no_cache_filter": "the cache is used for all stages or for none",
    "privileged": "build steps get no more rights than containers",
    "ssh": "no agent is forwarded into builds",
    "ulimits": "build steps have the engine's own limits",
}

ATTACHMENT: Mapping[str, str] = {
    "driver_opts": "a bridge takes no options per container",
    "link_local_ips": "no further addresses are given",
}

HINTS: Mapping[str, str] = {
    "services.deploy.labels": "use services.NAME.labels",
    "services.gpus": "remove it, or pass the device with `devices`",
    "services.pull_refresh_after": 'use pull_policy "always" or "missing"',
    "services.external_links": "attach both projects to an external network",
}


def refuse_keys(project: Project, complaints: Complaints) -> None:
    """Note every key of the active services, and of what is at the top, that is not implemented."""
    for name, service in sorted(project.services.items()):
        key = f"services.{name}"
        _refuse(service, SERVICE, key, "services", complaints)
        if service.deploy is not None:
            _refuse_deploy(service.deploy, f"{key}.deploy", complaints)
        if service.build is not None:
            _refuse_build(service.build, f"{key}.build", complaints)
        for network, attachment in sorted(service.networks.items()):
            place = f"{key}.networks.{network}"
            _refuse(attachment, ATTACHMENT, place, "services.networks", complaints)
        for index, mount in enumerate(service.volumes):
            _refuse_mount(mount, f"{key}.volumes.{index}", complaints)
        _refuse_modes(service, key, complaints)
    for name, declared in sorted(project.networks.items()):
        _refuse_network(declared, f"networks.{name}", complaints)


def _refuse(
    element: Service | Deploy | Build | Attachment,
    table: Mapping[str, str],
    key: str,
    kind: str,
    complaints: Complaints,
) -> None:
    for attribute, why in table.items():
        value: object = getattr(element, attribute)
        if value not in (None, False, (), "") and value != {}:
            complaints.refuse(f"{key}.{attribute}", why, HINTS.get(f"{kind}.{attribute}"))


def _refuse_deploy(deploy: Deploy, key: str, complaints: Complaints) -> None:
    _refuse(deploy, DEPLOY, key, "services.deploy", complaints)
    if deploy.mode not in {None, "replicated"}:
        complaints.refuse(f"{key}.mode", f'"{deploy.mode}" is for clusters')
    reservations = deploy.resources.reservations if deploy.resources else None
    if reservations is None:
        return
    key = f"{key}.resources.reservations"
    if reservations.devices or reservations.generic_resources:
        complaints.refuse(f"{key}.devices", "accelerators are not handed to containers")
    if reservations.cpus:
        complaints.refuse(f"{key}.cpus", "processors are not reserved", "use cpu_shares")


def _refuse_build(build: Build, key: str, complaints: Complaints) -> None:
    _refuse(build, BUILD, key, "services.build", complaints)
    for attribute in ("provenance", "sbom"):
        if getattr(build, attribute) not in {None, "false", "0"}:
            complaints.refuse(f"{key}.{attribute}", "images carry no attestations")
    if len(build.platforms) > 1:
        complaints.refuse(f"{key}.platforms", "images are built for one platform")
    if build.context and "://" in build.context:
        complaints.refuse(f"{key}.context", "remote contexts are not fetched", "clone it first")


def _refuse_mount(mount: ServiceVolume, key: str, complaints: Complaints) -> None:
    if mount.type not in {"bind", "volume", "tmpfs"}:
        complaints.refuse(f"{key}.type", f'no mounts of type "{mount.type}"')
    if mount.bind and mount.bind.selinux:
        complaints.refuse(f"{key}.bind.selinux", "files are not relabelled")
    if mount.bind and mount.bind.recursive not in {None, "enabled"}:
        complaints.refuse(f"{key}.bind.recursive", "binds are recursive")
    if mount.volume and mount.volume.labels:
        complaints.refuse(f"{key}.volume.labels", "anonymous volumes have no labels")
    if mount.volume and mount.volume.subpath:
        complaints.refuse(f"{key}.volume.subpath", "volumes are mounted whole")


_MODES: Mapping[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "network_mode": (frozenset({"none", "host"}), ("service:", "container:")),
    "pid": (frozenset({"host", "private"}), ("service:", "container:")),
    "ipc": (frozenset({"host", "private", "shareable"}), ("service:", "container:")),
    "uts": (frozenset({"host"}), ()),
    "userns_mode": (frozenset({"host"}), ()),
    "pull_policy": (frozenset({"always", "missing", "never", "build"}), ()),
}
"""Of these, only some values are implemented: words, and beginnings."""


def _refuse_modes(service: Service, key: str, complaints: Complaints) -> None:
    for attribute, (words, beginnings) in _MODES.items():
        value: str | None = getattr(service, attribute)
        if value and value not in words and not value.startswith(beginnings):
            known = sorted(words) + [f"{beginning}NAME" for beginning in beginnings]
            why = f'the value "{value}" is not known here'
            complaints.refuse(f"{key}.{attribute}", why, f"it is one of {', '.join(known)}")
    driver = service.logging.driver if service.logging else None
    if driver not in {None, "", "json-file", "local", "none"}:
        complaints.refuse(
            f"{key}.logging.driver", f'no driver "{driver}"', "it is json-file, local or none"
        )


def _refuse_network(network: Network, key: str, complaints: Complaints) -> None:
    if network.external:
        return
    if network.ipam.driver not in {None, "", "default"}:
        complaints.refuse(f"{key}.ipam.driver", "addresses are given out by orchestra itself")
    if network.ipam.options:
        complaints.refuse(f"{key}.ipam.options", "address management takes no options")
    if network.enable_ipv4 is False:
        complaints.refuse(f"{key}.enable_ipv4", "every network has IPv4")
