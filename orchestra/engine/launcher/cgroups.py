"""The cgroup of a launcher's project: what is removed of it when nobody is in there any more."""

from __future__ import annotations

from contextlib import suppress

from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.cgroup_files import ROOT_NAME
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.shim.ahead import CGROUP_PREFIX


def sweep(directory: str) -> None:
    """Remove what was made ahead by those who were killed before they could.

    ``directory``: the launcher's, which is called as the project is.
    """
    with suppress(RuntimeFailure, OSError):
        _of(directory).sweep(CGROUP_PREFIX)


def prune(directory: str) -> None:
    """Remove the project's cgroup where nothing is left in it."""
    sweep(directory)
    with suppress(RuntimeFailure, OSError):
        _of(directory).prune()


def _of(directory: str) -> Cgroup:
    return Cgroup.at(f"{ROOT_NAME}/{directory.rpartition('/')[2]}")
