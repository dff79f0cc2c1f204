"""Create, start, stop, kill, remove one container through its shim, and tell its phase.

Takes no lock and decides nothing: callers hold the container's lock and have written what is
wanted. The truth lies in the run directory (who lives) and in exit.json (how it ended).
"""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import anyio
import anyio.to_thread

from orchestra.engine.clock import Clock
from orchestra.engine.container.cgroups import cgroup_path, check_limits
from orchestra.engine.container.failures import PortError, StartError
from orchestra.engine.container.freezer import freeze, is_frozen
from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.container.phases import phase_of
from orchestra.engine.container.places import Places
from orchestra.engine.container.rootfs import remove_tree, write_container_files
from orchestra.engine.container.runtime import runtime_prefix
from orchestra.engine.container.signals import signal_number
from orchestra.engine.container.starting import Start, prepare_start
from orchestra.engine.container.storage import lift_limit
from orchestra.engine.container.userns import remap_of
from orchestra.engine.linux import process
from orchestra.engine.network.networks import Networks
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import ExitRecord, Identity
from orchestra.engine.state.records import ContainerRecord, Endpoint, ImageMount, VolumeUse
from orchestra.engine.state.store import Store
from orchestra.errors import ContainerError, NetworkError
from orchestra.oci.image import Image
from orchestra.planner.desired import ContainerSpec, PortSpec
from orchestra.planner.observed import LIVE, Phase
from orchestra.values import replace

_DEFAULT_SIGNAL = "SIGTERM"
_KILL_SECONDS = 20.0
_ADOPTED_TRIES, _ADOPTED_PAUSE_SECONDS = 100, 0.02


