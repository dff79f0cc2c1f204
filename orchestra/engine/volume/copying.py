"""Copy a directory of an image into a fresh one: owners, modes, times, xattrs, devices.

Source and destination are held by descriptors and touched one component at a time, never through a
symlink. Set-user-id bits are kept, as data of the image.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from orchestra.engine.linux.pipes import write_all
from orchestra.engine.volume.layers import Directory

_CHUNK_BYTES = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_OUT = ("trusted.overlay.", "user.overlay.", "system.posix_acl", "security.selinux")


def copy_tree(source: Directory, destination: int) -> None:
    """Copy everything in ``source`` into the empty directory ``destination``, and its own looks.

    :raises OSError: when the disk refuses.
    """
    _copy_entries(source, destination)
    _copy_looks(source.top, destination, os.fstat(source.top))


def _copy_entries(source: Directory, destination: int) -> None:
    for name in source.names():
        found = source.find(name)
        if found is not None:
            layer, status = found
            if stat.S_ISDIR(status.st_mode):
                _copy_directory(source, name, destination)
            else:
                _copy_one(layer, name, status, destination)


def _copy_directory(source: Directory, name: str, destination: int) -> None:
    os.mkdir(name, 0o700, dir_fd=destination)
    inner = os.open(name, _DIRECTORY, dir_fd=destination)
    try:
        with source.enter(name) as below:
            _copy_entries(below, inner)
            _copy_looks(below.top, inner, os.fstat(below.top))
    finally:
        os.close(inner)


def _copy_one(layer: int, name: str, status: os.stat_result, destination: int) -> None:
    if stat.S_ISREG(status.st_mode):
        _copy_file(layer, name, destination)
        return
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=layer), name, dir_fd=destination)
    elif stat.S_ISSOCK(status.st_mode):
        return
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=destination)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=destination, follow_symlinks=False)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=destination, follow_symlinks=False)


def _copy_file(layer: int, name: str, destination: int) -> None:
    source = os.open(name, _READ, dir_fd=layer)
    try:
        target = os.open(name, _NEW, 0o600, dir_fd=destination)
        try:
            _copy_bytes(source, target)
            _copy_looks(source, target, os.fstat(source))
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_bytes(source: int, target: int) -> None:
    """Copy in the kernel where the file systems can (copy_file_range(2)), else through here."""
    try:
        while os.copy_file_range(source, target, _CHUNK_BYTES):
            pass
    except OSError as err:
        if err.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
            raise
        while data := os.read(source, _CHUNK_BYTES):
            write_all(target, data)


def _copy_looks(source: int, target: int, status: os.stat_result) -> None:
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if not name.startswith(_KEPT_OUT):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
