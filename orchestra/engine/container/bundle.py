"""config.json of a container: what a ContainerSpec and an image's config ask for, made explicit.

Pure: ids, host paths, the user, devices and the seccomp profile come in as arguments. Defaults are
Docker's (moby daemon/pkg/oci/defaults.go, daemon/oci_linux.go) and SECURITY.md's where stricter.
The network namespace is left out on purpose: a container inherits its shim's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.engine.container.arguments import (
    merge_argv,
    merge_environment,
)
from orchestra.engine.container.capabilities import (
    ALL_CAPABILITIES,
    capability_set,
)
from orchestra.engine.container.cdi import Edits
from orchestra.engine.container.limits import device_rules, linux_resources, rlimits
from orchestra.engine.container.mounts import default_mounts, root_propagation
from orchestra.engine.container.plain_process import (
    absolute,
    capability_sets,
    override_environment,
)
from orchestra.engine.container.security_options import (
    DEFAULT_PROFILE,
    Contexts,
    Security,
    parse_security,
)
from orchestra.engine.container.users import ResolvedUser
from orchestra.oci.image import ImageConfig
from orchestra.oci.runtime import (
    BlockIo,
    Device,
    IdMapping,
    Linux,
    Namespace,
    OciMount,
    Process,
    RuntimeConfig,
    Seccomp,
    User,
)
from orchestra.planner.desired import ContainerSpec
from orchestra.values import dataclass, field

OCI_VERSION = "1.0.2"
INIT_ANNOTATION = "org.orchestra.init"
"""Set to "true" when a small init is to be pid 1 and reap (compose-spec 05-services.md, init)."""
INIT_PATH = "/sbin/docker-init"
"""Where another runtime's containers find the init of the host, as docker's do."""

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
_NETWORK_SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the host adds: nothing here is the container's own wish.

    ``mounts`` come after the default ones, in order. ``joins`` maps a namespace type to the path
    of one to join. ``available``: capabilities that this host can grant. ``thermal``: per-CPU
    thermal_throttle paths to mask. ``uids`` and ``gids``: a user namespace's. ``edits``: what
    requested devices add. ``apparmor``: the profile of a container that names none.
    ``contexts``: SELinux's. ``init_program``: where the runtime has no init of its own, the host's
    program for ``init: true``.
    """

    container_id: str
    cgroup_path: str
    mounts: Sequence[OciMount] = ()
    joins: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[tuple[Device, str]] = ()
    block_io: BlockIo | None = None
    seccomp: Seccomp | None = None
    available: Sequence[str] = ALL_CAPABILITIES
    thermal: Sequence[str] = ()
    edits: Edits = field(default_factory=Edits)
    uids: Sequence[IdMapping] = ()
    gids: Sequence[IdMapping] = ()
    init_program: str = ""
    apparmor: str = ""
    contexts: Contexts = field(default_factory=Contexts)


def hostname_of(spec: ContainerSpec, container_id: str) -> str:
    """Return the container's host name: its own, or the start of its id."""
    return spec.hostname or container_id[:12]


def granted_capabilities(spec: ContainerSpec, available: Sequence[str]) -> tuple[str, ...]:
    """Return the bounding set that the spec asks for.

    :raises ContainerError: for an unknown name.
    """
    return capability_set(
        spec.cap_add, spec.cap_drop, privileged=spec.privileged, available=available
    )


def make_config(
    spec: ContainerSpec, image: ImageConfig, *, user: ResolvedUser, around: Surroundings
) -> RuntimeConfig:
    """Return the container's config.json.

    :raises ContainerError: when the spec asks for something impossible.
    """
    security = parse_security(spec.security_opt)
    config: RuntimeConfig = {
        "ociVersion": OCI_VERSION,
        "root": {"path": "rootfs", "readonly": spec.read_only},
        "process": _process(spec, image, user, around, security),
        "mounts": [
            *default_mounts(
                privileged=spec.privileged,
                shm_bytes=spec.shm_size_bytes,
                host_ipc=spec.ipc_mode == "host",
            ),
            *_without(around.mounts, around.edits.mounts),
            *around.edits.mounts,
        ],
        "linux": _linux(spec, around, security),
    }
    if spec.uts_mode != "host":
        config["hostname"] = hostname_of(spec, around.container_id)
        if spec.domainname:
            config["domainname"] = spec.domainname
    annotations = dict(sorted(spec.annotations.items()))
    if around.init_program:
        config["process"]["args"] = [INIT_PATH, "--", *config["process"]["args"]]
        config["mounts"].append(_init_mount(around.init_program))
    elif spec.init:
        annotations[INIT_ANNOTATION] = "true"
    if annotations:
        config["annotations"] = annotations
    if around.edits.hooks:
        config["hooks"] = around.edits.hooks
    return config


def _without(mounts: Sequence[OciMount], others: Sequence[OciMount]) -> list[OciMount]:
    """Return the mounts but those in whose place others stand."""
    taken = {mount["destination"] for mount in others}
    return [mount for mount in mounts if mount["destination"] not in taken]