class Containers:
    """Containers of this machine; stateless, so any number of these may exist."""

    def __init__(self, paths: Paths, store: Store, clock: Clock) -> None:
        self._paths = paths
        self._store = store
        self._networks = Networks(paths, store)
        self._clock = clock

    async def create(  # noqa: PLR0913 - the parts of a record, all by name
        self,
        spec: ContainerSpec,
        image: Image,
        *,
        layers: Sequence[str],
        endpoints: Sequence[Endpoint] = (),
        mounts: Mapping[str, str] | None = None,
        volumes: Sequence[VolumeUse] = (),
        images: Sequence[ImageMount] = (),
        ports: Sequence[PortSpec] = (),
        one_off: bool = False,
        container_id: str | None = None,
    ) -> ContainerRecord:
        """Write a container down: record, writable layer, bundle, hosts files. Starts nothing.

        ``layers``: snapshot directories, uppermost first. ``mounts``: container path -> host
        directory of every volume, named and anonymous (binds and tmpfs come from ``spec``).
        ``ports``: spec.ports with every host port chosen. ``container_id``: 64 hex digits, where
        the caller needed them before.

        :raises ContainerError: when the user is unknown, an option is invalid, a bind is missing.
        """
        record = ContainerRecord(
            id=container_id or new_container_id(),
            spec=spec,
            image_id=image.id,
            layers=tuple(layers),
            created_at=self._clock.now(),
            endpoints=tuple(endpoints),
            volumes=tuple(volumes),
            images=tuple(images),
            ports=tuple(ports),
            one_off=one_off,
            labels=dict(spec.labels),
            remap=remap_of(spec, self._paths),
        )
        await anyio.to_thread.run_sync(self._write, record, image, dict(mounts or {}))
        return record

    def _write(self, record: ContainerRecord, image: Image, volumes: dict[str, str]) -> None:
        places = Places.of(self._paths, record)
        try:
            runtime_prefix(record.spec.runtime)
            check_limits(record.spec)
            write_container_files(
                places,
                record,
                image.config,
                volumes=volumes,
                cgroup_path=cgroup_path(record.spec, record.id),
                host=self._networks.host_resolv_conf(),
            )
            self._store.write_container(record)
        except BaseException:
            if record.spec.storage_bytes is not None:
                lift_limit(places.upper.parent)
            remove_tree(places.directory)
            raise

    async def start(self, record: ContainerRecord) -> ContainerRecord:
        """Start a created or exited container; return its record with ``started_at``, as written.

        Does nothing to one that runs, and resumes a paused one. ``join`` targets (network_mode
        service:, container:) must run already. Publishing by the firewall (Networks.publish) is
        the caller's.

        :raises NetworkError: when a published port cannot be had: who has it.
        :raises ContainerError: when it does not start (StartError has docker's exit code).
        """
        phase = self.phase(record)[0]
        if phase is Phase.PAUSED:
            await self.resume(record)
        if phase in LIVE:
            return record
        if phase is Phase.LOST:
            await self.clear_away(record)
        return await self.launch(await anyio.to_thread.run_sync(self.prepare, record))

    def prepare(self, record: ContainerRecord) -> Start:
        """Write down what the shim of a container's start is to do; blocks.

        :raises ContainerError: when something that it joins does not run, or the disk refuses.
        """
        return prepare_start(self._paths, self._store, self._networks, record)

    async def launch(self, start: Start) -> ContainerRecord:
        """Ask for a start that is prepared, and write it down; see :meth:`start`.

        :raises NetworkError: when a published port cannot be had: who has it.
        :raises ContainerError: when it does not start (StartError has docker's exit code).
        """
        record = start.record
        launcher = LauncherClient.of(self._paths, record.spec.project)
        try:
            await launcher.start(start.request, plain=record.id if start.plain else "")
        except PortError as err:
            raise await anyio.to_thread.run_sync(self._port_error, record, err) from err
        started = replace(record, started_at=self._clock.now())
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._store.write_container, started)
        return started

    def _port_error(self, record: ContainerRecord, err: PortError) -> NetworkError:
        """Say which container, who has the port, and where to change it."""
        spec = record.spec
        found = self._networks.port_taken(err.listen, but=record.id) if err.taken else err
        return NetworkError(
            f'cannot start container "{spec.name}": {found.message}',
            hint=f"change services.{spec.service}.ports or stop what has it"
            if err.taken
            else f"change services.{spec.service}.ports",
        )

    async def stop(
        self,
        record: ContainerRecord,
        *,
        timeout: timedelta | None = None,
        signal: str | None = None,
    ) -> ExitRecord | None:
        """Send the stop signal, then SIGKILL after the grace period; return how it ended.

        ``timeout`` None takes the container's own. Nothing happens to one that does not run.

        :raises ContainerError: when even SIGKILL does not end it.
        """
        places = Places.of(self._paths, record)
        phase = self.phase(record)[0]
        if phase not in LIVE:
            return places.exit()
        if places.shim() is None:
            await self.adopt(record)
        grace = record.spec.stop_grace_period if timeout is None else timeout
        _send(places.init(), signal_number(signal or self._stop_signal(record, places)))
        if phase is Phase.PAUSED:
            await self.resume(record)
        with anyio.move_on_after(max(0.0, grace.total_seconds())):
            return await self.wait(record)
        _send(places.init(), signals.SIGKILL)
        with anyio.move_on_after(_KILL_SECONDS):
            return await self.wait(record)
        raise ContainerError(
            f'cannot stop container "{record.spec.name}": it does not end after SIGKILL',
            hint="a process of it waits in the kernel, often for a disk or a network file system",
        )

    def _stop_signal(self, record: ContainerRecord, places: Places) -> str:
        if record.spec.stop_signal:
            return record.spec.stop_signal
        image = places.read_image()
        return (image.stop_signal if image else None) or _DEFAULT_SIGNAL

    async def kill(self, record: ContainerRecord, signal: str = "SIGKILL") -> None:
        """Send a signal, by name or number, to the container's init.

        :raises ContainerError: when it does not run, or there is no such signal.
        """
        number = signal_number(signal)
        places = Places.of(self._paths, record)
        init = places.init()
        if init is None:
            raise ContainerError(f'cannot kill container "{record.spec.name}": it does not run')
        _send(init, number)
        ends = {signals.SIGKILL, signal_number(self._stop_signal(record, places))}
        if number in ends and is_frozen(init):
            await self.resume(record)

    async def pause(self, record: ContainerRecord) -> None:
        """Stop every process of a running container where it is.

        :raises ContainerError: when it does not run, is paused already, or does not stop.
        """
        phase = self.phase(record)[0]
        if phase is not Phase.RUNNING:
            why = "it is paused already" if phase is Phase.PAUSED else "it does not run"
            raise ContainerError(f'cannot pause container "{record.spec.name}": {why}')
        await self._freeze(record, "pause", frozen=True)

    async def resume(self, record: ContainerRecord) -> None:
        """Let a paused container go on.

        :raises ContainerError: when it is not paused.
        """
        if self.phase(record)[0] is not Phase.PAUSED:
            raise ContainerError(f'cannot unpause container "{record.spec.name}": it is not paused')
        await self._freeze(record, "unpause", frozen=False)

    async def _freeze(self, record: ContainerRecord, verb: str, *, frozen: bool) -> None:
        init = Places.of(self._paths, record).init()
        if init is None:
            return
        try:
            await anyio.to_thread.run_sync(partial(freeze, init, frozen=frozen))
        except ContainerError as err:
            err.message = f'cannot {verb} container "{record.spec.name}": {err.message}'
            raise

    async def remove(self, record: ContainerRecord) -> None:
        """Remove a container that does not run: record, directories, leftovers of a lost one.

        :raises ContainerError: when it runs.
        """
        places = Places.of(self._paths, record)
        phase = self.phase(record)[0]
        if phase in LIVE:
            raise ContainerError(
                f'cannot remove container "{record.spec.name}": it runs', hint="stop it first"
            )
        if phase is Phase.LOST:
            await self.clear_away(record)
        await anyio.to_thread.run_sync(self._remove, record, places)

    async def clear_away(self, record: ContainerRecord) -> None:
        """End what may be left of a lost container: its processes are found by its cgroup.

        :raises ContainerError: when the launcher cannot do it.
        """
        if Places.of(self._paths, record).request.exists():
            await self.adopt(record)
            await self.wait(record)

    def _remove(self, record: ContainerRecord, places: Places) -> None:
        self._store.remove_container(record.spec.project, record.id)
        # under its name, those who wait for its lock make it anew
        removed = places.run_directory.with_name(f"{record.id}.removed")
        with suppress(FileNotFoundError):
            places.run_directory.rename(removed)
        remove_tree(removed)
        if record.spec.storage_bytes is not None:
            lift_limit(places.upper.parent)
        remove_tree(places.directory)

    async def adopt(self, record: ContainerRecord) -> None:
        """Give a container whose shim died a new one; a lost one is cleaned up and gets its exit.

        Does nothing where a shim lives: the launcher may have been faster.

        :raises ContainerError: when the launcher cannot do it.
        """
        places = Places.of(self._paths, record)
        launcher = await LauncherClient.ensure(self._paths, record.spec.project)
        if places.shim() is not None:
            return
        try:
            await launcher.adopt(str(places.request))
        except StartError:
            # Another has its lock, most likely, and says so in a moment.
            for _ in range(_ADOPTED_TRIES):
                if places.shim() is not None:
                    return
                await anyio.sleep(_ADOPTED_PAUSE_SECONDS)
            raise

    async def wait_or_adopt(self, record: ContainerRecord) -> bool:
        """Where no shim lives: tell whether the container has ended; if not, give it a new one.

        :raises ContainerError: when the launcher cannot do it.
        """
        places = Places.of(self._paths, record)
        if places.shim() is not None:
            return False
        if places.init() is None:
            return True
        await self.adopt(record)
        return False

    async def wait(self, record: ContainerRecord) -> ExitRecord | None:
        """Wait until a container has ended, and return how; at once for one that does not run."""
        places = Places.of(self._paths, record)
        while True:
            pidfd = self.shim_pidfd(record)
            if pidfd is None:
                if await self.wait_or_adopt(record):
                    return places.exit()
                continue
            try:
                await anyio.wait_readable(pidfd)
            finally:
                os.close(pidfd)

    def phase(self, record: ContainerRecord) -> tuple[Phase, ExitRecord | None]:
        """Tell a container's phase; with EXITED, how it ended."""
        return phase_of(self._paths, record)

    def shim_pidfd(self, record: ContainerRecord) -> int | None:
        """Open a pidfd of the container's shim (readable once it is gone); the caller closes it.

        None when no shim lives: look at ``phase`` then.
        """
        shim = Places.of(self._paths, record).shim()
        if shim is None:
            return None
        try:
            return process.pidfd_open(shim)
        except ProcessLookupError:
            return None


def new_container_id() -> str:
    """Return 64 random hex digits, the first twelve not all decimal.

    Those are the host name by default, and resolvers read a name of digits as an address.
    """
    while True:
        container_id = os.urandom(32).hex()
        if not container_id[:12].isdecimal():
            return container_id


def _send(who: Identity | None, number: int) -> None:
    """Send a signal to that very process; one that is gone needs none."""
    if who is None:
        return
    try:
        pidfd = process.pidfd_open(who)
    except ProcessLookupError:
        return
    try:
        signals.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
