"""``RUN --device``: the devices that a step asks for, by the names that CDI gives them.

A request names a device (VENDOR/CLASS=NAME), all of a kind (VENDOR/CLASS=*), the first of a kind
(VENDOR/CLASS), or those of a class that BuildKit's annotation makes. Which devices a step may have
is the caller's to say (the entitlement ``device``), or the vendor's, by another annotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from orchestra.errors import BuildError
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.container.cdi import Registry

ENTITLEMENT = "device"
_CLASS = "org.mobyproject.buildkit.device.class"
_AUTO_ALLOW = "org.mobyproject.buildkit.device.autoallow"
_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDevice:
    """One request; one that is not ``required`` may be for what is not there."""

    name: str
    required: bool = False


def read_device(text: str) -> RunDevice:
    """Read the value of ``--device``: NAME or name=NAME, and required[=true|false].

    :raises BuildError: when it is malformed.
    """
    name, required = "", False
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = key.lower()
        if key == "required":
            if equals and value not in _TRUE | _FALSE:
                raise BuildError(f'--device: required is true or false, not "{value[:50]}"')
            required = not equals or value in _TRUE
        elif name:
            raise BuildError(f'--device: "{part[:100]}" comes after the name "{name[:100]}"')
        else:
            name = value if key == "name" and equals else part
    if not name:
        raise BuildError("--device needs a name", hint="write --device=VENDOR/CLASS=NAME")
    return RunDevice(name=name, required=required)


def chosen_devices(
    wanted: Iterable[RunDevice], granted: Iterable[str], registry: Registry
) -> tuple[str, ...]:
    """Return the names of the devices that a step gets.

    ``granted`` are the build's entitlements: "device" for all, "device=NAME[,alias=ALIAS]" for one.

    :raises BuildError: when a required one is not there, or one is not granted.
    """
    aliases, names, every = _granted(granted)
    allowed = {device for name in names for device in _found(name, registry)}
    chosen: dict[str, None] = {}
    for request in wanted:
        aliased = aliases.get(request.name)
        found = _found(aliased or request.name, registry)
        if not found and request.required:
            known = ", ".join(sorted(registry.devices)) or "none"
            raise BuildError(
                f'the device "{request.name}" is required and not there',
                hint="; ".join((f"CDI knows here: {known}", *registry.errors)),
            )
        free = aliased is not None or every
        forbidden = [each for each in found if not free and each not in allowed]
        for device in forbidden:
            if registry.annotations(device).get(_AUTO_ALLOW) not in _TRUE:
                raise BuildError(
                    f'the device "{device}" needs the entitlement device, which this build has not',
                    hint=f"if you trust the Dockerfile: --allow device={device}, or "
                    f"build.entitlements: [device={device}]",
                )
        chosen |= dict.fromkeys(found)
    return tuple(chosen)


def _granted(entitlements: Iterable[str]) -> tuple[Mapping[str, str], list[str], bool]:
    """Return what aliases stand for, the names that are granted, and whether all are."""
    aliases: dict[str, str] = {}
    names: list[str] = []
    every = False
    for text in entitlements:
        key, equals, rest = text.partition("=")
        if key != ENTITLEMENT:
            continue
        name, _, alias = rest.partition(",alias=")
        if alias:
            aliases[alias] = name
        elif name:
            names.append(name)
        every = every or not equals
    return aliases, names, every


def _found(name: str, registry: Registry) -> list[str]:
    kind, equals, device = name.partition("=")
    devices = sorted(registry.devices)
    of_kind = [each for each in devices if each.startswith(f"{kind}=")] if "/" in kind else []
    if device == "*":
        found = of_kind
    elif equals:
        found = [each for each in of_kind if each == name]
    else:
        found = of_kind[:1]
    return found or [each for each in devices if registry.annotations(each).get(_CLASS) == name]
