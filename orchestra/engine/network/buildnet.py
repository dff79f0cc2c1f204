"""The network of build steps: one NATed bridge, shared by all builds of this machine.

Whoever uses it holds a shared flock; the last one to leave removes it. A killed build's flock goes
with it, so the next build (or :func:`sweep`) removes what it left.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

import anyio
from anyio.to_thread import run_sync

from orchestra.engine.linux.directories import make_private
from orchestra.engine.network.attached import Leases
from orchestra.engine.network.bridge import delete_bridge
from orchestra.engine.network.endpoints import choose_endpoints
from orchestra.engine.network.networks import Networks
from orchestra.engine.paths import Paths
from orchestra.engine.state.lock import machine_lock
from orchestra.engine.state.records import Endpoint, NetworkRecord
from orchestra.engine.state.store import Store
from orchestra.errors import NetworkError
from orchestra.planner.desired import Attachment, ContainerSpec, NetworkSpec

NAME = "orchestra_build"
_LOCK = "build-network"
_ATTEMPTS = 64


class BuildNetwork:
    """An async context manager that gives one build step (or several in a row) an Endpoint.

    Enter as many as run at once: each has an address of its own. Entering the first costs a
    bridge, the others a file; so a build keeps one open from its first to its last step.
    """

    def __init__(self, paths: Paths, store: Store) -> None:
        self._paths = paths
        self._store = store
        self._networks = Networks(paths, store)
        self._leases = Leases(paths)
        self._users = -1
        self._endpoint: Endpoint | None = None

    async def __aenter__(self) -> Endpoint:
        async with machine_lock(self._paths, _LOCK):
            self._users = _open_users(self._paths)
            fcntl.flock(self._users, fcntl.LOCK_SH | fcntl.LOCK_NB)
            try:
                record = await self._networks.create(NetworkSpec(key=NAME, name=NAME), "")
                self._endpoint = await run_sync(self._choose, record)
                return self._endpoint
            except BaseException:
                os.close(self._users)
                raise

    def _choose(self, record: NetworkRecord) -> Endpoint:
        """Take an address that no process holds, ourselves included."""
        name = f"build-{os.getpid()}-{os.urandom(4).hex()}"
        spec = ContainerSpec(
            project="",
            service="build",
            number=1,
            name=name,
            image="",
            config_hash="",
            networks=(Attachment(network=NAME),),
        )
        mine = self._leases.held(NAME)
        for _ in range(_ATTEMPTS):
            used = {NAME: self._leases.taken(NAME) | mine}
            data = str(self._paths.data)
            (endpoint,) = choose_endpoints(spec, {NAME: record}, used, data=data)
            if endpoint.ipv4 and self._leases.take(NAME, endpoint.ipv4):
                return endpoint
        raise NetworkError("cannot give a build step an address: none is free")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            async with machine_lock(self._paths, _LOCK):
                endpoint, self._endpoint = self._endpoint, None
                if endpoint is not None and endpoint.ipv4:
                    self._leases.release(NAME, endpoint.ipv4)
                    await run_sync(delete_bridge, endpoint.host_interface)
                os.close(self._users)
                await _remove_if_unused(self._paths, self._store, self._networks)


async def sweep(paths: Paths, store: Store) -> None:
    """Remove the build network if no living build uses it."""
    if store.network(NAME) is not None:
        async with machine_lock(paths, _LOCK):
            await _remove_if_unused(paths, store, Networks(paths, store))


async def _remove_if_unused(paths: Paths, store: Store, networks: Networks) -> None:
    users = _open_users(paths)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        if (record := store.network(NAME)) is not None:
            await networks.remove(record)
    finally:
        os.close(users)


def _open_users(paths: Paths) -> int:
    path = Path(paths.run) / "locks" / "build-network.users"
    make_private(path.parent)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
