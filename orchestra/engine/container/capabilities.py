"""Which capabilities a container gets: Docker's default set, cap_add, cap_drop, privileged.

Pure. Names come with or without CAP_, in any case, as in Compose files; they leave as CAP_NAMES
in the kernel's order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orchestra.engine.linux.flags import CAPABILITIES
from orchestra.errors import ContainerError

ALL_CAPABILITIES: tuple[str, ...] = CAPABILITIES
"""Every capability of capabilities(7), by number: CAP_CHOWN is 0."""

_DEFAULT_NAMES = (
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW "
    "SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
)
DEFAULT_CAPABILITIES: tuple[str, ...] = tuple(f"CAP_{name}" for name in _DEFAULT_NAMES.split())
"""What Docker grants (moby daemon/pkg/oci/caps/defaults.go): fourteen."""

_ALL = "ALL"


def normalize_capability(name: str) -> str:
    """Return ``CAP_NAME`` or ``ALL`` for a name as written in a Compose file.

    :raises ContainerError: when there is no such capability.
    """
    upper = name.strip().upper()
    if upper in {_ALL, "CAP_ALL"}:
        return _ALL
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in ALL_CAPABILITIES:
        raise ContainerError(
            f'unknown capability "{name}"',
            hint="capabilities(7) lists them; write NET_ADMIN or CAP_NET_ADMIN, or ALL",
        )
    return full


def capability_set(
    add: Iterable[str] = (),
    drop: Iterable[str] = (),
    *,
    privileged: bool = False,
    available: Collection[str] = ALL_CAPABILITIES,
) -> tuple[str, ...]:
    """Return the capabilities of a container, in the kernel's order.

    ``add`` ALL means all that are available but the dropped ones; ``drop`` ALL means the added
    ones alone; otherwise the default set less the dropped, plus the added (so a name in both is
    granted, as Docker does). ``available`` is what this host can grant.

    :raises ContainerError: for an unknown name, or an added one that this host cannot grant.
    """
    added = {normalize_capability(name) for name in add}
    dropped = {normalize_capability(name) for name in drop}
    missing = sorted(added - {_ALL} - set(available))
    if missing:
        raise ContainerError(f'capability "{missing[0]}" is not available on this host')
    if privileged:
        chosen = set(available)
    elif _ALL in added:
        chosen = set(available) - dropped if _ALL not in dropped else set(available)
    elif _ALL in dropped:
        chosen = added
    else:
        chosen = (set(DEFAULT_CAPABILITIES) & set(available)) - dropped | added
    return tuple(name for name in ALL_CAPABILITIES if name in chosen)
