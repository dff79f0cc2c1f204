"""Which runtime a shim drives: the native one in its own process, or a program by its verbs."""

from __future__ import annotations

from typing import Protocol

from orchestra.engine.shim.external import ExternalRuntime, Stdio
from orchestra.engine.shim.making import Making
from orchestra.engine.shim.native import NativeRuntime
from orchestra.engine.shim.protocol import ShimRequest
from orchestra.oci.runtime import RuntimeConfig


class Driver(Protocol):
    """What a monitor asks of a runtime, for one container."""

    def create(self, stdio: Stdio, *, tty: bool, making: Making) -> tuple[int, int | None]:
        """Create the container; return its init's pid, and the pty's master when ``tty``."""
        ...

    def start(self) -> None:
        """Let the init run the user's program; return once it does."""
        ...

    def oom_killed(self) -> bool:
        """Tell whether the OOM killer ended a process of the container."""
        ...

    def delete(self) -> None:
        """Kill what is left of the container and remove its cgroup, and run its last hooks."""
        ...


def driver_of(request: ShimRequest, config: RuntimeConfig) -> Driver:
    """Choose the driver that the request names."""
    if request["runtime"]:
        return ExternalRuntime(
            request["runtime"],
            request["id"],
            request["run_directory"],
            request["bundle"],
            cgroup=config.get("linux", {}).get("cgroupsPath", ""),
        )
    return NativeRuntime(request, config)
