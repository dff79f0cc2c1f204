"""What a command asks of a plan, beyond the files: docker compose's options, by its names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from orchestra.planner.desired import PullPolicy
from orchestra.values import dataclass, field


class Recreate(StrEnum):
    """Which existing containers are replaced."""

    DIVERGED = "diverged"
    FORCE = "force"
    NEVER = "never"


class RemoveImages(StrEnum):
    """Which images ``down`` removes: those that were built here, or every one."""

    NONE = "none"
    LOCAL = "local"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """Options of ``up``, ``create``, ``build`` and ``plan``.

    ``services`` () is every active one; else those, and what they depend on unless ``no_deps``.
    ``recreate`` holds for the named services; the others are replaced when they diverged, always
    with ``always_recreate_deps``, never with ``Recreate.NEVER``. ``renew_anon_volumes`` replaces
    the named services' containers and gives the new ones fresh anonymous volumes.
    ``pull`` overrides every image's policy. ``keep_volumes`` leaves a volume whose definition
    changed as it is; otherwise it is made anew, and its data is lost (``Plan.destroys_data``).
    ``only_build`` is ``build`` without dependencies or pulls. ``wait`` changes no plan.
    """

    services: tuple[str, ...] = ()
    recreate: Recreate = Recreate.DIVERGED
    always_recreate_deps: bool = False
    no_deps: bool = False
    no_start: bool = False
    build: bool = False
    no_build: bool = False
    only_build: bool = False
    pull: PullPolicy | None = None
    scale: Mapping[str, int] = field(default_factory=dict)
    remove_orphans: bool = False
    renew_anon_volumes: bool = False
    keep_volumes: bool = False
    timeout: timedelta | None = None
    wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DownOptions:
    """Options of ``down``; ``services`` () is the whole project."""

    services: tuple[str, ...] = ()
    volumes: bool = False
    remove_orphans: bool = False
    rmi: RemoveImages = RemoveImages.NONE
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOptions:
    """Options of ``stop``, ``start`` and ``restart``.

    ``no_deps``: ``restart`` leaves alone what depends on the named services.
    """

    services: tuple[str, ...] = ()
    timeout: timedelta | None = None
    no_deps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveOptions:
    """Options of ``rm``; ``volumes``: anonymous volumes as well."""

    services: tuple[str, ...] = ()
    stop: bool = False
    volumes: bool = False
    timeout: timedelta | None = None
