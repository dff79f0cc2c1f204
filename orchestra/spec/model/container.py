"""What a container is made of, wherever one is described (compose-spec 05-services.md).

Attributes stand in the order of rendered output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from orchestra.spec.model.base import (
    EMPTY,
    Bytes,
    Element,
    ExtensibleElement,
    Flag,
    Integer,
    Number,
    OptionalTextMap,
    Span,
    Text,
    TextMap,
    Texts,
)
from orchestra.spec.model.build import Build
from orchestra.spec.model.dependency import Dependency
from orchestra.spec.model.healthcheck import Healthcheck
from orchestra.spec.model.later import later
from orchestra.spec.model.network import Attachment
from orchestra.spec.model.port import Port
from orchestra.spec.model.volume import ServiceVolume

if TYPE_CHECKING:
    from orchestra.spec.model.files import FileReference
    from orchestra.spec.model.limits import BlkioConfig, DeviceRequest, Ulimit
else:
    FileReference = later("files", "FileReference")
    BlkioConfig = later("limits", "BlkioConfig")
    DeviceRequest = later("limits", "DeviceRequest")
    Ulimit = later("limits", "Ulimit")


class Device(ExtensibleElement):
    """One entry of ``devices``; ``permissions`` of rwm."""

    source: Text
    target: Text | None = None
    permissions: Text | None = None


class Logging(ExtensibleElement):
    """Where output goes."""

    driver: Text | None = None
    options: TextMap = EMPTY


class CredentialSpec(ExtensibleElement):
    """Credentials of a managed Windows account."""

    config: Text | None = None
    file: Text | None = None
    registry: Text | None = None


class ServiceModel(ExtensibleElement):
    """One entry of a service's ``models``."""

    endpoint_var: Text | None = None
    model_var: Text | None = None


class EnvFile(Element):
    """One file of ``env_file``; ``path`` is absolute."""

    path: Text
    required: Flag = True
    format: Text | None = None


class Container(ExtensibleElement):
    """What a service, a job and a ``pre_start`` hook have in common."""

    pointers: ClassVar[frozenset[str]] = frozenset({"init", "stop_grace_period"})

    annotations: TextMap = EMPTY
    blkio_config: BlkioConfig | None = None
    cap_add: Texts = ()
    cap_drop: Texts = ()
    cgroup_parent: Text | None = None
    cgroup: Literal["host", "private"] | None = None
    cpu_count: Annotated[Integer, Field(ge=0)] | None = None
    cpu_percent: Annotated[Integer, Field(ge=0, le=100)] | None = None
    cpu_period: Integer | None = None
    cpu_quota: Integer | None = None
    cpu_rt_period: Integer | None = None
    cpu_rt_runtime: Integer | None = None
    cpus: Number | None = None
    cpuset: Text | None = None
    cpu_shares: Integer | None = None
    command: Texts | None = None
    configs: tuple[FileReference, ...] = ()
    credential_spec: CredentialSpec | None = None
    device_cgroup_rules: Texts = ()
    devices: tuple[Device, ...] = ()
    dns: Texts = ()
    dns_opt: Texts = ()
    dns_search: Texts = ()
    domainname: Text | None = None
    entrypoint: Texts | None = None
    environment: OptionalTextMap = Field(default=EMPTY, repr=False)
    env_file: tuple[EnvFile, ...] = ()
    extra_hosts: Mapping[Text, Texts] = EMPTY
    group_add: Texts = ()
    gpus: tuple[DeviceRequest, ...] = ()
    hostname: Text | None = None
    image: Text | None = None
    init: Flag | None = None
    ipc: Text | None = None
    isolation: Text | None = None
    labels: TextMap = EMPTY
    label_file: Texts = ()
    logging: Logging | None = None
    mem_limit: Bytes | None = None
    mem_reservation: Bytes | None = None
    memswap_limit: Bytes | None = None
    mem_swappiness: Bytes | None = None
    mac_address: Text | None = None
    models: Mapping[Text, ServiceModel] = EMPTY
    network_mode: Text | None = None
    networks: Mapping[Text, Attachment] = EMPTY
    oom_kill_disable: Flag = False
    oom_score_adj: Annotated[Integer, Field(ge=-1000, le=1000)] | None = None
    pid: Text | None = None
    pids_limit: Integer | None = None
    platform: Text | None = None
    privileged: Flag = False
    pull_policy: Text | None = None
    pull_refresh_after: Text | None = None
    read_only: Flag = False
    runtime: Text | None = None
    secrets: tuple[FileReference, ...] = ()
    security_opt: Texts = ()
    shm_size: Bytes | None = None
    stop_grace_period: Span | None = None
    stop_signal: Text | None = None
    storage_opt: TextMap = EMPTY
    sysctls: TextMap = EMPTY
    tmpfs: Texts = ()
    ulimits: Mapping[Text, Ulimit] = EMPTY
    use_api_socket: Flag = False
    user: Text | None = None
    userns_mode: Text | None = None
    uts: Text | None = None
    volumes: tuple[ServiceVolume, ...] = ()
    volumes_from: Texts = ()
    working_dir: Text | None = None


class Workload(ExtensibleElement):
    """What a service and a job have in common beyond the container."""

    build: Build | None = None
    depends_on: Mapping[Text, Dependency] = EMPTY
    expose: Texts = ()
    healthcheck: Healthcheck | None = None
    ports: tuple[Port, ...] = ()
    stdin_open: Flag = False
    tty: Flag = False
