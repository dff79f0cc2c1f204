"""storage_opt: how much a container may write to its own layer, by a project quota.

Docker knows the limit for overlay2 on xfs mounted with pquota; ext4 has the same with the features
"quota" and "project" and the mount option prjquota. Elsewhere nothing can hold a layer to a size.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestra.engine.linux import quota
from orchestra.engine.linux.host import mounts
from orchestra.errors import ContainerError

_HIGHEST = (1 << 31) - 1
_HINT = (
    "keep Orchestra's data (ORCHESTRA_DATA) on xfs mounted with pquota, or on ext4 that was made "
    "with -O quota,project and is mounted with prjquota; or remove storage_opt"
)


def limit_layer(directory: Path, size: int, container_id: str) -> None:
    """Let an empty directory, with all that will be made in it, hold ``size`` bytes and no more.

    :raises ContainerError: when its file system has no such quotas.
    """
    with _opened(directory) as fd:
        if not quota.is_enforced(fd):
            raise ContainerError(
                f'cannot limit the size of a container: "{directory}" lies on '
                f"{_filesystem(directory)} without project quotas",
                hint=_HINT,
            )
        number = _free_number(fd, container_id)
        try:
            quota.set_limit(fd, number, size)
            quota.set_project(fd, number)
        except OSError as err:
            raise ContainerError(
                f'cannot limit the size of "{directory}": {err.strerror}', hint=_HINT
            ) from err


def lift_limit(directory: Path) -> None:
    """Give a layer's number back: the layer is about to be removed."""
    with suppress(OSError), _opened(directory) as fd:
        if number := quota.project_of(fd):
            quota.set_limit(fd, number, 0)


def _free_number(fd: int, container_id: str) -> int:
    """Return a number that no project of this file system has; the id says where to begin.

    :raises OSError: ENOSPC when there is none nearby.
    """
    first = int(container_id[:7], 16) + (1 << 28)
    for number in range(first, min(first + 1000, _HIGHEST)):
        if quota.is_free(fd, number):
            return number
    raise OSError(errno.ENOSPC, "no project is free")


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _filesystem(directory: Path) -> str:
    """Return the type of the file system that a directory lies on."""
    real = f"{directory.resolve()}/"
    above = [m for m in mounts() if real.startswith(f"{m.mountpoint.rstrip('/')}/")]
    return max(above, key=lambda m: len(m.mountpoint)).fstype if above else "a file system"
