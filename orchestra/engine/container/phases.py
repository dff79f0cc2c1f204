"""Which phase a container is in, told from a few small files: cheap, and without an event loop."""

from __future__ import annotations

from orchestra.engine.container.freezer import is_frozen
from orchestra.engine.container.places import Places
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import ContainerRecord
from orchestra.planner.observed import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestra.engine.shim.protocol import ExitRecord


def phase_of(paths: Paths, record: ContainerRecord) -> tuple[Phase, ExitRecord | None]:
    """Tell a container's phase; with EXITED, how it ended.

    The order matters: a shim writes exit.json before it goes, so whoever finds no shim and no init
    finds the exit of this very run.
    """
    places = Places.of(paths, record)
    shim, init = places.shim(), places.init()
    if init is not None:
        return Phase.PAUSED if is_frozen(init) else Phase.RUNNING, None
    if shim is not None and places.started():
        return Phase.RUNNING, None
    ended = places.exit()
    if ended is not None:
        return Phase.EXITED, ended
    if shim is None and (record.started_at is not None or places.ever_ran()):
        return Phase.LOST, None
    return Phase.CREATED, None


class PhaseReader:
    """Tells phases as ``Containers`` does, without what it takes to change them."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def phase(self, record: ContainerRecord) -> tuple[Phase, ExitRecord | None]:
        """Tell a container's phase, as ``Containers.phase``."""
        return phase_of(self._paths, record)
