"""What a container's start leaves on disk for its shim, written in one go.

Blocks: run it in a thread.
"""

from __future__ import annotations

from typing import Literal

from orchestra.engine.container.cgroups import reserve_realtime
from orchestra.engine.container.places import Places
from orchestra.engine.container.requests import Neighbours, shim_request
from orchestra.engine.container.runtime import runtime_prefix
from orchestra.engine.network.networks import Networks
from orchestra.engine.paths import Paths
from orchestra.engine.shim.identity import write_json
from orchestra.engine.shim.request import is_plain
from orchestra.engine.state.records import ContainerRecord
from orchestra.engine.state.store import Store
from orchestra.errors import ContainerError
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start that only the launcher has to be asked for.

    ``record`` has the volumes that it borrows; ``request`` is the path of the shim's document;
    ``plain``: whether its shim is a plain one (is_plain).
    """

    record: ContainerRecord
    request: str
    plain: bool


def prepare_start(
    paths: Paths,
    store: Store,
    networks: Networks,
    record: ContainerRecord,
    *,
    output: Literal["log", "inherit"] = "log",
) -> Start:
    """Write the request of a start down.

    :raises ContainerError: when something that it joins does not run, or the disk refuses.
    """
    places = Places.of(paths, record)
    neighbours = Neighbours(paths, store)
    record = neighbours.complete(record, places)
    reserve_realtime(record, lambda: store.containers(record.spec.project))
    network = neighbours.network(record, networks.interfaces(record), networks.listens(record))
    request = shim_request(
        record, places, network=network, runtime=runtime_prefix(record.spec.runtime)
    )
    request["output"] = output
    path = str(places.request)
    try:
        write_json(path, request)
    except OSError as err:
        raise ContainerError(
            f'cannot start container "{record.spec.name}": {err.strerror} ("{err.filename}")'
        ) from err
    return Start(record=record, request=path, plain=is_plain(request))
