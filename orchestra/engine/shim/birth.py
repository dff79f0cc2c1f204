"""How a shim brings its container up: in a child that ends once the container runs.

What is heavy (config.json, the filter, mounts, the network) is touched in that child alone, so a
shim's own memory stays small for as long as the container lives. The container's init comes to the
shim as its subreaper. The child's mount and network namespaces live on in the container only.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from orchestra.engine.linux import process, syscalls
from orchestra.engine.linux.flags import Prctl
from orchestra.engine.runtime.become import own_pipes
from orchestra.engine.runtime.config import known_config
from orchestra.engine.shim import network, rootfs, wire
from orchestra.engine.shim.console import set_window
from orchestra.engine.shim.driver import Driver, driver_of
from orchestra.engine.shim.external import Stdio
from orchestra.engine.shim.failure import ShimFailure, because, failed, failure_of
from orchestra.engine.shim.identity import write_identity
from orchestra.engine.shim.logfile import stamp
from orchestra.engine.shim.making import Making, nothing
from orchestra.engine.shim.network_ahead import Ahead
from orchestra.engine.shim.ports import bind_ports
from orchestra.engine.shim.protocol import (
    EXIT_FILE,
    INIT_FILE,
    SHIM_FILE,
    Failed,
    Listen,
    ShimRequest,
)
from orchestra.oci.runtime import RuntimeConfig
from orchestra.values import dataclass

CONFIG_FILE = "config.json"
HELD_PORTS_MAX = 240
_MICROSECOND_DIGITS = 26


@dataclass(slots=True)
class ShimTask:
    """What the launcher hands over. ``connection`` answers the client, ``channel`` the launcher.

    ``stdio`` came with the request ("inherit" without tty).
    """

    request: ShimRequest
    request_path: str
    connection: socket.socket
    channel: socket.socket
    stdio: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Born:
    """A container that runs: ``pid`` is its init, a child of ours; ``master`` its terminal's."""

    pid: int
    started_at: str
    master: int | None


def now_text() -> str:
    """Return the time as ISO 8601 in UTC with microseconds."""
    return stamp(time.time_ns())[:_MICROSECOND_DIGITS] + "Z"


def read_config(bundle: str) -> RuntimeConfig:
    """Return a bundle's config.json.

    :raises ShimFailure: when it is missing or damaged.
    """
    path = f"{bundle}/{CONFIG_FILE}"
    try:
        known = known_config(bundle)
        config: RuntimeConfig = known or json.loads(process.read_text(path))
    except OSError as err:
        raise because(f'cannot read "{path}"', err) from err
    except ValueError as err:
        raise ShimFailure(f'cannot read "{path}": it is damaged') from err
    return config


