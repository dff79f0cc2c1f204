"""Configs and secrets, and the services' references to them (compose-spec 08-configs.md, 09)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from orchestra.spec.model.base import EMPTY, ExtensibleElement, Flag, Integer, Text, TextMap


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
    content: Text | None = Field(default=None, repr=False)
    external: Flag = False
    labels: TextMap = EMPTY
    template_driver: Text | None = None


class Secret(ExtensibleElement):
    """One top-level secret. ``content``: the value of ``environment``, never rendered."""

    name: Text
    file: Text | None = None
    environment: Text | None = None
    content: Text | None = Field(default=None, repr=False, alias="#content")
    external: Flag = False
    labels: TextMap = EMPTY
    driver: Text | None = None
    driver_opts: TextMap = EMPTY
    template_driver: Text | None = None
