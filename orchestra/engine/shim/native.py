"""The native runtime, in the shim's own process."""

from __future__ import annotations

from orchestra.engine.shim.external import Stdio
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.protocol import ShimRequest
from orchestra.oci.runtime import Process, RuntimeConfig


class NativeRuntime:
    def __init__(self, request: ShimRequest, config: RuntimeConfig) -> None:
        raise ShimFailure("no native runtime yet")

    def create(self, stdio: Stdio, *, tty: bool) -> tuple[int, int | None]:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def oom_killed(self) -> bool:
        raise NotImplementedError

    def delete(self) -> None:
        raise NotImplementedError


def execute(
    init_pid: int, document: Process, config: RuntimeConfig, stdio: Stdio, *, tty: bool
) -> tuple[int, int | None]:
    raise NotImplementedError
