"""What the machine is made of, and the key under which the finished pieces are kept."""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path

from scripts.v2.errors import MachineError

KERNEL = "linux-image-cloud-amd64"
DEBS = (
    "apparmor",
    "busybox-static",
    "ca-certificates",
    "checkpolicy",
    "crun",
    "docker-registry",
    "e2fsprogs",
    "iproute2",
    "kmod",
    "libnftables1",
    "mount",
    "nftables",
    "procps",
    "python3",
    "runc",
    "systemd",
    "util-linux",
    "xfsprogs",
)
# Of pyproject's extra "dev": what the tests import that make sense there.
TOOLS = ("dnslib", "hypothesis", "pyroute2", "pytest", "pytest-timeout")
IMAGES = ("busybox", "alpine")
# The initrd loads these, with what they need, in the order of their needs.
MODULES = ("virtio_pci", "virtio_blk")
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """One machine. ``requirements`` are of PyPI, ``debs`` of ``suite``."""

    suite: str
    debs: tuple[str, ...]
    requirements: tuple[str, ...]

    def key(self) -> str:
        """Return a name for what comes out: the same for the same ingredients and maker."""
        total = hashlib.sha256(repr(self).encode())
        for name in ("recipe.py", "image.py", "initrd.py"):
            total.update((HERE / name).read_bytes())
        return total.hexdigest()[:16]


def _names(requirement: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else " " for c in requirement).split()[0].lower()


def _suite(os_release: str) -> str:
    fields: Mapping[str, str] = dict(
        line.split("=", 1) for line in os_release.splitlines() if "=" in line
    )
    if fields.get("ID") != "debian":
        raise MachineError("the machine is made out of Debian's packages, by a Debian's apt")
    return fields["VERSION_CODENAME"].strip('"')


def read_recipe() -> Recipe:
    """Return the recipe for this checkout on this host.

    :raises MachineError: on a host that is no Debian.
    """
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    tools = [text for text in project["optional-dependencies"]["dev"] if _names(text) in TOOLS]
    return Recipe(
        suite=_suite(Path("/etc/os-release").read_text()),
        debs=DEBS,
        requirements=(*project["dependencies"], *tools),
    )
