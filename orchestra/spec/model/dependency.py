"""What a service waits for (compose-spec 05-services.md, depends_on)."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from orchestra.spec.model.base import ExtensibleElement, Flag


class Condition(StrEnum):
    """When a dependency counts as satisfied."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


class Dependency(ExtensibleElement):
    """One entry of ``depends_on``."""

    pointers: ClassVar[frozenset[str]] = frozenset({"required"})

    condition: Condition
    restart: Flag = False
    required: Flag = True
