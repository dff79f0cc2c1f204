"""A root file system seen without mounting it: layers merged as overlayfs does, links kept inside.

Reads only. Every component is opened relative to the directory before it and never through a
symlink; links are read and walked here, from the root of the tree, so that neither a link nor a
race leads out of it. A build context is a tree of one layer with a matcher of what is hidden.
"""

from __future__ import annotations

import errno
import operator
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from orchestra.engine.build.digests import FileDigests
from orchestra.engine.build.ignore import Matched, Matcher
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.build.context import Chosen
    from orchestra.engine.build.seen import Seen

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_LINKS_MAX = 40


@dataclass(frozen=True, slots=True)
class Item:
    """A name in a directory: its lstat, and which of the directory's layers it comes from."""

    name: str
    stat: os.stat_result
    layer: int

    @property
    def is_directory(self) -> bool:
        """Tell whether it is a directory."""
        return stat.S_ISDIR(self.stat.st_mode)

    @property
    def is_link(self) -> bool:
        """Tell whether it is a symbolic link."""
        return stat.S_ISLNK(self.stat.st_mode)

    @property
    def is_file(self) -> bool:
        """Tell whether it is a regular file."""
        return stat.S_ISREG(self.stat.st_mode)


@dataclass(frozen=True, slots=True)
class Located:
    """Where a path leads: components free of links, and what is there, if anything.

    ``item`` is None where nothing is, and for the root itself (whose ``parts`` are empty).
    """

    parts: tuple[str, ...]
    item: Item | None

    @property
    def exists(self) -> bool:
        """Tell whether something is there."""
        return self.item is not None or not self.parts

    @property
    def is_directory(self) -> bool:
        """Tell whether a directory is there."""
        return not self.parts or (self.item is not None and self.item.is_directory)


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether an entry of a layer says "nothing here": a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


_name_of = operator.attrgetter("name")


class Directory:
    """An open directory of a tree, merged over layers; owns its descriptors."""

    def __init__(self, tree: Tree, fds: Sequence[int], path: str, matched: Matched | None) -> None:
        self._tree = tree
        self.fds = tuple(fds)
        self.path = path
        self._matched = matched
        if tree.seen is not None:
            tree.seen.directories[path] = os.fstat(self.fds[0])

    def __enter__(self) -> Directory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptors."""
        for fd in self.fds:
            os.close(fd)
        self.fds = ()

    @property
    def layered(self) -> bool:
        """Tell whether it is of an image or a stage, and not of this machine's files."""
        return self._tree.overlay

    def status(self) -> os.stat_result:
        """Return the status of the uppermost layer's directory."""
        return os.fstat(self.fds[0])

    def _join(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def child(self, name: str) -> Item | None:
        """Find a name; None when nothing is there, or it is hidden."""
        for layer, fd in enumerate(self.fds):
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            item = Item(name, status, layer)
            if self._tree.overlay and is_whiteout(status):
                return None
            return item if self._visible(item) else None
        return None

    def entries(self) -> list[Item]:
        """List what is there and not hidden, sorted by name."""
        if not self._tree.overlay and len(self.fds) == 1:
            with os.scandir(self.fds[0]) as found:
                items = [Item(entry.name, entry.stat(follow_symlinks=False), 0) for entry in found]
            if self._tree.matcher.patterns:
                items = [item for item in items if self._visible(item)]
            items.sort(key=_name_of)
            return items
        seen: dict[str, Item | None] = {}
        for layer, fd in enumerate(self.fds):
            with os.scandir(fd) as found:
                for entry in found:
                    if entry.name in seen:
                        continue
                    status = entry.stat(follow_symlinks=False)
                    gone = self._tree.overlay and is_whiteout(status)
                    seen[entry.name] = None if gone else Item(entry.name, status, layer)
        items = [item for item in seen.values() if item is not None and self._visible(item)]
        return sorted(items, key=_name_of)

    def enter(self, item: Item) -> Directory:
        """Open a directory in this one.

        :raises OSError: when it is not there any more.
        """
        fds: list[int] = []
        try:
            for fd in self.fds[item.layer :]:
                try:
                    opened = os.open(item.name, _DIRECTORY, dir_fd=fd)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    if fds and error.errno in (errno.ENOTDIR, errno.ELOOP):
                        break
                    raise
                fds.append(opened)
                if self._tree.overlay and _is_opaque(opened):
                    break
        except OSError:
            for opened in fds:
                os.close(opened)
            raise
        if not fds:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._join(item.name))
        path = self._join(item.name)
        return Directory(self._tree, fds, path, self._tree.hidden_by(path, self._matched)[1])

    def open(self, item: Item) -> int:
        """Open a file in this directory for reading; never follows, never blocks on a fifo."""
        return os.open(item.name, FILE_FLAGS, dir_fd=self.fds[item.layer])

    def readlink(self, item: Item) -> str:
        """Read a link in this directory."""
        return os.readlink(item.name, dir_fd=self.fds[item.layer])

    def _visible(self, item: Item) -> bool:
        if not self._tree.matcher.patterns:
            return True
        path = self._join(item.name)
        hidden, _ = self._tree.hidden_by(path, self._matched)
        if not hidden:
            return True
        if not item.is_directory or not self._tree.may_keep_below(path):
            return False
        with self.enter(item) as directory:
            return bool(directory.entries())


