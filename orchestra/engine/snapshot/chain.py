"""The directories of unpacked layers, one per chain id; each made once, by whoever comes first.

A layer is unpacked into a scratch directory beside its place, then takes on from the layers below
what its archive only implied, is written through to the disk (with all that are ready at the same
time), and renamed once the one below has been. The lock of a chain id is held meanwhile, so that
parallel pulls, in this process or another, share the work. Locks are only ever waited for while
holding those of other layers whose own end depends on lower layers alone: no two pulls can wait
for each other.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.flags import Resolve
from orchestra.engine.linux.syscalls import openat2, syncfs
from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.locking import locked, try_lock
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.snapshot.sizes import layer_bytes
from orchestra.engine.snapshot.snapshotter import Committed, LayerStore, Unpack
from orchestra.errors import ImageError, OrchestraError, StateError
from orchestra.oci.digest import Digest, hex_of
from orchestra.oci.image import Image, Layer, chain_ids

_PARALLEL_LAYERS = 3
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class LayerDirectories:
    """What lies in ``paths.snapshots``."""

    def __init__(self, paths: Paths, store: LayerStore) -> None:
        self._store = store
        self._root = Path(paths.snapshots)

    def layers(self, image: Image) -> tuple[str, ...] | None:
        """Return an image's directories, uppermost first; None if any is missing."""
        directories = [self.place(chain) for chain in reversed(image.chain_ids)]
        if not all(directory.is_dir() for directory in directories):
            return None
        return tuple(str(directory) for directory in directories)

    async def ensure(self, image: Image, unpack: Unpack | None) -> tuple[str, ...]:
        """Return an image's directories, uppermost first, making what is missing.

        :raises ImageError: when a layer cannot be had or is refused.
        """
        present = self.layers(image)
        if present is not None:
            return present
        job = _Job(self, image, unpack or self._store.unpack)
        await job.run()
        return tuple(str(self.place(chain)) for chain in reversed(image.chain_ids))

    async def commit(
        self, upper: str, parents: Sequence[Digest], mtime_max: int | None
    ) -> Committed:
        """Make a blob of an upper directory, and give the directory its place by renaming it.

        :raises ImageError: when it holds what no layer can say, or lies on another file system.
        """
        layer = await self._store.pack(upper, mtime_max=mtime_max)
        chain = chain_ids([*parents, layer.diff_id])[-1]
        place = self.place(chain)
        async with self.locked(chain):
            if not place.is_dir():
                await anyio.to_thread.run_sync(layer_bytes, upper)  # notes it, for later
                await anyio.to_thread.run_sync(self.sync)
                await anyio.to_thread.run_sync(_settle, Path(upper), place)
        return Committed(layer, str(place))

    async def remove(self, directory: str) -> None:
        """Remove one of the directories; first its name goes, so that none is ever half there."""
        place = Path(directory)
        gone = place.with_name(f".gone-{place.name}")
        await anyio.to_thread.run_sync(_remove, place, gone)

    def all(self) -> tuple[str, ...]:
        """Return every directory, by name."""
        try:
            names = sorted(path.name for path in self._root.iterdir())
        except FileNotFoundError:
            return ()
        return tuple(str(self._root / name) for name in names if not name.startswith("."))

    async def remove_leftovers(self) -> None:
        """Remove what killed processes left half-made; what is being worked on stays."""
        await anyio.to_thread.run_sync(_remove_leftovers, self._root)

    def place(self, chain: Digest) -> Path:
        """Return where the directory of a chain id is, or would be."""
        return self._root / hex_of(chain)

    @asynccontextmanager
    async def locked(self, chain: Digest) -> AsyncIterator[None]:
        """Hold the lock of a chain id, however long another takes to make it."""
        await anyio.to_thread.run_sync(_private, self._root)
        async with locked(self._root / f".lock-{hex_of(chain)}"):
            yield

    def is_there(self, chain: Digest) -> bool:
        """Tell whether a layer is unpacked."""
        return self.place(chain).is_dir()

    def sync(self) -> None:
        """Write the file system through to the disk.

        One call and not an fsync per file: tens of thousands of those would take minutes.

        :raises ImageError: when the disk refuses.
        """
        try:
            fd = os.open(self._root, _DIRECTORY | os.O_CLOEXEC)
            try:
                syncfs(fd)
            finally:
                os.close(fd)
        except OSError as err:
            raise ImageError(
                f"cannot write a layer to the disk: {err.strerror}",
                hint="make room on the disk that holds the data directory",
            ) from err


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
                await anyio.to_thread.run_sync(self._directories.sync)


