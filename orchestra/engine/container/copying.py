"""Copies between a container and this machine, with the rules of docker cp.

Both sides are a root and paths in it; the container's are resolved with RESOLVE_IN_ROOT, so that
no link in it leads to a file of this machine (CVE-2018-15664). What is copied passes as the
members of an archive. Blocking.
"""

from __future__ import annotations

import errno
import os
import posixpath
import select
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestra.engine.container.trees import Entry, Tree, Write, give_way, write_archive
from orchestra.engine.container.unpacking import Unpacker
from orchestra.engine.container.userns import Shift
from orchestra.engine.image.compression import decompress
from orchestra.engine.image.tar import HARD_LINK, Member, TarReader
from orchestra.engine.linux.flags import AT_FDCWD, Resolve
from orchestra.engine.linux.syscalls import openat2
from orchestra.errors import ContainerError, ImageError
from orchestra.values import dataclass

Read = Callable[[int], bytes]
_IN_ROOT = int(Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)
_BENEATH = int(Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
_LINKS_MAX = 40
_PATIENCE_SECONDS = 0.2
_MOUNTED = ("/proc", "/sys", "/dev")
"""What the runtime mounts over an image's own directories: no files of anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end of a copy: a root directory, and what its paths are called in messages."""

    root: int
    resolve: int
    prefix: str = ""
    shift: Shift = Shift()

    def open(self, path: str, flags: int = os.O_PATH) -> int:
        """Open a path.

        :raises OSError: as openat2(2).
        """
        return openat2(self.root, path, flags, resolve=self.resolve)

    def refused(self, path: str, err: OSError) -> ContainerError:
        """Say that a path cannot be copied from or to."""
        return ContainerError(f'cannot copy "{self.prefix}{path}": {(err.strerror or "").lower()}')


LOCAL = Side(root=AT_FDCWD, resolve=0)
"""This machine, with absolute paths."""


def inside(root: int, name: str, shift: Shift | None = None) -> Side:
    """Return a container's side; ``root`` is its root directory."""
    return Side(root=root, resolve=_IN_ROOT, prefix=f"{name}:", shift=shift or Shift())


def cleaned(path: str, directory: str = "/") -> str:
    """Make a path absolute and plain; a slash or ``/.`` at its end means something, and stays."""
    plain = posixpath.normpath(posixpath.join("/", directory, path))
    plain = plain.removeprefix("/") if plain.startswith("//") else plain
    if posixpath.basename(path) == "." or plain == "/":
        return f"{plain.rstrip('/')}/."
    return f"{plain}/" if path.endswith("/") else plain


def split(path: str) -> tuple[str, str]:
    """Split a cleaned path into the directory and the name in it; ``.`` is a name."""
    directory, _, name = path.rstrip("/").rpartition("/")
    return directory or "/", name


@contextmanager
def open_source(side: Side, path: str, *, follow: bool) -> Iterator[Tree]:
    """Open what is to be copied. The last name is not followed but with ``follow``, or ``/``.

    :raises ContainerError: when it is not there, or no directory where the path says so.
    """
    whole = path.endswith(("/", "/."))
    flags = os.O_PATH | (0 if follow or whole else os.O_NOFOLLOW)
    flags |= os.O_DIRECTORY if whole else 0
    try:
        fd = side.open(path, flags)
    except OSError as err:
        raise side.refused(path, err) from err
    try:
        yield Tree(fd, split(path)[1], _hollow(side), side.shift)
    finally:
        os.close(fd)


def _hollow(side: Side) -> frozenset[tuple[int, int]]:
    """Return the container's /proc, /sys and /dev where something is mounted there."""
    found = set()
    if side is not LOCAL:
        base = os.fstat(side.root).st_dev
        for path in _MOUNTED:
            try:
                fd = side.open(path, os.O_PATH | os.O_NOFOLLOW)
            except OSError:
                continue
            status = os.fstat(fd)
            os.close(fd)
            if status.st_dev != base:
                found.add((status.st_dev, status.st_ino))
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a copy goes: the path behind all links, and what is there."""

    path: str
    exists: bool = False
    is_directory: bool = False


def find_destination(side: Side, path: str) -> Destination:
    """Look at a destination; a link at its end is followed, also one to what is not there yet.

    :raises ContainerError: when it is a device or the like, or links lead in circles.
    """
    for _ in range(_LINKS_MAX):
        try:
            fd = side.open(path, os.O_PATH | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return Destination(path=path)
        except OSError as err:
            raise side.refused(path, err) from err
        try:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISLNK(mode):
                _check_kind(side, path, mode)
                return Destination(path=path, exists=True, is_directory=stat.S_ISDIR(mode))
            path = posixpath.join(split(path)[0], os.readlink("", dir_fd=fd))
        finally:
            os.close(fd)
    raise side.refused(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))


def _check_kind(side: Side, path: str, mode: int) -> None:
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise ContainerError(
            f'cannot copy to "{side.prefix}{path}": it is no directory and no regular file'
        )


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The directory to unpack in, and the name that the source gets there."""

    directory: str
    name: str


def arrange(
    name: str, *, is_directory: bool, destination: Destination, prefix: str = ""
) -> Arrangement:
    """Decide where a source called ``name`` goes (docker/cli, docs of "docker container cp"). Pure.

    :raises ContainerError: when a directory would replace a file, or a file name a directory that
        is not there.
    """
    path = destination.path
    if destination.is_directory:
        return Arrangement(path, name)
    if destination.exists and is_directory:
        raise ContainerError(f'cannot copy a directory to "{prefix}{path}": it is a file')
    if not is_directory and path.endswith(("/", "/.")):
        raise ContainerError(f'cannot copy to "{prefix}{path}": there is no such directory')
    return Arrangement(*split(path))


def copy_out(
    side: Side, source: str, target: str, *, follow: bool, owner: tuple[int, int] | None
) -> None:
    """Copy from a container to a path of this machine; ``owner`` None leaves owners as they are.

    :raises ContainerError: when something is in the way.
    """
    with open_source(side, source, follow=follow) as tree:
        place = _arranged(tree, LOCAL, target)
        try:
            directory = LOCAL.open(place.directory, os.O_PATH | os.O_DIRECTORY)
        except OSError as err:
            raise LOCAL.refused(place.directory, err) from err
        try:
            side_here = Side(root=directory, resolve=_BENEATH)
            unpacker = _unpacker(side_here, ".", owner, tame=True)
            _pass(Tree(tree.fd, place.name, tree.hollow, tree.shift), unpacker, side, source)
        finally:
            os.close(directory)


def copy_in(
    side: Side, source: str, target: str, *, follow: bool, owner: tuple[int, int] | None
) -> None:
    """Copy from a path of this machine into a container; ``owner`` None leaves owners as they are.

    :raises ContainerError: when something is in the way.
    """
    with open_source(LOCAL, source, follow=follow) as tree:
        place = _arranged(tree, side, target)
        _check_directory(side, place.directory)
        unpacker = _unpacker(side, place.directory, owner)
        _pass(Tree(tree.fd, place.name, tree.hollow, tree.shift), unpacker, LOCAL, source)


def archive_out(side: Side, source: str, write: Write, *, follow: bool) -> None:
    """Write a path of a container as an archive.

    :raises ContainerError: when it cannot be read.
    """
    with open_source(side, source, follow=follow) as tree:
        try:
            write_archive(tree.entries(), write)
        except BrokenPipeError:
            raise
        except OSError as err:
            raise side.refused(source, err) from err


def archive_root(side: Side, write: Write) -> None:
    """Write everything below a root as an archive; the root itself is no member.

    :raises ContainerError: when it cannot be read.
    """

    def entries(tree: Tree) -> Iterator[Entry]:
        for member, content in tree.entries():
            member.name = member.name.removeprefix("./")
            if member.kind == HARD_LINK:
                member.link = member.link.removeprefix("./")
            if member.name:
                yield member, content

    try:
        write_archive(entries(Tree(side.root, ".", shift=side.shift)), write)
    except BrokenPipeError:
        raise
    except OSError as err:
        raise side.refused("/", err) from err


def archive_in(side: Side, read: Read, target: str, *, owner: tuple[int, int] | None) -> None:
    """Unpack an archive, plain or packed with gzip or zstd, in a directory of a container.

    :raises ContainerError: when that is no directory, or the archive is damaged.
    """
    destination = find_destination(side, target)
    if not destination.is_directory:
        raise ContainerError(f'cannot copy to "{side.prefix}{target}": it is no directory')
    unpacker = _unpacker(side, destination.path, owner)
    try:
        reader = TarReader(decompress(read))
        for member in reader.members():
            unpacker.apply((member, iter(reader.content())))
    except ImageError as err:
        why = err.message.removeprefix("cannot unpack a layer: ")
        raise ContainerError(f"cannot unpack the archive: {why}") from err
    unpacker.finish()


def reader_of(fd: int) -> Read:
    """Return what reads from a descriptor, and gives way when its caller is cancelled."""

    def read(count: int) -> bytes:
        while not select.select([fd], [], [], _PATIENCE_SECONDS)[0]:
            give_way()
        return os.read(fd, count)

    return read


def _arranged(tree: Tree, side: Side, target: str) -> Arrangement:
    is_directory = stat.S_ISDIR(os.fstat(tree.fd).st_mode)
    destination = find_destination(side, target)
    return arrange(
        tree.name, is_directory=is_directory, destination=destination, prefix=side.prefix
    )


def _check_directory(side: Side, path: str) -> None:
    try:
        os.close(side.open(path, os.O_PATH | os.O_DIRECTORY))
    except OSError as err:
        raise side.refused(path, err) from err


def _unpacker(
    side: Side, base: str, fixed: tuple[int, int] | None, *, tame: bool = False
) -> Unpacker:
    def owner(member: Member) -> tuple[int, int]:
        return side.shift.inward(*(fixed or (member.uid, member.gid)))

    return Unpacker(
        root=side.root,
        base=base,
        resolve=side.resolve,
        owner=owner,
        tame=tame,
        set_ids=not (tame and fixed),
    )


def _pass(tree: Tree, unpacker: Unpacker, side: Side, source: str) -> None:
    try:
        for entry in tree.entries():
            unpacker.apply(entry)
    except OSError as err:
        raise side.refused(source, err) from err
    unpacker.finish()
