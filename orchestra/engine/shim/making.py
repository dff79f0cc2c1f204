"""The parts of a container that its shim's child makes, for a driver to put where they fit."""

from __future__ import annotations

from collections.abc import Callable

from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What is still to be made, in this order; each raises ShimFailure.

    ``enter`` leaves the host's mount namespace, where ``places`` then mounts the root and what lies
    beside it: a driver whose container has mounts of its own calls ``places`` alone, there.
    ``network`` moves this process into the container's network namespace, ``furnish`` fills it.
    """

    enter: Callable[[], None]
    places: Callable[[], None]
    network: Callable[[], None]
    furnish: Callable[[], None]

    def make_ready(self) -> None:
        """Make all but the filling of the network, here."""
        self.enter()
        self.places()
        self.network()


def nothing(_pid: int = 0) -> None:
    """Do nothing."""
