"""Create, start, stop, kill, remove one container through its shim, and tell its phase.

Takes no lock and decides nothing: callers hold the container's lock and have written what is
wanted. The truth lies in the run directory (who lives) and in exit.json (how it ended).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from orchestra.engine.clock import Clock
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import ExitRecord
from orchestra.engine.state.records import ContainerRecord, Endpoint, VolumeUse
from orchestra.engine.state.store import Store
from orchestra.oci.image import Image
from orchestra.planner.desired import ContainerSpec, PortSpec
from orchestra.planner.observed import Phase


class Containers:
    """Containers of this machine; stateless, so any number of these may exist."""

    def __init__(self, paths: Paths, store: Store, clock: Clock) -> None:
        self._paths = paths
        self._store = store
        self._clock = clock

    async def create(
        self,
        spec: ContainerSpec,
        image: Image,
        *,
        layers: Sequence[str],
        endpoints: Sequence[Endpoint] = (),
        mounts: Mapping[str, str] | None = None,
        volumes: Sequence[VolumeUse] = (),
        ports: Sequence[PortSpec] = (),
        one_off: bool = False,
    ) -> ContainerRecord:
        """Write a container down: record, writable layer, bundle, hosts files. Starts nothing.

        ``layers``: snapshot directories, uppermost first. ``mounts``: container path -> host
        directory of every volume, named and anonymous (binds and tmpfs come from ``spec``).
        ``ports``: spec.ports with every host port chosen.

        :raises ContainerError: when the user is unknown, an option is invalid, a bind is missing.
        """
        raise NotImplementedError

    async def start(self, record: ContainerRecord) -> ContainerRecord:
        """Start a created or exited container; return its record with ``started_at``, as written.

        Does nothing to one that runs. ``join`` targets (network_mode service:, container:) must
        run already.

        :raises NetworkError: when a published port is taken.
        :raises ContainerError: when it does not start.
        """
        raise NotImplementedError

    async def stop(
        self,
        record: ContainerRecord,
        *,
        timeout: timedelta | None = None,
        signal: str | None = None,
    ) -> ExitRecord | None:
        """Send the stop signal, then SIGKILL after the grace period; return how it ended.

        ``timeout`` None takes the container's own. Nothing happens to one that does not run.
        """
        raise NotImplementedError

    async def kill(self, record: ContainerRecord, signal: str = "SIGKILL") -> None:
        """Send a signal, by name or number, to the container's init.

        :raises ContainerError: when it does not run, or there is no such signal.
        """
        raise NotImplementedError

    async def remove(self, record: ContainerRecord) -> None:
        """Remove a container that does not run: record, directories, leftovers of a lost one.

        :raises ContainerError: when it runs.
        """
        raise NotImplementedError

    async def adopt(self, record: ContainerRecord) -> None:
        """Give a container whose shim died a new one; a lost one is cleaned up and gets its exit.

        :raises ContainerError: when the launcher cannot do it.
        """
        raise NotImplementedError

    async def wait(self, record: ContainerRecord) -> ExitRecord | None:
        """Wait until a container has ended, and return how; at once for one that does not run."""
        raise NotImplementedError

    def phase(self, record: ContainerRecord) -> tuple[Phase, ExitRecord | None]:
        """Tell a container's phase; with EXITED, how it ended. Reads three small files."""
        raise NotImplementedError

    def shim_pidfd(self, record: ContainerRecord) -> int | None:
        """Open a pidfd of the container's shim (readable once it is gone); the caller closes it.

        None when no shim lives: look at ``phase`` then.
        """
        raise NotImplementedError
