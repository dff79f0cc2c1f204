"""What ``watch`` does when sources change (compose-spec develop.md)."""

from __future__ import annotations

from typing import Literal

from orchestra.spec.model.base import ExtensibleElement, Flag, Text, Texts
from orchestra.spec.model.hook import Hook


class Trigger(ExtensibleElement):
    """One watched path (absolute) and what a change there causes."""

    path: Text
    action: Literal["rebuild", "sync", "restart", "sync+restart", "sync+exec"]
    target: Text | None = None
    exec: Hook | None = None
    include: Texts = ()
    ignore: Texts = ()
    initial_sync: Flag = False


class Develop(ExtensibleElement):
    """The ``develop`` of a service."""

    watch: tuple[Trigger, ...] = ()
