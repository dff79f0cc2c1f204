"""Compose keys that are valid but do nothing here: tables of pattern -> reason.

What docker compose acts upon and this engine does not is refused by name. What docker compose
itself accepts and leaves aside outside Swarm (its pkg/compose/create.go maps no such field), or
what only describes, is warned of and goes on: a file that works there works here. Nothing is
ignored in silence. docs/conformance.md is made from these tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestra.planner.compile.complaints import Complaints
from orchestra.spec.keypath import KeyPath, expand
from orchestra.spec.model.project import Project
from orchestra.spec.model.volume import ServiceVolume
from orchestra.values import dataclass

_SERVICE = "services.*."
_BUILD = "services.*.build."
_DEPLOY = "services.*.deploy."
_RESERVED = "services.*.deploy.resources.reservations."
_MOUNT = "services.*.volumes.[]."

_SWARM = "it is for Swarm"
_WINDOWS = "it exists on Windows only"


@dataclass(frozen=True, slots=True)
class Values:
    """Of a key, the only values that are known: words, and beginnings."""

    words: tuple[str, ...]
    beginnings: tuple[str, ...] = ()

    def __contains__(self, value: object) -> bool:
        """Tell whether a value is one of them."""
        return value in self.words or str(value).startswith(self.beginnings or ("\0",))

    def __str__(self) -> str:
        """Name them."""
        return ", ".join((*self.words, *(f"{beginning}NAME" for beginning in self.beginnings)))


REFUSED: Mapping[str, tuple[str, str]] = {
    _SERVICE + "models": ("no model runner is there", ""),
    _SERVICE + "pre_start": ("containers that run before a service are not made", ""),
    _SERVICE + "provider": ("services are not handed to other programs", ""),
    _SERVICE + "use_api_socket": ("there is no engine socket to hand over", ""),
    "jobs": ("jobs are not run", "run its command by `orchestra run`"),
    "networks.*.ipam.options": ("address management takes no options", ""),
}
"""Key -> why, and what to do in place of removing it."""

REFUSED_BUT: Mapping[str, tuple[Values, str]] = {
    _SERVICE + "isolation": (Values(("default",)), _WINDOWS),
    _SERVICE + "pid": (Values(("host", "private"), ("service:", "container:")), ""),
    _SERVICE + "ipc": (Values(("host", "private", "shareable"), ("service:", "container:")), ""),
    _SERVICE + "{uts,userns_mode}": (Values(("host",)), ""),
    _MOUNT + "type": (Values(("bind", "image", "tmpfs", "volume")), ""),
    "networks.*.driver": (Values(("bridge",)), ""),
    "networks.*.ipam.driver": (Values(("default",)), "addresses are given out by orchestra itself"),
    "volumes.*.driver": (Values(("local",)), ""),
}
"""Key -> the values that are implemented, and why no others are."""

WARNED: Mapping[str, str] = {
    _SERVICE + "{cpu_count,cpu_percent,credential_spec}": _WINDOWS,
    _SERVICE + "ports.[].{name,app_protocol}": "it only describes the port",
    _DEPLOY + "{endpoint_mode,placement,rollback_config,update_config}": _SWARM,
    _DEPLOY + "labels": f"{_SWARM}; the service's own labels are the containers'",
    _RESERVED + "{cpus,generic_resources}": _SWARM,
    _BUILD + "isolation": _WINDOWS,
    _MOUNT + "consistency": "it is for Docker Desktop",
    "networks.*.attachable": _SWARM,
    "{configs,secrets}.*.labels": _SWARM,
    "secrets.*.driver_opts": _SWARM,
}
"""Key -> why it has no effect."""

WARNED_BUT: Mapping[str, tuple[Values, str]] = {
    _DEPLOY + "mode": (Values(("replicated",)), _SWARM),
    _SERVICE + "ports.[].mode": (Values(("host", "ingress")), _SWARM),
}
"""Key -> the values that mean something, and why others have no effect."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One key that does nothing, or all of its values but those known."""

    parts: tuple[str, ...]
    why: str
    hint: str = ""
    known: Values | None = None
    refused: bool = False

    def note(self, path: KeyPath, value: object, complaints: Complaints) -> None:
        """Note a value that stands at the key, unless it is one of those known."""
        if self.known is not None and value in self.known:
            return
        if self.refused:
            complaints.refuse(path, self.why or f'the value "{value}" is not known here', self.hint)
            return
        text = "it" if self.known is None else f'"{value}"'
        complaints.warn(path, f"{text} has no effect here, {self.why}".removeprefix("it "))


def _rules() -> Iterator[Rule]:
    for key, (why, hint) in REFUSED.items():
        yield from (Rule(parts, why, hint, refused=True) for parts in expand(key))
    for key, (known, why) in REFUSED_BUT.items():
        hint = f"it is one of {known}" if known.words[1:] else f"use {known}, or leave it out"
        yield from (Rule(parts, why, hint, known, refused=True) for parts in expand(key))
    for key, why in WARNED.items():
        yield from (Rule(parts, why) for parts in expand(key))
    for key, (known, why) in WARNED_BUT.items():
        yield from (Rule(parts, why, known=known) for parts in expand(key))


RULES: tuple[Rule, ...] = tuple(_rules())


def check_support(project: Project, complaints: Complaints) -> None:
    """Note every key of the active services, and of what they use, that does nothing."""
    for rule in RULES:
        for path, value in _given(project, rule.parts, ()):
            rule.note(path, value, complaints)
    for name, service in project.services.items():
        for index, mount in enumerate(service.volumes):
            _check_mount(mount, ("services", name, "volumes", index), complaints)
    for name, network in project.networks.items():
        if network.enable_ipv4 is False and not network.external:
            hint = "remove it; add enable_ipv6 for both"
            complaints.refuse(("networks", name, "enable_ipv4"), "every network has IPv4", hint)


def _given(
    element: object, parts: tuple[str, ...], path: KeyPath
) -> Iterator[tuple[KeyPath, object]]:
    """Yield every value that a project gives to the keys of a pattern, and that is not empty."""
    if not parts:
        if element not in (None, False, (), "", 0) and element != {}:
            yield path, element
        return
    for key, below in _below(element, parts[0]):
        yield from _given(below, parts[1:], (*path, key))


def _below(element: object, part: str) -> Iterator[tuple[str | int, object]]:
    """Yield what a part of a pattern leads to; what is external is not ours to make."""
    if part == "[]":
        yield from enumerate(element if isinstance(element, tuple) else ())
    elif part != "*":
        yield part, getattr(element, part, None)
    elif isinstance(element, Mapping):
        for key, entry in element.items():
            if not getattr(entry, "external", False):
                yield key, entry


def _check_mount(mount: ServiceVolume, path: KeyPath, complaints: Complaints) -> None:
    for kind in ("bind", "image", "tmpfs", "volume"):
        if kind != mount.type and getattr(mount, kind) is not None and not _relabels(mount, kind):
            complaints.warn((*path, kind), f'has no effect here, the mount is a "{mount.type}"')


def _relabels(mount: ServiceVolume, kind: str) -> bool:
    """Tell whether what is said of a bind is no more than a volume's z or Z."""
    bind = mount.bind
    if kind != "bind" or mount.type != "volume" or bind is None:
        return False
    return bind.selinux is not None and bind.propagation is None and bind.recursive is None
