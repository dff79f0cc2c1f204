"""Layers that are missing: unpacked several at a time, in the order that chain.py tells of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio

from orchestra.engine.linux.flags import Resolve
from orchestra.engine.linux.syscalls import openat2
from orchestra.engine.snapshot.chain import (
    DIRECTORY,
    LayerDirectories,
    copy_attributes,
    private,
    scratch_of,
    settle,
    unwritable,
)
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.snapshot.snapshotter import Unpack
from orchestra.engine.waiting import in_thread
from orchestra.errors import ImageError, OrchestraError
from orchestra.oci.image import Image, Layer

_PARALLEL_LAYERS = 3


class _Sync:
    """Writes through to the disk for all who ask while it is busy, with one call."""

    def __init__(self, directories: LayerDirectories) -> None:
        self._directories = directories
        self._begun = 0
        self._lock = anyio.Lock()

    async def wait(self) -> None:
        """Return when all that was written before this call is on the disk."""
        ours = self._begun + 1  # one that has begun already may have passed our files by
        async with self._lock:
            if self._begun < ours:
                self._begun += 1
                await in_thread(self._directories.sync)


class Job:
    """All layers of one image, several at a time; the first failure ends it and is what is told."""

    def __init__(self, directories: LayerDirectories, image: Image, unpack: Unpack) -> None:
        self._directories = directories
        self._image = image
        self._unpack = unpack
        self._slots = anyio.CapacityLimiter(_PARALLEL_LAYERS)
        self._sync = _Sync(directories)
        self._ready = [anyio.Event() for _ in image.layers]
        """The directory is all that it is to be, be it at its place or not yet."""
        self._done = [anyio.Event() for _ in image.layers]
        self._failures: list[OrchestraError] = []

    async def run(self) -> None:
        """Do it.

        :raises ImageError: when a layer cannot be had or is refused.
        """
        async with anyio.create_task_group() as group:
            for position in range(len(self._image.layers)):
                group.start_soon(self._one, position, group.cancel_scope)
        if self._failures:
            raise self._failures[0]

    async def _one(self, position: int, scope: anyio.CancelScope) -> None:
        chain = self._image.chain_ids[position]
        try:
            if not self._directories.is_there(chain):
                async with self._directories.locked(chain):
                    if not self._directories.is_there(chain):
                        await self._make(position)
        except OrchestraError as err:
            self._failures.append(err)
            scope.cancel()
            return
        self._ready[position].set()
        self._done[position].set()

    async def _make(self, position: int) -> None:
        """Unpack one layer, and give it its place once the one below has its own."""
        place = self._place(position)
        scratch = scratch_of(place)
        try:
            await in_thread(_fresh, scratch)
            implied = await self._in_slot(self._image.layers[position], str(scratch))
            if position:
                await self._ready[position - 1].wait()
                lower = [self._place(below) for below in reversed(range(position))]
                await in_thread(_inherit, scratch, implied, lower)
            self._ready[position].set()
            await self._sync.wait()
            if position:
                await self._done[position - 1].wait()
            await in_thread(settle, scratch, place)
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(remove_tree, str(scratch))

    def _place(self, position: int) -> Path:
        return self._directories.place(self._image.chain_ids[position])

    async def _in_slot(self, layer: Layer, directory: str) -> tuple[str, ...]:
        async with self._slots:
            return await self._unpack(layer, directory)


def _fresh(scratch: Path) -> None:
    """Make an empty directory where a killed process may have left a full one."""
    private(scratch.parent)
    try:
        remove_tree(str(scratch))
        scratch.mkdir()
        scratch.chmod(0o755)
    except OSError as err:
        raise unwritable(scratch.parent, err) from err


def _inherit(scratch: Path, implied: Sequence[str], lower: Sequence[Path]) -> None:
    """Give directories that the archive did not name the owner, mode and times they have below."""
    roots: list[int] = []
    try:
        roots.append(os.open(scratch, DIRECTORY | os.O_CLOEXEC))
        roots.extend(_open_lower(place) for place in lower)
        for path in implied:
            source = _first(roots[1:], path)
            if source is None:
                continue
            try:
                target = openat2(roots[0], path, DIRECTORY, resolve=Resolve.IN_ROOT)
                try:
                    copy_attributes(source, target)
                finally:
                    os.close(target)
            finally:
                os.close(source)
    except OSError as err:
        raise ImageError(f"cannot unpack a layer: {err}") from err
    finally:
        for fd in roots:
            os.close(fd)


def _open_lower(place: Path) -> int:
    """Open a layer that is ready: at its place, or about to be renamed to it."""
    for path in (place, scratch_of(place)):
        with suppress(FileNotFoundError):
            return os.open(path, DIRECTORY | os.O_CLOEXEC)
    return os.open(place, DIRECTORY | os.O_CLOEXEC)


def _first(roots: Sequence[int], path: str) -> int | None:
    for root in roots:
        try:
            return openat2(root, path, DIRECTORY, resolve=Resolve.BENEATH | Resolve.NO_SYMLINKS)
        except OSError:
            continue
    return None