def bring_up(task: ShimTask, stdio: Stdio) -> Born:
    """Create and start the container; return it as a child of this process, a subreaper.

    :raises ShimFailure: why it does not run; nothing is left of it then.
    :raises OSError: when nothing can be forked.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    shim = os.getpid()
    child = os.fork()
    if child == 0:
        _work(task, stdio, theirs, shim)
    theirs.close()
    with ours:
        try:
            received = wire.receive(ours)
        finally:
            os.waitpid(child, 0)
    if received is None:
        raise ShimFailure("cannot start the container: the process that made it was killed")
    message, fds = received
    if message.get("ok") is not True:
        raise failure_of(cast("Failed", message))
    return Born(int(str(message["pid"])), str(message["started_at"]), fds[0] if fds else None)


def _work(task: ShimTask, stdio: Stdio, channel: socket.socket, shim: int) -> None:
    """Bring the container up and say so. Never returns; dies with the shim."""
    code = 1
    try:
        syscalls.prctl(Prctl.SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == shim:
            gc.disable()
            message, fds = _answer(task, stdio, shim)
            wire.send(channel, message, fds)
            code = 0
    except BaseException:  # noqa: BLE001 - the entry point of a process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _answer(task: ShimTask, stdio: Stdio, shim: int) -> tuple[dict[str, object], tuple[int, ...]]:
    try:
        born = bring_up_here(task, stdio, shim, nothing)
    except ShimFailure as failure:
        return dict(failed(failure)), ()
    message = {"ok": True, "pid": born.pid, "started_at": born.started_at}
    return message, () if born.master is None else (born.master,)


def bring_up_here(task: ShimTask, stdio: Stdio, shim: int, begin: Callable[[], None]) -> Born:
    """Create and start the container in this process, which leaves its namespaces for it.

    ``begin`` is done before anything is there that outlives a crash.

    :raises ShimFailure: why it does not run; nothing is left of it then.
    """
    driver: Driver | None = None
    try:
        request = task.request
        config = read_config(request["bundle"])
        making, afterwards = plan(task, shim, begin)
        if "userns" in request:
            from orchestra.engine.shim.mapped import enter_stage  # noqa: PLC0415 - seldom asked for

            making.make_ready()
            making = Making(enter=nothing, places=nothing, network=nothing, furnish=nothing)
            request = enter_stage(request, request["userns"], config)
        driver = driver_of(request, config)
        return _launch(task, stdio, config, driver, making, afterwards)
    except (ShimFailure, OSError) as err:
        if driver:
            driver.delete()
        if isinstance(err, OSError):
            raise because("cannot start the container", err) from err
        raise


def plan(
    task: ShimTask,
    shim: int,
    begin: Callable[[], None],
    ahead: Ahead | None = None,
) -> tuple[Making, Callable[[int], None]]:
    """Return what makes the places the container lives in: mounts, network, sockets.

    With remapped ids the network is the container's own to make, and its root comes later: the
    second is done with its pid once it is there. ``ahead``: the network namespace, where it is
    there already.
    """
    request = task.request
    wanted = request["network"]
    listeners = bind_ports(wanted["listen"])
    entered: list[network.Entered] = []

    def files() -> None:
        context = request["rootfs"].get("context", "")
        rootfs.mount_files(request["run_directory"], request["files"], context)

    def places() -> None:
        files()
        rootfs.mount_rootfs(f"{request['bundle']}/rootfs", request["rootfs"])
        if request.get("stages"):
            from orchestra.engine.shim.stages import mount_stages  # noqa: PLC0415 - seldom asked for

            mount_stages(request["run_directory"], request["stages"])

    def announce() -> None:
        write_identity(f"{request['run_directory']}/{SHIM_FILE}", shim)
        begin()

    def enter_network() -> None:
        announce()
        entered.append(network.enter_network(wanted, ahead))

    def furnish() -> None:
        hand_over(task.channel, wanted["listen"], entered[0].furnish(), listeners)

    def afterwards(pid: int) -> None:
        entered.append(network.enter_network_of(pid, wanted))
        furnish()

    enter = rootfs.enter_mount_namespace
    if "userns" in request:
        making = Making(enter=enter, places=files, network=announce, furnish=nothing)
        return making, afterwards
    making = Making(enter=enter, places=places, network=enter_network, furnish=furnish)
    return making, nothing


def _launch(
    task: ShimTask,
    stdio: Stdio,
    config: RuntimeConfig,
    driver: Driver,
    making: Making,
    afterwards: Callable[[int], None],
) -> Born:
    request = task.request
    process_config = config.get("process", {})
    if not task.stdio:
        user = process_config.get("user", {"uid": 0, "gid": 0})
        own_pipes(stdio, *_owner(request, user["uid"], user["gid"]))
    pid, master = driver.create(stdio, tty=request["tty"], making=making)
    afterwards(pid)
    write_identity(f"{request['run_directory']}/{INIT_FILE}", pid)
    size = process_config.get("consoleSize")
    if master is not None and size:
        set_window(master, size["height"], size["width"])
    started_at = now_text()
    driver.start()
    with suppress(FileNotFoundError):
        os.unlink(f"{request['directory']}/{EXIT_FILE}")  # noqa: PTH108 - pathlib is 8 ms of import
    return Born(pid, started_at, master)


def _owner(request: ShimRequest, uid: int, gid: int) -> tuple[int, int]:
    """Return the container's user in the host's ids."""
    if "userns" not in request:
        return uid, gid
    from orchestra.engine.shim.mapped import host_owner  # noqa: PLC0415 - seldom asked for

    return host_owner(request["userns"], uid, gid)


def hand_over(
    channel: socket.socket, listen: Sequence[Listen], dns: Sequence[int], listeners: Sequence[int]
) -> None:
    """Give the launcher the sockets to hold; beyond what one message carries, they stay here."""
    passed = [*dns, *listeners[:HELD_PORTS_MAX]]
    message = {"op": "hold", "dns": bool(dns), "listen": list(listen[:HELD_PORTS_MAX])}
    with suppress(OSError):
        wire.send(channel, message, passed)
    wire.close_all(passed)
