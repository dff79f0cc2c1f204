"""How a service is deployed: replicas, resources, restart policy (compose-spec deploy.md)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from orchestra.spec.model.base import (
    EMPTY,
    Bytes,
    ExtensibleElement,
    Integer,
    Number,
    Span,
    Text,
    TextMap,
    Texts,
)
from orchestra.spec.model.limits import DeviceRequest

NotNegative = Annotated[Integer, Field(ge=0)]


class UpdateConfig(ExtensibleElement):
    """``update_config`` and ``rollback_config``."""

    pointers: ClassVar[frozenset[str]] = frozenset({"parallelism"})

    parallelism: NotNegative | None = None
    delay: Span | None = None
    failure_action: Text | None = None
    monitor: Span | None = None
    max_failure_ratio: Number | None = None
    order: Literal["start-first", "stop-first"] | None = None


class DiscreteResource(ExtensibleElement):
    """A kind of thing that can be counted, and how many."""

    pointers: ClassVar[frozenset[str]] = frozenset({"kind", "value"})

    kind: Text = ""
    value: Integer = 0


class GenericResource(ExtensibleElement):
    """One entry of ``generic_resources``."""

    discrete_resource_spec: DiscreteResource | None = None


class ResourceLimits(ExtensibleElement):
    """The most a container may use; cpus in units of one processor."""

    cpus: Number | None = None
    memory: Bytes | None = None
    pids: Integer | None = None


class ResourceReservations(ExtensibleElement):
    """What must be there for a container."""

    cpus: Number | None = None
    memory: Bytes | None = None
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: tuple[GenericResource, ...] = ()


class DeployResources(ExtensibleElement):
    """Limits and reservations."""

    limits: ResourceLimits | None = None
    reservations: ResourceReservations | None = None


class DeployRestartPolicy(ExtensibleElement):
    """``deploy.restart_policy``; condition none, on-failure or any."""

    pointers: ClassVar[frozenset[str]] = frozenset({"delay", "max_attempts", "window"})

    condition: Text | None = None
    delay: Span | None = None
    max_attempts: NotNegative | None = None
    window: Span | None = None


class PlacementPreference(ExtensibleElement):
    """One preference of ``placement``."""

    spread: Text | None = None


class Placement(ExtensibleElement):
    """Which nodes may run the service."""

    constraints: Texts = ()
    preferences: tuple[PlacementPreference, ...] = ()
    max_replicas_per_node: NotNegative | None = None


class Deploy(ExtensibleElement):
    """The ``deploy`` of a service."""

    pointers: ClassVar[frozenset[str]] = frozenset({"replicas"})

    mode: Text | None = None
    replicas: NotNegative | None = None
    labels: TextMap = EMPTY
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: DeployResources | None = None
    restart_policy: DeployRestartPolicy | None = None
    placement: Placement | None = None
    endpoint_mode: Text | None = None
