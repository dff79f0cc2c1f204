"""Configs and secrets, and the services' references to them (compose-spec 08-configs.md, 09)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestra.spec.model.base import (
    EMPTY,
    Alias,
    ExtensibleElement,
    Flag,
    Hidden,
    Integer,
    Text,
    TextMap,
)


class FileReference(ExtensibleElement):
    """A service's or build's reference to a config or secret; ``mode`` as chmod takes it."""

    pointers: ClassVar[frozenset[str]] = frozenset({"mode"})

    source: Text | None = None
    target: Text | None = None
    uid: Text | None = None
    gid: Text | None = None
    mode: Integer | None = None


class Config(ExtensibleElement):
    """One top-level config. ``content`` is also filled from ``environment``."""

    name: Text
    file: Text | None = None
    environment: Text | None = None
    content: Annotated[Text | None, Hidden()] = None
    external: Flag = False
    labels: TextMap = EMPTY
    template_driver: Text | None = None


class Secret(ExtensibleElement):
    """One top-level secret. ``content``: the value of ``environment``, never rendered."""

    name: Text
    file: Text | None = None
    environment: Text | None = None
    content: Annotated[Text | None, Alias("#content"), Hidden()] = None
    external: Flag = False
    labels: TextMap = EMPTY
    driver: Text | None = None
    driver_opts: TextMap = EMPTY
    template_driver: Text | None = None
