"""What is there: a snapshot of one project on this machine, taken by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from orchestra.planner.desired import (
    Attachment,
    Dependency,
    HealthSpec,
    PortSpec,
    RestartPolicy,
)
from orchestra.values import dataclass, field


class Phase(StrEnum):
    """A container's life: LOST means that it should run, and neither it nor its exit is there."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    LOST = "lost"


LIVE = frozenset({Phase.RUNNING, Phase.PAUSED})
"""Phases in which a container has processes."""


class Health(StrEnum):
    """A container's health: NONE where nothing is checked."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedContainer:
    """One container of the project; ``id`` is 64 hex digits, ``image_id`` an image's digest.

    ``one_off`` is a container of ``run``; plans leave those alone except at ``down``.
    ``stopped_by_user``: somebody asked for the stop, so nothing restarts it by itself.
    """

    id: str
    name: str
    service: str
    number: int
    image: str
    image_id: str
    config_hash: str
    phase: Phase
    health: Health = Health.NONE
    exit_code: int | None = None
    restarts: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    one_off: bool = False
    stopped_by_user: bool = False
    hooks_due: bool = False
    """Whoever started it was gone before its post_start hooks had run."""
    depends_on: tuple[Dependency, ...] = ()
    networks: tuple[Attachment, ...] = ()
    volumes: tuple[str, ...] = ()
    """Names (not keys) of the named and anonymous volumes it mounts."""
    anonymous_volumes: Mapping[str, str] = field(default_factory=dict)
    """Of these, the anonymous ones, by target."""
    ports: tuple[PortSpec, ...] = ()
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    checks: HealthSpec | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    unplugged: tuple[str, ...] = ()
    """Keys of the networks to which the running container has lost its link (a user's hand)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedNetwork:
    """A network of the machine; ``project`` is "" when it belongs to none."""

    key: str
    name: str
    project: str
    config_hash: str
    present: bool = True
    """False: its record is there, its bridge is not (a reboot, or a user's hand)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVolume:
    """A volume of the machine; ``project`` is "" when it belongs to none."""

    key: str
    name: str
    project: str
    config_hash: str
    anonymous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedImage:
    """An image of the store under the reference that the project uses for it.

    ``platforms``: the ids of all images that the reference has here, by platform.
    """

    reference: str
    id: str
    platforms: tuple[tuple[str, str], ...] = ()
    build_hash: str = ""
    """What it was built from (BuildSpec's fingerprint); empty for a pulled image."""
    pulled_at: datetime | None = None
    """When a registry was last asked for it; None when nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedState:
    """The world as far as one project is concerned."""

    project: str
    taken_at: datetime
    containers: tuple[ObservedContainer, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    images: tuple[ObservedImage, ...] = ()

    def image(self, reference: str) -> ObservedImage | None:
        """Return what the store has under a reference."""
        return next((image for image in self.images if image.reference == reference), None)
