"""Records at the disk boundary: what Orchestra remembers of a container, a network, a volume.

Plain frozen dataclasses, written and read by codec.py; each document carries VERSION.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from orchestra.planner.desired import (
    ContainerSpec,
    DesiredState,
    NetworkSpec,
    PortSpec,
    VolumeSpec,
)
from orchestra.values import dataclass, field

VERSION = 1


class Wanted(StrEnum):
    """What somebody last asked of a container: STOPPED keeps the supervisor from restarting it."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedSubnet:
    """A subnet that a network has: CIDR, and the bridge's own address in it."""

    subnet: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord:
    """A network on this machine; ``bridge`` is the link's name. project "" belongs to none."""

    name: str
    project: str
    spec: NetworkSpec
    bridge: str
    subnets: tuple[AssignedSubnet, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRecord:
    """A volume on this machine; ``anonymous`` ones go with their container."""

    name: str
    project: str
    spec: VolumeSpec
    anonymous: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A container's place on one network. ``network`` is the machine's name for it.

    Addresses carry no prefix length; ``aliases`` are all names that resolve to it there.
    """

    network: str
    bridge: str
    interface: str
    host_interface: str
    mac: str
    ipv4: str | None = None
    ipv4_prefix: int = 0
    ipv4_gateway: str | None = None
    ipv6: str | None = None
    ipv6_prefix: int = 0
    ipv6_gateway: str | None = None
    aliases: tuple[str, ...] = ()
    link_local: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False
    default_route: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeUse:
    """A volume of a container: machine's name, target, and whether it goes with the container.

    ``borrowed``: it is another container's (volumes_from), and shown until the next start.
    """

    volume: str
    target: str
    anonymous: bool = False
    borrowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMount:
    """An image whose files a container shows at ``target``; ``layers`` as in ContainerRecord."""

    target: str
    image_id: str
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRange:
    """Ids of a container and those that they are on this machine."""

    container_id: int
    host_id: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remap:
    """The user namespace of a container; mounts of what is ``mapped_below`` have its owners."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    mapped_below: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """A container on this machine: what was asked, and what was chosen for it.

    ``layers`` are the snapshot directories of its image, uppermost first. ``ports`` are as
    published, every host port known. ``started_at`` and ``restarts`` change with each start.
    """

    id: str
    spec: ContainerSpec
    image_id: str
    layers: tuple[str, ...]
    created_at: datetime
    wanted: Wanted = Wanted.STOPPED
    endpoints: tuple[Endpoint, ...] = ()
    volumes: tuple[VolumeUse, ...] = ()
    images: tuple[ImageMount, ...] = ()
    remap: Remap | None = None
    ports: tuple[PortSpec, ...] = ()
    started_at: datetime | None = None
    restarts: int = 0
    one_off: bool = False
    hooks_due: bool = False
    """It was started, and its post_start hooks have not been seen to end."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """desired.json: what the project should be (None: gone), and how often that has changed."""

    generation: int = 0
    state: DesiredState | None = None
