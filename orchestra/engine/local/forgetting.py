"""What builds remember, forgotten: the steps of the cache, cache mounts, the history of builds.

To be called while nobody builds: under the lock of a sweep.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.cache import BuildCache
from orchestra.engine.build.history import BuildHistory
from orchestra.engine.image.prune import size_of
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.image.store import ImageStore
    from orchestra.engine.paths import Paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """The keys of steps and mounts that went, and the bytes of what no sweep counts."""

    steps: tuple[str, ...]
    bytes: int


def forget_builds(
    paths: Paths, images: ImageStore, *, everything: bool, until: datetime | None = None
) -> Forgotten:
    """Forget what builds remember: steps that gave no layer of an image, or ``everything``.

    ``until``: only what was written before. Blocks.
    """
    before = until.timestamp() if until else float("inf")
    steps = tuple(_forget_steps(paths, images, before, everything=everything))
    freed = 0
    for directory in _old_mounts(Path(paths.build_cache) / "mounts", before):
        freed += size_of(str(directory))
        remove_tree(str(directory))
    freed += BuildHistory(Path(paths.build_cache) / "history").clear(until)
    return Forgotten(steps=steps, bytes=freed)


def _forget_steps(
    paths: Paths, images: ImageStore, before: float, *, everything: bool
) -> Iterator[str]:
    cache = BuildCache(paths.build_cache / "records")
    held = {
        layer.descriptor.digest
        for line in images.list()
        for image in line.images
        for layer in image.layers
    }
    for key, record in list(cache.records()):
        layer = record.layer if record else None
        needed = layer is not None and layer.descriptor.digest in held
        if (everything or not needed) and cache.drop(key, before):
            yield key[:25]


def _old_mounts(parent: Path, before: float) -> list[Path]:
    """Return the cache mounts that no step has opened since."""
    found = []
    with suppress(FileNotFoundError):
        for path in sorted(parent.iterdir()):
            times = [entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(path)]
            if max(times, default=path.lstat().st_mtime) < before:
                found.append(path)
    return found