def _init_mount(program: str) -> OciMount:
    options = ["bind", "ro", "nosuid", "nodev"]
    return {"destination": INIT_PATH, "type": "bind", "source": program, "options": options}


def _process(
    spec: ContainerSpec,
    image: ImageConfig,
    user: ResolvedUser,
    around: Surroundings,
    security: Security,
) -> Process:
    names = granted_capabilities(spec, around.available)
    who = user_of(user)
    who["additionalGids"] = list(dict.fromkeys((*user.groups, *around.edits.gids)))
    process: Process = {
        "terminal": spec.tty,
        "user": who,
        "args": list(merge_argv(spec.entrypoint, spec.command, image.entrypoint, image.cmd)),
        "env": merge_environment(
            image.env,
            spec.environment,
            spec.unset,
            hostname=hostname_of(spec, around.container_id),
            home=user.home,
            tty=spec.tty,
        ),
        "cwd": absolute(spec.working_dir or image.working_dir or "/"),
        "capabilities": capability_sets(names, uid=user.uid),
        "noNewPrivileges": security.no_new_privileges,
    }
    if around.edits.env:
        added = dict(line.split("=", 1) for line in around.edits.env)
        process["env"] = override_environment(process["env"], added)
    if profile := _apparmor(spec, security, around):
        process["apparmorProfile"] = profile
    if around.contexts.process:
        process["selinuxLabel"] = around.contexts.process
    if spec.ulimits:
        process["rlimits"] = rlimits(spec.ulimits)
    if spec.resources.oom_score_adj is not None:
        process["oomScoreAdj"] = spec.resources.oom_score_adj
    return process


def _apparmor(spec: ContainerSpec, security: Security, around: Surroundings) -> str:
    if security.apparmor is None:
        return "" if spec.privileged else around.apparmor
    return around.apparmor if security.apparmor == DEFAULT_PROFILE else security.apparmor


def user_of(user: ResolvedUser) -> User:
    """Return process.user of a resolved user."""
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}


def _linux(spec: ContainerSpec, around: Surroundings, security: Security) -> Linux:
    edited = {device["path"] for device, _ in around.edits.devices}
    kept = [(device, text) for device, text in around.devices if device["path"] not in edited]
    devices = [*kept, *around.edits.devices]
    rules = device_rules(devices, spec.device_cgroup_rules, privileged=spec.privileged)
    linux: Linux = {
        "namespaces": _namespaces(spec, around.joins, remapped=bool(around.uids)),
        "cgroupsPath": around.cgroup_path,
        "resources": linux_resources(spec.resources, rules, around.block_io),
        "rootfsPropagation": root_propagation(spec.mounts),
        "devices": [device for device, _ in devices],
    }
    if around.uids:
        linux["uidMappings"], linux["gidMappings"] = list(around.uids), list(around.gids)
    sysctls = {name: value for name, value in sorted(spec.sysctls.items()) if not _of_net(name)}
    if sysctls:
        linux["sysctl"] = sysctls
    if not (spec.privileged or security.unmasked):
        linux["maskedPaths"] = [*MASKED_PATHS, *around.thermal]
        linux["readonlyPaths"] = list(READONLY_PATHS)
    if around.contexts.files:
        linux["mountLabel"] = around.contexts.files
    if around.seccomp is not None and not spec.privileged:
        linux["seccomp"] = around.seccomp
    return linux


def _of_net(sysctl: str) -> bool:
    return sysctl.startswith("net.")


def network_sysctls(sysctls: Mapping[str, str]) -> dict[str, str]:
    """Return the net.* settings of a new network namespace: Docker's own, and those asked for.

    They are the shim's to set: a runtime refuses them where config.json makes no such namespace.
    """
    asked = {name: value for name, value in sorted(sysctls.items()) if _of_net(name)}
    return _NETWORK_SYSCTLS | asked


def _namespaces(
    spec: ContainerSpec, joins: Mapping[str, str], *, remapped: bool
) -> list[Namespace]:
    """Return the namespaces; the host's are had by leaving their type out.

    With remapped ids the network's is made with the container, so that it belongs to it.
    """
    namespaces: list[Namespace] = [{"type": "mount"}]
    if remapped:
        namespaces += [{"type": "user"}, {"type": "network"}]
    if spec.pid_mode != "host":
        namespaces.append(_namespace({"type": "pid"}, joins))
    if spec.ipc_mode != "host":
        namespaces.append(_namespace({"type": "ipc"}, joins))
    if spec.uts_mode != "host":
        namespaces.append({"type": "uts"})
    if spec.cgroup_mode != "host":
        namespaces.append({"type": "cgroup"})
    return namespaces


def _namespace(namespace: Namespace, joins: Mapping[str, str]) -> Namespace:
    if namespace["type"] in joins:
        namespace["path"] = joins[namespace["type"]]
    return namespace
