"""Commands run around a container's life (compose-spec 05-services.md, post_start, pre_stop)."""

from __future__ import annotations

from orchestra.spec.model.base import EMPTY, ExtensibleElement, Flag, OptionalTextMap, Text, Texts
from orchestra.spec.model.container import Container


class Hook(ExtensibleElement):
    """One ``post_start`` or ``pre_stop`` command, run inside the container."""

    command: Texts
    user: Text | None = None
    privileged: Flag = False
    working_dir: Text | None = None
    environment: OptionalTextMap = EMPTY


class PreStartHook(Container):
    """One ``pre_start`` container, run to completion before the service's first."""

    per_replica: Flag = False