class _Job:
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
        scratch = _scratch(place)
        try:
            await anyio.to_thread.run_sync(_fresh, scratch)
            implied = await self._in_slot(self._image.layers[position], str(scratch))
            if position:
                await self._ready[position - 1].wait()
                lower = [self._place(below) for below in reversed(range(position))]
                await anyio.to_thread.run_sync(_inherit, scratch, implied, lower)
            self._ready[position].set()
            await self._sync.wait()
            if position:
                await self._done[position - 1].wait()
            await anyio.to_thread.run_sync(_settle, scratch, place)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(remove_tree, str(scratch))

    def _place(self, position: int) -> Path:
        return self._directories.place(self._image.chain_ids[position])

    async def _in_slot(self, layer: Layer, directory: str) -> tuple[str, ...]:
        async with self._slots:
            return await self._unpack(layer, directory)


def _scratch(place: Path) -> Path:
    """Return where a layer is made before it has its place."""
    return place.with_name(f".new-{place.name}")


def _settle(directory: Path, place: Path) -> None:
    """Rename what is on the disk: after a power cut it is all or none."""
    try:
        directory.rename(place)
    except OSError as err:
        raise ImageError(
            f'cannot keep the layer "{place.name[:12]}": {err.strerror}',
            hint="make room on the disk that holds the data directory",
        ) from err


def _fresh(scratch: Path) -> None:
    """Make an empty directory where a killed process may have left a full one."""
    _private(scratch.parent)
    try:
        remove_tree(str(scratch))
        scratch.mkdir()
        scratch.chmod(0o755)
    except OSError as err:
        raise _unwritable(scratch.parent, err) from err


def _private(root: Path) -> None:
    """Make the directory of all snapshots, which nobody else may enter."""
    try:
        make_private(root)
    except OSError as err:
        raise _unwritable(root, err) from err


def _unwritable(root: Path, err: OSError) -> StateError:
    return StateError(
        f'cannot write to "{root}": {err.strerror}',
        hint="run the command as root, or set ORCHESTRA_DATA to a directory of yours",
    )


def _remove(place: Path, gone: Path) -> None:
    try:
        remove_tree(str(gone))
        place.rename(gone)
        remove_tree(str(gone))
    except FileNotFoundError:
        return
    except OSError as err:
        raise ImageError(f'cannot remove the layer "{place.name[:12]}": {err}') from err


def _remove_leftovers(root: Path) -> None:
    if not root.is_dir():
        return
    names = {path.name.rpartition("-")[2] for path in root.iterdir() if path.name.startswith(".")}
    for name in sorted(names):
        lock = root / f".lock-{name}"
        fd = try_lock(lock)
        if fd is None:
            continue
        try:
            for kind in (".new-", ".gone-"):
                remove_tree(str(root / f"{kind}{name}"))
        finally:
            lock.unlink(missing_ok=True)
            os.close(fd)


def _inherit(scratch: Path, implied: Sequence[str], lower: Sequence[Path]) -> None:
    """Give directories that the archive did not name the owner, mode and times they have below."""
    roots: list[int] = []
    try:
        roots.append(os.open(scratch, _DIRECTORY | os.O_CLOEXEC))
        roots.extend(_open_lower(place) for place in lower)
        for path in implied:
            source = _first(roots[1:], path)
            if source is None:
                continue
            try:
                target = openat2(roots[0], path, _DIRECTORY, resolve=Resolve.IN_ROOT)
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
    for path in (place, _scratch(place)):
        with suppress(FileNotFoundError):
            return os.open(path, _DIRECTORY | os.O_CLOEXEC)
    return os.open(place, _DIRECTORY | os.O_CLOEXEC)


def _first(roots: Sequence[int], path: str) -> int | None:
    for root in roots:
        try:
            return openat2(root, path, _DIRECTORY, resolve=Resolve.BENEATH | Resolve.NO_SYMLINKS)
        except OSError:
            continue
    return None


def copy_attributes(source: int, target: int) -> None:
    """Give ``target`` the owner, mode, times and ordinary extended attributes of ``source``."""
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, status.st_mode & 0o7777)
    for name in os.listxattr(source):
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux")):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
