"""Whether a network is there, for who only asks: without what it takes to make one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.engine.network import bridge, firewall
from orchestra.engine.network.naming import table_name

if TYPE_CHECKING:
    from orchestra.engine.paths import Paths
    from orchestra.engine.state.records import NetworkRecord


class Presence:
    """Looks for networks of this machine."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def present(self, record: NetworkRecord) -> bool:
        """Tell whether a network's bridge and its project's table are there."""
        return bridge.find_bridge(record.bridge) is not None and firewall.has_table(
            table_name(str(self._paths.data), record.project)
        )
