"""A container that exists, as a verb finds it: its record, its status, its cgroup."""

from __future__ import annotations

from orchestra.engine.linux import process as processes
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.config import load_config
from orchestra.engine.runtime.create import cgroup_of
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.state import Record, StateDirectory
from orchestra.oci.runtime import RuntimeConfig, Status
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a state root."""

    directory: StateDirectory
    record: Record

    @classmethod
    def find(cls, state_root: str, container_id: str) -> Container:
        """Find it.

        :raises RuntimeFailure: when there is no such container.
        """
        directory = StateDirectory(state_root, container_id)
        return cls(directory, directory.read())

    @property
    def pid(self) -> int:
        """Return the init's pid."""
        return self.record["init"]["pid"]

    def config(self) -> RuntimeConfig:
        """Return its config.json, as it was when the container was made.

        :raises RuntimeFailure: when it is gone.
        """
        return load_config(self.directory.config_directory(self.record["bundle"]))

    def cgroup(self) -> Cgroup:
        """Return its cgroup.

        :raises RuntimeFailure: when the bundle is gone.
        """
        return cgroup_of(self.config(), self.directory.container_id)

    def status(self) -> Status:
        """Tell created, running, paused or stopped."""
        status = self.directory.status(self.record)
        if status == "stopped":
            return status
        try:
            return "paused" if self.cgroup().is_frozen() else status
        except RuntimeFailure:  # A bundle that is gone says nothing of the process.
            return status

    def living(self) -> Status:
        """Return the status of a container that has not ended.

        :raises RuntimeFailure: when it has.
        """
        status = self.status()
        if status == "stopped":
            raise RuntimeFailure("container not running")
        return status

    def pidfd(self) -> int:
        """Return a pidfd of its init.

        :raises RuntimeFailure: when that has ended.
        """
        try:
            return processes.pidfd_open(self.record["init"])
        except ProcessLookupError as err:
            raise RuntimeFailure("container not running", errno=err.errno or 0) from err
