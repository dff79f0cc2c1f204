"""The steps of a plan: closed set, frozen, one class per kind, each with its reason.

A step is data. ``after`` are ids of steps of the same plan that must be done first; ``gates`` are
waited for after those. Ids are names ("create container:shop-web-1"), unique within a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NewType

from orchestra.planner.desired import (
    Condition,
    ContainerSpec,
    ImageSpec,
    NetworkSpec,
    VolumeSpec,
)
from orchestra.values import dataclass, field

StepId = NewType("StepId", str)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Gate:
    """Wait until every replica of ``service`` meets ``condition``.

    When ``required`` is false, a gate that cannot open is a warning and the step goes on.
    """

    service: str
    condition: Condition
    required: bool = True

    def __str__(self) -> str:
        """Render ``db:healthy``."""
        return f"{self.service}:{self.condition.removeprefix('service_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    reason: str
    after: tuple[StepId, ...] = ()
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage(_Step):
    """Fetch an image into the store."""

    image: ImageSpec

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"pull image:{self.image.reference}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildImage(_Step):
    """Build an image into the store (``image.build`` is set)."""

    image: ImageSpec

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"build image:{self.image.reference}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork(_Step):
    """Make a network, or make it again where only its record is left."""

    network: NetworkSpec

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"create network:{self.network.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(_Step):
    """Make a named volume."""

    volume: VolumeSpec

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"create volume:{self.volume.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer(_Step):
    """Write a container down: record, writable layer, volumes. Nothing runs yet.

    ``inherit``: id of the container it replaces and that is still there.
    ``anonymous_volumes``: those that it takes over from the replaced one, by target, whether that
    is still there or not; a target that it does not have is ignored.
    """

    container: ContainerSpec
    inherit: str | None = None
    anonymous_volumes: Mapping[str, str] = field(default_factory=dict)
    fresh_volumes: bool = False
    """Take over nothing, though ``inherit`` names a container."""

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"create container:{self.container.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer(_Step):
    """Start a created or exited container, by name: network, shim, init."""

    name: str
    service: str

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"start container:{self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer(_Step):
    """Stop a running container: its stop signal, then SIGKILL after ``timeout`` (None: its own).

    ``by_user``: remember that somebody wanted it stopped, so that nothing restarts it.
    """

    container_id: str
    name: str
    service: str
    timeout: timedelta | None = None
    by_user: bool = True

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"stop container:{self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer(_Step):
    """Remove a container that does not run; ``volumes``: its anonymous volumes as well."""

    container_id: str
    name: str
    service: str
    volumes: bool = False

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"remove container:{self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNetwork(_Step):
    """Remove a network by its machine name."""

    key: str
    name: str

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"remove network:{self.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume(_Step):
    """Remove a named volume, and its data, by its machine name."""

    key: str
    name: str

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"remove volume:{self.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage(_Step):
    """Remove an image's reference, and the image when nothing else refers to it."""

    reference: str

    @property
    def id(self) -> StepId:
        """Return this step's name."""
        return StepId(f"remove image:{self.reference}")


Step = (
    PullImage
    | BuildImage
    | CreateNetwork
    | CreateVolume
    | CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | RemoveNetwork
    | RemoveVolume
    | RemoveImage
)
