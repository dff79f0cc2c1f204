"""ADD of a local archive: a tar, plain or compressed, unpacked into the target.

Every member's place is found inside the merged root, as for COPY; ``..`` is refused. Compressed by
gzip, bzip2 or xz, or by zstandard.
"""

from __future__ import annotations

import os
import stat
import sys
import tarfile
from contextlib import suppress
from typing import IO

from orchestra.engine.build.copying import CAPABILITY, copy_content
from orchestra.engine.build.target import Target, present, remove, set_metadata
from orchestra.engine.linux.pipes import write_all
from orchestra.errors import BuildError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MEMBERS_MAX = 2_000_000
_BYTES_MAX = 64 << 30
_CAPABILITY = f"SCHILY.xattr.{CAPABILITY}"
_CHUNK = 1 << 20


def open_archive(file: IO[bytes]) -> tarfile.TarFile | None:
    """Open a file as a tar; None when it is none, or has no member."""
    magic = file.read(4)
    file.seek(0)
    try:
        if magic == _ZSTD_MAGIC:
            return tarfile.open(fileobj=zstd.ZstdFile(file), mode="r:")
        archive = tarfile.open(fileobj=file, mode="r:*")  # noqa: SIM115
    except (tarfile.TarError, EOFError, OSError, zstd.ZstdError):
        return None
    if archive.next() is None:
        archive.close()
        return None
    return archive


def unpack_archive(archive: tarfile.TarFile, target: Target, destination: str) -> None:
    """Unpack every member below ``destination``, which is made when missing.

    :raises BuildError: when a member leads out of the root, or there are too many.
    """
    unpacker = _Unpacker(target, destination)
    total = 0
    try:
        for count, member in enumerate(archive):
            total += max(member.size, 0)
            if count >= _MEMBERS_MAX or total > _BYTES_MAX:
                raise BuildError("cannot unpack the archive: it is too large")
            unpacker.member(archive, member)
        unpacker.finish()
    except (tarfile.TarError, EOFError, zstd.ZstdError) as error:
        raise BuildError(f"cannot unpack the archive: {error}") from error
    except OSError as error:
        raise BuildError(f"cannot unpack the archive: {error.strerror or error}") from error


def _set_attributes(fd: int, member: tarfile.TarInfo) -> None:
    """Set the capabilities of a file: of its extended attributes BuildKit takes no other."""
    value = member.pax_headers.get(_CAPABILITY)
    if value is not None:
        os.setxattr(fd, CAPABILITY, value.encode("utf-8", "surrogateescape"))


