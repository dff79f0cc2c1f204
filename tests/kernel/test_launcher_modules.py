"""CVE-2019-14271: nothing of ours is loaded from a container's root, whatever lies there.

After the change of root the paths of our own modules and libraries lead into the image. There each
of them is a trap here, which leaves a mark when it is imported.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.cell import Cell, open_cell, spec

import orchestra
from orchestra.engine.container.healthcheck import probe
from orchestra.errors import ContainerError

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

TRAP = "open('/loaded', 'a').write(__name__ + ' ')\n"


def set_traps(layer: Path) -> int:
    """Put a trap at the place of every module that a process of ours could still import."""
    homes = [Path(path) for path in sys.path if path and Path(path).is_dir()]
    names = [Path(f"{name}.py") for name in sys.stdlib_module_names]
    traps = [home / name for home in homes for name in names]
    source = Path(orchestra.__file__).parent
    traps += source.rglob("*.py")
    for trap in traps:
        target = layer / str(trap).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(TRAP)
    return len(traps)


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        assert set_traps(opened.layer) > 1000
        yield opened


async def test_nothing_is_imported_from_an_image(cell: Cell) -> None:
    """On the ways that succeed and, where imports hide, on those that fail."""
    record = await cell.start(spec("/bin/sleep", "1000"))
    assert (await cell.exec(record, "/bin/true"))[0] == 0
    assert (await cell.exec(record, "/bin/true", user="alice", cwd="/tmp"))[0] == 0
    await probe(cell.paths, record, ("CMD", "true"), timedelta(seconds=60))
    for arguments, options in (
        (("nosuch",), {}),
        (("/etc/passwd",), {}),
        (("true",), {"cwd": "/no"}),
    ):
        with pytest.raises(ContainerError):
            await cell.exec(record, *arguments, **options)
    kinds = ({"init": True}, {"tty": True}, {"user": "alice", "read_only": True})
    running = [await cell.start(spec("/bin/sleep", "1000", **changes)) for changes in kinds]
    failing = [await cell.create(spec(argument)) for argument in ("nosuch", "/etc/passwd")]
    for each in failing:
        with pytest.raises(ContainerError):
            await cell.containers.start(each)
    for each in (record, *running, *failing):
        mark = cell.directory(each) / "rw/upper/loaded"
        assert not mark.exists(), mark.read_text()
