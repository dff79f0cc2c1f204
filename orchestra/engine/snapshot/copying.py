"""Snapshots without overlayfs: a root is a plain copy of all layers, laid over one another.

Layers are kept in the same form as for overlayfs, so that a store serves both. Where the file
system can share blocks (btrfs, xfs), copying a file costs next to nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.chain import LayerDirectories, copy_attributes
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.snapshot.snapshotter import Committed, LayerStore, Unpack
from orchestra.errors import HostError, ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import Image

if TYPE_CHECKING:
    from orchestra.engine.shim.protocol import Rootfs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


class CopyingSnapshotter:
    """Implements Snapshotter with copies."""

    def __init__(self, paths: Paths, store: LayerStore) -> None:
        self._directories = LayerDirectories(paths, store)

    def place(self, chain: Digest) -> str:
        """Return the directory that the snapshot of a chain id has, or would have."""
        return str(self._directories.place(chain))

    def layers(self, image: Image) -> tuple[str, ...] | None:
        """Return the snapshot directories of an image, uppermost first; None if any is missing."""
        return self._directories.layers(image)

    async def ensure_layers(self, image: Image, *, unpack: Unpack | None = None) -> tuple[str, ...]:
        """Return the snapshot directories of an image, uppermost first, making what is missing.

        :raises ImageError: when a layer cannot be had or is refused.
        """
        return await self._directories.ensure(image, unpack)

    def rootfs(self, layers: Sequence[str], directory: str) -> Rootfs:
        """Copy the layers to ``directory/root``, whole or not at all. Blocking, and slow.

        :raises ImageError: when the disk refuses.
        """
        root, scratch = Path(directory) / "root", Path(directory) / ".root"
        try:
            if not root.is_dir():
                remove_tree(str(scratch))
                scratch.mkdir(parents=True)
                scratch.chmod(0o755)
                for layer in reversed(layers):
                    _lay_over(layer, str(scratch))
                scratch.rename(root)
        except OSError as err:
            raise ImageError(f'cannot make a root in "{directory}": {err}') from err
        return {"lower": [str(root)], "upper": "", "work": ""}

    async def commit_layer(
        self, rootfs: Rootfs, *, parents: Sequence[Digest], mtime_max: int | None = None
    ) -> Committed:
        """Refuse: what was changed in a plain copy is not kept apart.

        :raises HostError: unless the root is one of an overlay after all.
        """
        if not rootfs["upper"]:
            raise HostError(
                "cannot build an image: this host has no overlayfs",
                hint="build on a host with overlayfs, and pull the image here",
            )
        return await self._directories.commit(rootfs["upper"], parents, mtime_max)

    async def remove(self, directory: str) -> None:
        """Remove a snapshot that nothing uses."""
        await self._directories.remove(directory)

    async def remove_leftovers(self) -> None:
        """Remove what killed processes left half-made."""
        await self._directories.remove_leftovers()

    def all(self) -> tuple[str, ...]:
        """Return every snapshot directory, by name."""
        return self._directories.all()


def _lay_over(layer: str, root: str) -> None:
    source, target = os.open(layer, _DIRECTORY), os.open(root, _DIRECTORY)
    try:
        _Copy().directory(source, target)
    finally:
        os.close(source)
        os.close(target)


class _Copy:
    """Lay one layer over a directory: whiteouts remove, opaque directories replace."""

    def __init__(self) -> None:
        self._links: dict[int, tuple[int, str]] = {}

    def directory(self, source: int, target: int) -> None:
        for name in sorted(os.listdir(source)):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._subdirectory(source, target, name)
                continue
            _clear(target, name)
            if not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
                self._other(source, target, name, status)
        copy_attributes(source, target)

    def _subdirectory(self, source: int, target: int, name: str) -> None:
        inner = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            if _is_opaque(inner) or not _is_directory(target, name):
                _clear(target, name)
                os.mkdir(name, dir_fd=target)
            outer = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.directory(inner, outer)
            finally:
                os.close(outer)
        finally:
            os.close(inner)

    def _other(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1 and self._linked(target, name, status):
                return
            _copy_file(source, target, name)
            if status.st_nlink > 1:
                path = str(Path(f"/proc/self/fd/{target}").readlink() / name)
                self._links[status.st_ino] = (status.st_dev, path)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
            Path(f"/proc/self/fd/{target}/{name}").chmod(stat.S_IMODE(status.st_mode))
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)

    def _linked(self, target: int, name: str, status: os.stat_result) -> bool:
        known = self._links.get(status.st_ino)
        if known is None or known[0] != status.st_dev:
            return False
        os.link(known[1], name, dst_dir_fd=target, follow_symlinks=False)
        return True


def _copy_file(source: int, target: int, name: str) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writing = os.open(name, flags, 0o600, dir_fd=target)
        try:
            while os.copy_file_range(reading, writing, 1 << 30):
                continue
            copy_attributes(reading, writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _clear(directory: int, name: str) -> None:
    with suppress(FileNotFoundError):
        if _is_directory(directory, name):
            remove_tree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)


def _is_directory(directory: int, name: str) -> bool:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode)


def _is_opaque(fd: int) -> bool:
    return any(name in _OPAQUE and os.getxattr(fd, name) == b"y" for name in os.listxattr(fd))
