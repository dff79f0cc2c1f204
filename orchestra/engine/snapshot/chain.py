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
from contextlib import asynccontextmanager
from pathlib import Path

from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.filesystems import syncfs
from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.locking import locked, try_lock
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.snapshot.sizes import layer_bytes
from orchestra.engine.snapshot.snapshotter import Committed, LayerStore, Unpack
from orchestra.engine.waiting import in_thread, want_loop
from orchestra.errors import ImageError, StateError
from orchestra.oci.digest import Digest, hex_of
from orchestra.oci.image import Image, chain_ids

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class LayerDirectories:
    """What lies in ``paths.snapshots``."""

    def __init__(self, paths: Paths, store: LayerStore) -> None:
        self._store = store
        self._root = Path(paths.snapshots)

    def layers(self, image: Image) -> tuple[str, ...] | None:
        """Return an image's directories, uppermost first; None if any is missing."""
        directories = tuple(f"{self._root}/{hex_of(chain)}" for chain in reversed(image.chain_ids))
        if not all(map(os.path.isdir, directories)):
            return None
        return directories

    async def ensure(self, image: Image, unpack: Unpack | None) -> tuple[str, ...]:
        """Return an image's directories, uppermost first, making what is missing.

        :raises ImageError: when a layer cannot be had or is refused.
        """
        present = self.layers(image)
        if present is not None:
            return present
        want_loop()
        from orchestra.engine.snapshot.making import Job  # noqa: PLC0415 - not for what is there

        job = Job(self, image, unpack or self._store.unpack)
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
                await in_thread(layer_bytes, upper)  # notes it, for later
                await in_thread(self.sync)
                await in_thread(settle, Path(upper), place)
        return Committed(layer, str(place))

    async def remove(self, directory: str) -> None:
        """Remove one of the directories; first its name goes, so that none is ever half there."""
        place = Path(directory)
        gone = place.with_name(f".gone-{place.name}")
        await in_thread(_remove, place, gone)

    def all(self) -> tuple[str, ...]:
        """Return every directory, by name."""
        try:
            names = sorted(path.name for path in self._root.iterdir())
        except FileNotFoundError:
            return ()
        return tuple(str(self._root / name) for name in names if not name.startswith("."))

    async def remove_leftovers(self) -> None:
        """Remove what killed processes left half-made; what is being worked on stays."""
        await in_thread(_remove_leftovers, self._root)

    def place(self, chain: Digest) -> Path:
        """Return where the directory of a chain id is, or would be."""
        return self._root / hex_of(chain)

    @asynccontextmanager
    async def locked(self, chain: Digest) -> AsyncIterator[None]:
        """Hold the lock of a chain id, however long another takes to make it."""
        await in_thread(private, self._root)
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
            fd = os.open(self._root, DIRECTORY | os.O_CLOEXEC)
            try:
                syncfs(fd)
            finally:
                os.close(fd)
        except OSError as err:
            raise ImageError(
                f"cannot write a layer to the disk: {err.strerror}",
                hint="make room on the disk that holds the data directory",
            ) from err


def scratch_of(place: Path) -> Path:
    """Return where a layer is made before it has its place."""
    return place.with_name(f".new-{place.name}")


def settle(directory: Path, place: Path) -> None:
    """Rename what is on the disk: after a power cut it is all or none."""
    try:
        directory.rename(place)
    except OSError as err:
        raise ImageError(
            f'cannot keep the layer "{place.name[:12]}": {err.strerror}',
            hint="make room on the disk that holds the data directory",
        ) from err


def private(root: Path) -> None:
    """Make the directory of all snapshots, which nobody else may enter."""
    try:
        make_private(root)
    except OSError as err:
        raise unwritable(root, err) from err


def unwritable(root: Path, err: OSError) -> StateError:
    """Say that the directory of all snapshots cannot be written to."""
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


def copy_attributes(source: int, target: int) -> None:
    """Give ``target`` the owner, mode, times and ordinary extended attributes of ``source``."""
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, status.st_mode & 0o7777)
    for name in os.listxattr(source):
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux")):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
