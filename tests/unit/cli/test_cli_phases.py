"""Who only looks at containers must see the phases that those who change them see."""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from orchestra.engine.clock import SystemClock
from orchestra.engine.container.lifecycle import Containers
from orchestra.engine.container.phases import PhaseReader
from orchestra.engine.container.places import Places
from orchestra.engine.paths import paths_of
from orchestra.engine.shim.identity import write_identity
from orchestra.engine.shim.protocol import EXIT_FILE, INIT_FILE, SHIM_FILE
from orchestra.engine.state.records import ContainerRecord
from orchestra.engine.state.store import Store
from orchestra.planner.desired import ContainerSpec
from orchestra.planner.observed import Phase

_NOW = datetime(2026, 1, 2, tzinfo=UTC)
_GONE = {"pid": 2**22 - 1, "start_time": 1, "boot_id": "another"}
_LIVES, _DEAD, _ABSENT = "lives", "dead", "absent"


def record(started_at: datetime | None) -> ContainerRecord:
    spec = ContainerSpec(
        project="shop", service="web", number=1, name="shop-web-1", image="i", config_hash=""
    )
    return ContainerRecord(
        id="f" * 64, spec=spec, image_id="", layers=(), created_at=_NOW, started_at=started_at
    )


def write(path: Path, state: str) -> None:
    if state == _LIVES:
        write_identity(str(path), os.getpid())
    elif state == _DEAD:
        path.write_text(json.dumps(_GONE))


def test_a_reader_tells_every_phase_as_the_lifecycle_does(tmp_path: Path) -> None:
    seen = set()
    states = (_LIVES, _DEAD, _ABSENT)
    for n, (shim, init, ended, started) in enumerate(
        itertools.product(states, states, (True, False), (None, _NOW))
    ):
        base = str(tmp_path / str(n))
        paths = paths_of({"ORCHESTRA_DATA": f"{base}/data", "ORCHESTRA_RUN": f"{base}/run"}, uid=0)
        of = record(started)
        places = Places.of(paths, of)
        places.directory.mkdir(parents=True)
        places.run_directory.mkdir(parents=True)
        write(places.run_directory / SHIM_FILE, shim)
        write(places.run_directory / INIT_FILE, init)
        if ended:
            document = {"code": 3, "finished_at": _NOW.isoformat()}
            (places.directory / EXIT_FILE).write_text(json.dumps(document))
        expected = Containers(paths, Store(paths), SystemClock()).phase(of)
        assert PhaseReader(paths).phase(of) == expected, (shim, init, ended, started)
        seen.add(expected[0])
    assert seen == {Phase.RUNNING, Phase.EXITED, Phase.LOST, Phase.CREATED}