def _is_opaque(fd: int) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(fd, name) == b"y":
                return True
        except OSError:
            continue
    return False


class Tree:
    """Layers (directories, uppermost first) as one root; ``matcher`` hides paths from it.

    ``digests`` is what is known of the files of a context; ``seen`` is told what is looked at.
    """

    def __init__(
        self,
        layers: Sequence[str],
        *,
        overlay: bool = True,
        matcher: Matcher | None = None,
        digests: FileDigests | None = None,
        seen: Seen | None = None,
    ) -> None:
        self.digests = digests
        self.seen = seen
        self.recent: dict[tuple[str, Matcher], tuple[float, list[Chosen]]] = {}
        """What was chosen of late (context.py), and when."""
        self.layers = tuple(layers)
        self.overlay = overlay
        self.matcher = matcher or Matcher()

    def hidden_by(self, path: str, parent: Matched | None) -> tuple[bool, Matched]:
        """Ask the matcher about a path whose directory gave ``parent``."""
        return self.matcher.match(path, parent)

    def may_keep_below(self, path: str) -> bool:
        """Tell whether a hidden directory may hold something that a ``!`` brings back."""
        prefix = path + "/"
        return any(
            pattern.keep
            and (
                any(character in pattern.text for character in "*?[\\")
                or pattern.text.startswith(prefix)
            )
            for pattern in self.matcher.patterns
        )

    def root(self) -> Directory:
        """Open the root."""
        fds: list[int] = []
        for layer in self.layers:
            fds.append(os.open(layer, _DIRECTORY & ~os.O_NOFOLLOW))
            if self.overlay and _is_opaque(fds[-1]):
                break
        return Directory(self, fds, "", (False,) * len(self.matcher.patterns))

    def directory(self, parts: Sequence[str]) -> Directory:
        """Open a directory by components free of links.

        :raises OSError: when one of them is not a directory.
        """
        current = self.root()
        for name in parts:
            with current:
                item = current.child(name)
                if item is None:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
                if not item.is_directory:
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
                current = current.enter(item)
        return current

    def locate(self, path: str, *, follow: bool = True) -> Located:
        """Walk a path from the root; links are followed inside it, ``..`` stops at it.

        Components after a missing one are taken as they are written. ``follow`` False leaves a
        link in the last place alone.

        :raises OSError: ELOOP when there are too many links.
        """
        with ExitStack() as stack:
            walk = _Walk(self, stack)
            return walk.run(path, follow=follow)

    def read(self, path: str, limit: int) -> bytes | None:
        """Read the start of a file; None when there is none."""
        located = self.locate(path)
        if located.item is None or not located.item.is_file:
            return None
        with self.directory(located.parts[:-1]) as directory:
            item = directory.child(located.parts[-1])
            if item is None or not item.is_file:
                return None
            with open(directory.open(item), "rb") as file:  # noqa: PTH123
                return file.read(limit)

    def walk(self, directory: Directory, prefix: str = "") -> Iterator[tuple[str, Item]]:
        """Yield what lies below a directory: path relative to it, and item; parents first."""
        for item in directory.entries():
            path = f"{prefix}{item.name}"
            yield path, item
            if item.is_directory:
                with directory.enter(item) as inner:
                    yield from self.walk(inner, f"{path}/")


class _Walk:
    """One walk: the directories passed so far (None where nothing exists), and their names."""

    def __init__(self, tree: Tree, stack: ExitStack) -> None:
        self.stack = stack
        self.passed: list[Directory | None] = [stack.enter_context(tree.root())]
        self.names: list[str] = []
        self.item: Item | None = None

    def run(self, path: str, *, follow: bool) -> Located:
        todo = _components(path)
        links = 0
        while todo:
            name = todo.pop(0)
            if name == "..":
                self._up()
                continue
            here = self.passed[-1]
            item = here.child(name) if here is not None else None
            if here is not None and item is not None and item.is_link and (todo or follow):
                links += 1
                if links > _LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = here.readlink(item)
                if target.startswith("/"):
                    del self.passed[1:], self.names[:]
                todo = _components(target) + todo
                self.item = None
                continue
            self._down(here, name, item)
        return Located(tuple(self.names), self.item)

    def _up(self) -> None:
        if self.names:
            self.names.pop()
            self.passed.pop()
            self.item = None
        here = self.passed[-1]
        if self.names and here is not None and len(self.passed) > 1:
            parent = self.passed[-2]
            self.item = parent.child(self.names[-1]) if parent is not None else None

    def _down(self, here: Directory | None, name: str, item: Item | None) -> None:
        inner = None
        if here is not None and item is not None and item.is_directory:
            inner = self.stack.enter_context(here.enter(item))
        self.names.append(name)
        self.passed.append(inner)
        self.item = item


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
