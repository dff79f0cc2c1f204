"""security_opt: what its options say, made explicit. Pure: looks for nothing that they name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestra.errors import ContainerError
from orchestra.values import dataclass

DEFAULT_PROFILE = "orchestra-default"
"""AppArmor's for a container that names none (apparmor.py). Other rules get another name: one that
is loaded already stays as it is until the next boot."""
_LABELS = frozenset({"user", "role", "type", "level", "filetype"})
_DEFAULT_PROFILES = frozenset({DEFAULT_PROFILE, "docker-default"})


@dataclass(frozen=True, slots=True)
class Contexts:
    """SELinux's contexts of a container's processes and of the files in its mounts; "" for none."""

    process: str = ""
    files: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What security_opt asks for; ``seccomp`` "" is the default profile, else a path or a word.

    ``apparmor`` is the name of a profile that the host has loaded, DEFAULT_PROFILE where there is
    one, "" for none; None: not said. ``labels`` are options of SELinux ("type:x", "disable").
    """

    no_new_privileges: bool = False
    seccomp: str = ""
    unmasked: bool = False
    apparmor: str | None = None
    labels: tuple[str, ...] = ()


def parse_security(options: Sequence[str]) -> Security:
    """Read security_opt (compose-spec 05-services.md; docker run --security-opt).

    :raises ContainerError: for an option that is not known.
    """
    no_new_privileges, seccomp, unmasked = False, "", False
    apparmor: str | None = None
    labels: list[str] = []
    for option in options:
        key, value = (*re.split("[=:]", option, maxsplit=1), "")[:2]
        if key == "no-new-privileges" and value in {"", "true", "false"}:
            no_new_privileges = value != "false"
        elif key == "seccomp" and value:
            seccomp = "" if value == "builtin" else value
        elif key == "systempaths" and value == "unconfined":
            unmasked = True
        elif key == "apparmor" and value:
            apparmor = "" if value == "unconfined" else value
            apparmor = DEFAULT_PROFILE if value in _DEFAULT_PROFILES else apparmor
        elif key == "label" and _is_label(value):
            labels.append("disable" if value == "unconfined" else value)
        else:
            raise ContainerError(
                f'security_opt "{option}" is not supported',
                hint="known are no-new-privileges, seccomp=..., systempaths=unconfined, "
                "apparmor=PROFILE, label=disable, label=user|role|type|level|filetype:VALUE",
            )
    return Security(
        no_new_privileges=no_new_privileges,
        seccomp=seccomp,
        unmasked=unmasked,
        apparmor=apparmor,
        labels=tuple(labels),
    )


def _is_label(value: str) -> bool:
    key, _, rest = value.partition(":")
    return value in {"disable", "unconfined"} or (key in _LABELS and bool(rest))
