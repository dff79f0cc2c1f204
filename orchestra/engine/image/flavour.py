"""How directories in overlayfs' form say what layers say by names."""

from __future__ import annotations

from orchestra.values import dataclass

WHITEOUT = ".wh."


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """How the overlay of this host marks things, and what this process may make."""

    opaque_xattr: str = "trusted.overlay.opaque"
    privileged: bool = True


def flavour_of(uid: int) -> Flavour:
    """Choose the marks: user.* ones where overlayfs is mounted with userxattr (rootless)."""
    return Flavour() if uid == 0 else Flavour(opaque_xattr="user.overlay.opaque", privileged=False)
