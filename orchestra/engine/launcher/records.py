"""What the launcher leaves in a container's directories: ends that it saw."""

from __future__ import annotations

import os
from contextlib import suppress

from orchestra.engine.linux import process
from orchestra.engine.shim import identity
from orchestra.engine.shim.protocol import INIT_FILE, STATUS_FILE


class Orphans:
    """Inits that came to the launcher when their shims were killed.

    It reaps them, and before Linux 6.15 nobody else can tell how they ended: it leaves word for
    the shim that adopted the container.
    """

    def __init__(self) -> None:
        self._places: dict[int, str] = {}

    def expect(self, run_directory: str) -> None:
        """Take note of a container that lost its shim."""
        who = identity.read_identity(f"{run_directory}/{INIT_FILE}")
        if who is not None and process.parent_of(who) == os.getpid():
            self._places[who["pid"]] = run_directory

    def ended(self, pid: int, status: int) -> None:
        """Leave word of how a child ended, if it is such a one."""
        directory = self._places.pop(pid, "")
        if directory:
            with suppress(OSError):
                identity.write_json(f"{directory}/{STATUS_FILE}", {"pid": pid, "status": status})