class _Unpacker:
    def __init__(self, target: Target, destination: str) -> None:
        self.target = target
        self.owner = target.rules.owner
        located = target.locate(destination)
        self.base = located.parts
        os.close(target.open(self.base, owner=self.owner or (0, 0)))
        self.times: dict[tuple[str, ...], int] = {}

    def _parts(self, name: str) -> tuple[str, ...]:
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if ".." in parts:
            raise BuildError(f'cannot unpack the archive: "{name[:200]}" leads out of it')
        return parts

    def _parent(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        return self.target.locate("/".join((*self.base, *parts[:-1]))).parts

    def member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = self._parts(member.name)
        if not parts:
            return
        parent = self._parent(parts)
        name = parts[-1]
        fd = self.target.open(parent, owner=self.owner or (0, 0))
        self.target.changed(parent)
        below = self.target.below(parent)
        try:
            known = present(name, fd, below)
            if known is not None and not (known.is_directory and member.isdir()):
                remove(name, fd)
            self._make(archive, member, name, fd, parent)
        finally:
            os.close(fd)
            if below is not None:
                below.close()

    def _make(
        self,
        archive: tarfile.TarFile,
        member: tarfile.TarInfo,
        name: str,
        fd: int,
        parent: tuple[str, ...],
    ) -> None:
        if member.isdir():
            self._directory(member, name, fd, (*parent, name))
        elif member.isfile():
            self._file(archive, member, name, fd)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=fd)
            uid, gid = self._owner(member)
            os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
            os.utime(name, ns=self._time(member), dir_fd=fd, follow_symlinks=False)
        elif member.islnk():
            self._link(member, name, fd)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=fd)
            self._finish_node(member, name, fd)
        else:
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=fd)
            self._finish_node(member, name, fd)

    def _finish_node(self, member: tarfile.TarInfo, name: str, fd: int) -> None:
        """Give a fifo or a device its owner, mode and time."""
        uid, gid = self._owner(member)
        os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
        os.chmod(name, self._mode(member, 0), dir_fd=fd)
        os.utime(name, ns=self._time(member), dir_fd=fd, follow_symlinks=False)

    def _owner(self, member: tarfile.TarInfo) -> tuple[int, int]:
        return self.owner or (member.uid, member.gid)

    def _time(self, member: tarfile.TarInfo) -> tuple[int, int]:
        time = self.target.rules.time_of(int(member.mtime * 10**9))
        return time, time

    def _mode(self, member: tarfile.TarInfo, kind: int) -> int:
        return self.target.rules.mode_of(kind | stat.S_IMODE(member.mode))

    def _directory(
        self, member: tarfile.TarInfo, name: str, fd: int, parts: tuple[str, ...]
    ) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=fd)
        inner = os.open(name, _DIRECTORY, dir_fd=fd)
        try:
            set_metadata(inner, *self._owner(member), self._mode(member, stat.S_IFDIR))
            _set_attributes(inner, member)
        finally:
            os.close(inner)
        self.target.forget_time(parts)
        self.times[parts] = self._time(member)[0]

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, fd: int) -> None:
        source = archive.extractfile(member)
        if source is None:
            raise BuildError(f'cannot unpack the archive: "{member.name[:200]}" has no content')
        writing = os.open(name, _CREATE, 0o600, dir_fd=fd)
        try:
            while chunk := source.read(_CHUNK):
                write_all(writing, chunk)
            set_metadata(writing, *self._owner(member), self._mode(member, stat.S_IFREG))
            _set_attributes(writing, member)
            os.utime(writing, ns=self._time(member))
        finally:
            os.close(writing)

    def _link(self, member: tarfile.TarInfo, name: str, fd: int) -> None:
        parts = self._parts(member.linkname)
        located = self.target.locate("/".join((*self.base, *parts)))
        if located.item is None or not located.item.is_file:
            raise BuildError(
                f'cannot unpack the archive: "{member.name[:200]}" links to what is not there'
            )
        parent = self.target.open(located.parts[:-1], owner=self.owner or (0, 0))
        try:
            os.link(
                located.parts[-1], name, src_dir_fd=parent, dst_dir_fd=fd, follow_symlinks=False
            )
        except FileNotFoundError:
            self._copy_up(located.parts, name, fd)
        finally:
            os.close(parent)

    def _copy_up(self, parts: tuple[str, ...], name: str, fd: int) -> None:
        """Link to a file of a lower layer: it is copied, links do not span layers."""
        with self.target.tree.directory(parts[:-1]) as directory:
            item = directory.child(parts[-1])
            if item is None:
                raise BuildError(f'cannot unpack the archive: "{name}" links to nothing')
            reading = directory.open(item)
            writing = os.open(name, _CREATE, 0o600, dir_fd=fd)
            try:
                copy_content(reading, writing, item.stat.st_size)
                mode = stat.S_IMODE(item.stat.st_mode)
                set_metadata(writing, item.stat.st_uid, item.stat.st_gid, mode)
            finally:
                os.close(reading)
                os.close(writing)

    def finish(self) -> None:
        """Set the times of the directories that the archive named, after what is in them."""
        for parts, time in sorted(self.times.items(), reverse=True):
            fd = self.target.open(parts)
            try:
                os.utime(fd, ns=(time, time))
            finally:
                os.close(fd)
