"""What a caller makes beside a container's first process instead of before it.

The process is there at once and mounts; meanwhile its maker makes the cgroup and the network, and
then lets it in. So two processors share a start, and the maker needs no mount namespace.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.runtime.namespaces import plan_namespaces
from orchestra.oci.runtime import RuntimeConfig
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """``places`` mounts the root: in the child, in its own mount namespace, which lets none out.

    ``network`` moves the maker into the container's network namespace, where the child follows.
    """

    places: Callable[[], None]
    network: Callable[[], None]
    maker: int
    """The maker's pid, as the child's procfs has it."""

    def follow(self) -> None:
        """Enter the network namespace that the maker is in now.

        :raises OSError: when the maker is gone.
        """
        fd = os.open(f"/proc/{self.maker}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(fd, CloneFlag.NEWNET)
        finally:
            os.close(fd)


def may_be_beside(config: RuntimeConfig) -> bool:
    """Tell whether the root may be mounted by the container's first process.

    Not where it shares another's mounts or has ids of its own, nor where hooks of the runtime's
    side look for the root.
    """
    new = plan_namespaces(config.get("linux") or {}).new
    hooks = config.get("hooks") or {}
    apart = bool(new & CloneFlag.NEWNS) and not new & (CloneFlag.NEWUSER | CloneFlag.NEWNET)
    return apart and not hooks.get("prestart") and not hooks.get("createRuntime")
