"""Commands run around a container's life (compose-spec 05-services.md, post_start, pre_stop)."""

from __future__ import annotations

from orchestra.spec.model.base import EMPTY, ExtensibleElement, Flag, OptionalTextMap, Text, Texts


class Hook(ExtensibleElement):
    """One ``post_start`` or ``pre_stop`` command, run inside the container."""

    command: Texts
    user: Text | None = None
    privileged: Flag = False
    working_dir: Text | None = None
    environment: OptionalTextMap = EMPTY


class PreStartHook(ExtensibleElement):
    """One ``pre_start`` command, run to completion in a container of its own before the first."""

    command: Texts | None = None
    environment: OptionalTextMap = EMPTY
    image: Text | None = None
    privileged: Flag = False
    user: Text | None = None
    working_dir: Text | None = None
    per_replica: Flag = False
