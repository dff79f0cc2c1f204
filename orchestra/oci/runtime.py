"""Documents of the OCI runtime spec: config.json and state, with the spec's own field names."""

from __future__ import annotations

from typing import Literal, NotRequired

from orchestra.values import TypedDict

Status = Literal["creating", "created", "running", "paused", "stopped"]
"""runtime.md, state; "paused" is runc's own."""


class User(TypedDict):
    """config.md, process.user."""

    uid: int
    gid: int
    umask: NotRequired[int]
    additionalGids: NotRequired[list[int]]


class Rlimit(TypedDict):
    """config.md, process.rlimits."""

    type: str
    soft: int
    hard: int


class ConsoleSize(TypedDict):
    """config.md, process.consoleSize."""

    height: int
    width: int


class Capabilities(TypedDict, total=False):
    """The five sets, as CAP_ names."""

    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Scheduler(TypedDict):
    """config.md, process.scheduler; runtime, deadline and period in nanoseconds."""

    policy: str
    nice: NotRequired[int]
    priority: NotRequired[int]
    flags: NotRequired[list[str]]
    runtime: NotRequired[int]
    deadline: NotRequired[int]
    period: NotRequired[int]


# "class" is a word of the language.
IoPriority = TypedDict("IoPriority", {"class": str, "priority": NotRequired[int]})
"""config.md, process.ioPriority."""


class Process(TypedDict, total=False):
    """config.md, process."""

    terminal: bool
    consoleSize: ConsoleSize
    user: User
    args: list[str]
    env: list[str]
    cwd: str
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    apparmorProfile: str
    oomScoreAdj: int
    selinuxLabel: str
    scheduler: Scheduler
    ioPriority: IoPriority


class Root(TypedDict):
    """config.md, root."""

    path: str
    readonly: NotRequired[bool]


class OciMount(TypedDict):
    """config.md, mounts."""

    destination: str
    type: NotRequired[str]
    source: NotRequired[str]
    options: NotRequired[list[str]]
    uidMappings: NotRequired[list[IdMapping]]
    gidMappings: NotRequired[list[IdMapping]]


class Namespace(TypedDict):
    """config-linux.md, namespaces."""

    type: Literal["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"]
    path: NotRequired[str]


class IdMapping(TypedDict):
    """config-linux.md, uidMappings."""

    containerID: int
    hostID: int
    size: int


class Device(TypedDict):
    """config-linux.md, devices."""

    type: Literal["c", "b", "u", "p"]
    path: str
    major: NotRequired[int]
    minor: NotRequired[int]
    fileMode: NotRequired[int]
    uid: NotRequired[int]
    gid: NotRequired[int]


class DeviceRule(TypedDict):
    """config-linux.md, resources.devices."""

    allow: bool
    type: NotRequired[Literal["a", "c", "b"]]
    major: NotRequired[int]
    minor: NotRequired[int]
    access: NotRequired[str]


class Memory(TypedDict, total=False):
    """config-linux.md, resources.memory; bytes."""

    limit: int
    reservation: int
    swap: int
    swappiness: int
    disableOOMKiller: bool
    kernel: int
    kernelTCP: int


class Cpu(TypedDict, total=False):
    """config-linux.md, resources.cpu; microseconds."""

    shares: int
    quota: int
    period: int
    cpus: str
    mems: str
    burst: int
    idle: int
    realtimeRuntime: int
    realtimePeriod: int


class Pids(TypedDict):
    """config-linux.md, resources.pids."""

    limit: int


class WeightDevice(TypedDict):
    """config-linux.md, resources.blockIO.weightDevice."""

    major: int
    minor: int
    weight: NotRequired[int]
    leafWeight: NotRequired[int]


class ThrottleDevice(TypedDict):
    """config-linux.md, resources.blockIO.throttle*Device; bytes or operations a second."""

    major: int
    minor: int
    rate: int


class BlockIo(TypedDict, total=False):
    """config-linux.md, resources.blockIO."""

    weight: int
    leafWeight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class HugepageLimit(TypedDict):
    """config-linux.md, resources.hugepageLimits; bytes, and a size as "2MB"."""

    pageSize: str
    limit: int


class InterfacePriority(TypedDict):
    """config-linux.md, resources.network.priorities."""

    name: str
    priority: int


class NetworkLimits(TypedDict, total=False):
    """config-linux.md, resources.network: cgroup v1's net_cls and net_prio."""

    classID: int
    priorities: list[InterfacePriority]


class LinuxResources(TypedDict, total=False):
    """config-linux.md, resources."""

    devices: list[DeviceRule]
    memory: Memory
    cpu: Cpu
    pids: Pids
    blockIO: BlockIo
    hugepageLimits: list[HugepageLimit]
    network: NetworkLimits
    unified: dict[str, str]


class SyscallArg(TypedDict):
    """config-linux.md, seccomp.syscalls.args."""

    index: int
    value: int
    valueTwo: NotRequired[int]
    op: str


class SyscallRule(TypedDict):
    """config-linux.md, seccomp.syscalls."""

    names: list[str]
    action: str
    errnoRet: NotRequired[int]
    args: NotRequired[list[SyscallArg]]


class Seccomp(TypedDict):
    """config-linux.md, seccomp."""

    defaultAction: str
    defaultErrnoRet: NotRequired[int]
    architectures: NotRequired[list[str]]
    flags: NotRequired[list[str]]
    syscalls: NotRequired[list[SyscallRule]]


class Personality(TypedDict):
    """config-linux.md, personality."""

    domain: str
    flags: NotRequired[list[str]]


class TimeOffset(TypedDict, total=False):
    """config-linux.md, timeOffsets."""

    secs: int
    nanosecs: int


class Linux(TypedDict, total=False):
    """config-linux.md."""

    namespaces: list[Namespace]
    uidMappings: list[IdMapping]
    gidMappings: list[IdMapping]
    devices: list[Device]
    cgroupsPath: str
    resources: LinuxResources
    rootfsPropagation: str
    seccomp: Seccomp
    sysctl: dict[str, str]
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str
    personality: Personality
    timeOffsets: dict[str, TimeOffset]
    intelRdt: dict[str, object]


class Hook(TypedDict):
    """config.md, hooks; timeout in seconds."""

    path: str
    args: NotRequired[list[str]]
    env: NotRequired[list[str]]
    timeout: NotRequired[int]


class Hooks(TypedDict, total=False):
    """config.md, hooks."""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]


class RuntimeConfig(TypedDict):
    """config.json."""

    ociVersion: str
    root: Root
    process: NotRequired[Process]
    hostname: NotRequired[str]
    domainname: NotRequired[str]
    mounts: NotRequired[list[OciMount]]
    hooks: NotRequired[Hooks]
    annotations: NotRequired[dict[str, str]]
    linux: NotRequired[Linux]
    vm: NotRequired[dict[str, object]]


class RuntimeState(TypedDict):
    """runtime.md, state."""

    ociVersion: str
    id: str
    status: Status
    pid: NotRequired[int]
    bundle: str
    annotations: NotRequired[dict[str, str]]
