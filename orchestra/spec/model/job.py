"""Containers that run to completion, when asked or by a schedule (compose-spec, jobs)."""

from __future__ import annotations

from typing import ClassVar, Literal

from orchestra.spec.model.base import ExtensibleElement, Flag, Text, Texts
from orchestra.spec.model.container import Container, Workload


class Schedule(ExtensibleElement):
    """When a job runs by itself; ``cron`` is a crontab expression."""

    cron: Text
    timezone: Text | None = None
    concurrency: Literal["forbid", "queue"] | None = None
    missed_fires: Literal["one", "skip"] | None = None


class Triggers(ExtensibleElement):
    """What starts a job; ``manual`` false forbids to run it by hand."""

    pointers: ClassVar[frozenset[str]] = frozenset({"manual"})

    manual: Flag | None = None
    schedule: tuple[Schedule, ...] = ()


class Job(Container, Workload):
    """One top-level job. ``name`` is the key."""

    name: Text
    profiles: Texts = ()
    triggers: Triggers
