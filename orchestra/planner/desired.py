"""What should be there: the seam between Compose and the engine.

Nothing here knows Compose. Values are resolved: names final, paths absolute, sizes in bytes,
durations as timedelta, one ContainerSpec per replica.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from orchestra.planner.building import BuildSpec
from orchestra.planner.limits import DeviceRequest, DeviceSpec, Resources, Ulimit
from orchestra.values import dataclass, field


class Condition(StrEnum):
    """What a dependent waits for (compose-spec 05-services.md, depends_on)."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


class PullPolicy(StrEnum):
    """When an image is fetched (compose-spec 05-services.md, pull_policy).

    REFRESH: when it was last pulled longer ago than ``ImageSpec.refresh_after``.
    """

    ALWAYS = "always"
    REFRESH = "refresh"
    MISSING = "missing"
    NEVER = "never"
    BUILD = "build"


class RestartMode(StrEnum):
    """Restart policies (compose-spec 05-services.md, restart)."""

    NO = "no"
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    UNLESS_STOPPED = "unless-stopped"


class MountKind(StrEnum):
    """Where the content of a mount comes from."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One depends_on entry; ``restart``: restart the dependent when this service is recreated."""

    service: str
    condition: Condition = Condition.STARTED
    required: bool = True
    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When a container that exited is started again; ``max_retries`` 0 means no limit.

    ``delay``: a constant pause in place of the growing one. ``window``: a life that long counts
    as a success, so that retries count from the beginning (compose-spec deploy.md).
    """

    mode: RestartMode = RestartMode.NO
    max_retries: int = 0
    delay: timedelta | None = None
    window: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSpec:
    """A healthcheck. ``test`` is ("CMD", ...) or ("CMD-SHELL", text); the rest as in Compose.

    A field that is None takes the image's value, then Docker's default (30 s, 30 s, 0 s, 5 s, 3).
    ``test`` None takes the image's test; ("NONE",) turns an image's healthcheck off.
    """

    test: tuple[str, ...] | None = None
    interval: timedelta | None = None
    timeout: timedelta | None = None
    start_period: timedelta | None = None
    start_interval: timedelta | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount. ``source``: host path (bind), volume key in DesiredState (volume), "" (tmpfs).

    Of an image, ``source`` is its reference. ``recursive`` as in Compose's bind.recursive;
    ``labels`` are an anonymous volume's. ``selinux``: "z" or "Z" where files are to be relabelled.
    """

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    create_host_path: bool = True
    propagation: str = "rprivate"
    recursive: str = "enabled"
    nocopy: bool = False
    selinux: str = ""
    subpath: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tmpfs_size_bytes: int | None = None
    tmpfs_mode: int | None = None
    tmpfs_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesFrom:
    """Another container whose volumes are mounted too: ``kind`` "service" or "container"."""

    kind: str
    name: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMount:
    """A config or secret: a file on tmpfs, from either ``source_path`` or ``content``."""

    target: str
    source_path: str | None = None
    content: str | None = None
    uid: int = 0
    gid: int = 0
    mode: int = 0o444
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """One published port: ``host_port`` None asks for any free one; ``host_ip`` "" is every one."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A container's place on a network; ``network`` is a key in DesiredState.networks.

    ``sysctls`` are of its interface there, which their names call IFNAME.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: str | None = None
    ipv6: str | None = None
    mac: str | None = None
    priority: int = 0
    gw_priority: int = 0
    interface_name: str | None = None
    link_local: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """Where output goes: the driver's name and its options, as written (logs.py knows them)."""

    driver: str = "json-file"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One post_start or pre_stop command."""

    command: tuple[str, ...]
    user: str | None = None
    privileged: bool = False
    working_dir: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One replica, fully resolved. None in command, entrypoint, user ... takes the image's value.

    ``environment`` holds what the project sets; the image's own comes underneath, but for the
    variables in ``unset``.
    ``network_mode``: "" for ``networks``, else "none", "host", "service:NAME", "container:NAME".
    ``config_hash`` covers everything whose change forces a recreate (planner/fingerprint.py).
    """

    project: str
    service: str
    number: int
    name: str
    image: str
    config_hash: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    group_add: tuple[str, ...] = ()
    hostname: str | None = None
    domainname: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[VolumesFrom, ...] = ()
    files: tuple[FileMount, ...] = ()
    network_mode: str = ""
    networks: tuple[Attachment, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    expose: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    health: HealthSpec | None = None
    restart: RestartPolicy = RestartPolicy()
    heal: bool = True
    stop_signal: str | None = None
    stop_grace_period: timedelta = timedelta(seconds=10)
    tty: bool = False
    stdin_open: bool = False
    init: bool = False
    privileged: bool = False
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    devices: tuple[DeviceSpec, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shm_size_bytes: int | None = None
    storage_bytes: int | None = None
    """How much it may write to its own layer; None is all that there is."""
    resources: Resources = Resources()
    pid_mode: str = ""
    ipc_mode: str = ""
    uts_mode: str = ""
    cgroup_mode: str = ""
    cgroup_parent: str = ""
    userns_mode: str = ""
    logging: LogSpec = LogSpec()
    runtime: str | None = None
    """The program of an OCI runtime by name or path; None is the native one."""
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    attach: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """An image that services need; ``services`` names them, for messages.

    ``policy_written``: the project says so, rather than that it is the default.
    ``build_hash``: what to remember it as built from, where a command's options changed ``build``
    for once; "" takes the hash of ``build`` itself.
    """

    reference: str
    policy: PullPolicy = PullPolicy.MISSING
    refresh_after: timedelta | None = None
    policy_written: bool = False
    platform: str | None = None
    build: BuildSpec | None = None
    services: tuple[str, ...] = ()
    build_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One IPAM configuration of a network, in CIDR and dotted text."""

    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None
    reserved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network; ``key`` is how containers name it, ``name`` what the machine calls it."""

    key: str
    name: str
    external: bool = False
    internal: bool = False
    driver: str = "bridge"
    ipv6: bool = False
    subnets: tuple[Subnet, ...] = ()
    driver_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A named volume; ``key`` is how mounts name it, ``name`` what the machine calls it."""

    key: str
    name: str
    external: bool = False
    driver: str = "local"
    driver_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """Everything a project should be. Sorted by name, so that equal states are equal text."""

    project: str
    working_dir: str
    containers: tuple[ContainerSpec, ...]
    networks: tuple[NetworkSpec, ...]
    volumes: tuple[VolumeSpec, ...]
    images: tuple[ImageSpec, ...]
    services: tuple[str, ...]
    """Every service the project declares, active or not, so that orphans can be told."""
    config_files: tuple[str, ...] = ()
    idle: tuple[ContainerSpec, ...] = ()
    """Replica 1 of every active service that should have no replica, to scale it from."""
    warnings: tuple[str, ...] = ()
    """What the project asks for and has no effect here, one line each, for people."""
