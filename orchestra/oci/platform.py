"""Platforms of the OCI image index: ``os/architecture[/variant]`` in GOOS and GOARCH names."""

from __future__ import annotations

from orchestra.errors import ImageError
from orchestra.values import dataclass

_MACHINES = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "386": ("386", ""),
    "arm": ("arm", "v7"),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
}
_DEFAULT_VARIANT = {"amd64": "v1", "arm64": "v8", "arm": "v7"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An image's platform; ``variant`` is empty where the architecture has none."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Render ``os/architecture[/variant]``."""
        text = f"{self.os}/{self.architecture}"
        return f"{text}/{self.variant}" if self.variant else text

    def accepts(self, other: Platform) -> bool:
        """Tell whether an image made for ``other`` runs on this platform."""
        return (self.os, self.architecture, _variant(self)) == (
            other.os,
            other.architecture,
            _variant(other),
        )

    def rank(self, other: Platform) -> int | None:
        """Tell how well an image made for ``other`` suits: 0 is exact, None is not at all.

        A variant runs what older ones of the same architecture run: arm/v7 takes v6, amd64/v3 v1.
        """
        if (self.os, self.architecture) != (other.os, other.architecture):
            return None
        mine, theirs = _variant(self), _variant(other)
        if mine == theirs:
            return 0
        if not (_is_level(mine) and _is_level(theirs)):
            return None
        distance = int(mine[1:]) - int(theirs[1:])
        return distance if distance > 0 else None


def _is_level(variant: str) -> bool:
    return variant[:1] == "v" and variant[1:].isascii() and variant[1:].isdigit()


def _variant(platform: Platform) -> str:
    return platform.variant or _DEFAULT_VARIANT.get(platform.architecture, "")


def platform_of_machine(machine: str) -> Platform:
    """Return the Linux platform of a ``uname -m`` value."""
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def parse_platform(text: str) -> Platform:
    """Parse ``linux/amd64``, ``linux/arm/v6`` or a bare architecture.

    The variant that an architecture is known without is left out, as docker does: arm64/v8 is
    linux/arm64, and arm is linux/arm/v7.

    :raises ImageError: when it has more than three parts, or an empty one.
    """
    parts = text.lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise ImageError(f'"{text[:100]}" is not a platform', hint="write it as linux/amd64")
    if len(parts) == 1:
        return platform_of_machine(parts[0])
    machine = platform_of_machine(parts[1])
    if len(parts) == 2:
        return Platform(parts[0], machine.architecture, machine.variant)
    known = not machine.variant and _DEFAULT_VARIANT.get(machine.architecture) == parts[2]
    return Platform(parts[0], machine.architecture, "" if known else parts[2])
