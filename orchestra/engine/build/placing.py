"""What a step is known by, and a layer made of what a COPY or a WORKDIR puts on those below.

For the solver, and for who carries on where only files have changed (continuing.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.cache import cache_key
from orchestra.engine.build.ops import CopyPlan, do_copy, make_directory
from orchestra.engine.build.vertices import (
    CopyVertex,
    MakeDirectoryVertex,
    Vertex,
    definition,
)
from orchestra.engine.waiting import in_thread
from orchestra.oci.image import Layer

if TYPE_CHECKING:
    from orchestra.engine.build.environment import Layers
    from orchestra.engine.shim.protocol import Rootfs


def key_of(
    vertex: Vertex,
    below: Sequence[Layer],
    platform: str,
    ground: Mapping[str, object],
    digests: Sequence[str],
    scope: str = "",
) -> str:
    """Return the key of a step; ``ground`` is what the build as a whole adds to it."""
    free = isinstance(vertex, CopyVertex) and vertex.free
    return cache_key(
        [] if free else [layer.diff_id for layer in below],
        platform,
        {**definition(vertex), **ground},
        digests,
        scope,
    )


async def opened(layers: Layers, below: Sequence[Layer], scratch: Path) -> Rootfs:
    """Return a writable root over some layers, its own files below ``scratch``."""
    directories = await layers.directories(below)
    return await in_thread(layers.rootfs, directories, str(scratch))


async def place(
    vertex: CopyVertex | MakeDirectoryVertex,
    plan: CopyPlan | None,
    rootfs: Rootfs,
    epoch_ns: int | None,
) -> None:
    """Do what changes nothing but files: copy what was planned, or make a directory.

    :raises BuildError: when something is in the way, or a source changed since it was planned.
    """
    lower = tuple(rootfs["lower"])
    upper = rootfs["upper"]
    if not upper:  # a plain root is written to itself
        upper, lower = lower[0], lower[1:]
    if isinstance(vertex, CopyVertex):
        copy = plan or CopyPlan(pieces=(), digests=())
        work = partial(do_copy, linkable=bool(rootfs["upper"]))
        await in_thread(work, vertex, copy, upper, lower, epoch_ns)
    else:
        await in_thread(make_directory, vertex, upper, lower, epoch_ns)
