"""Where a build's files come from: the build context, and the additional ones by name.

A directory, an image, an image layout, a git repository, a tarball or a Dockerfile behind a URL, or
what comes in on stdin. What is fetched is looked at through a tree: a link in it leads nowhere
else, not for the Dockerfile and not for its .dockerignore.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.context import (
    DOCKERFILE_BYTES_MAX,
    decoded,
    open_context,
    read_dockerfile,
    text_of,
)
from orchestra.engine.build.digests import FileDigests
from orchestra.engine.build.environment import BuildEnvironment
from orchestra.engine.build.git_source import GitSource, read_git_source, with_flags
from orchestra.engine.build.ignore import make_matcher, parse_ignore_file
from orchestra.engine.build.target import Rules, Target
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.workspace import Workspace
from orchestra.engine.image.layout import LAYOUT
from orchestra.engine.waiting import in_thread
from orchestra.errors import BuildError
from orchestra.planner.building import BuildSpec
from orchestra.values import dataclass, field, replace

if TYPE_CHECKING:
    from orchestra.engine.build.git_access import GitAccess

STDIN = "-"
_IMAGE = "docker-image://"
_IGNORE_BYTES_MAX = 16 << 20
_STDIN_BYTES_MAX = 64 << 30
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """The files of a build. ``trees`` has the main one as ""; ``images`` maps names to images.

    ``times`` are those of what was fetched, where it has one: seconds, by the name in ``trees``;
    ``commits`` those of the repositories among them.
    """

    trees: Mapping[str, Tree]
    images: Mapping[str, str]
    dockerfile: str
    times: Mapping[str, int]
    commits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """What was fetched: a directory, or a Dockerfile alone."""

    tree: Tree
    dockerfile: str | None = None
    time: int | None = None
    commit: str = ""


_URLS = ("http://", "https://")


class ContextOpener:
    """Opens the contexts of one build; what has to be fetched goes below ``scratch``."""

    def __init__(
        self,
        environment: BuildEnvironment,
        scratch: Workspace,
        access: GitAccess,
        *,
        keep_git_dir: bool = False,
    ) -> None:
        self.environment = environment
        self.scratch = scratch
        self.access = access
        self.keep_git_dir = keep_git_dir
        self._times: dict[str, int] = {}
        self._commits: dict[str, str] = {}
        self._opened: list[Tree] = []
        self.trees: Mapping[str, Tree] = {}
        """Directories of this machine that are open already, by the context's name."""

    async def open(self, spec: BuildSpec) -> Contexts:
        """Open every context, and read the Dockerfile.

        :raises BuildError: when one is not to be had.
        """
        tree, dockerfile = await self._main(spec)
        trees, images = {"": tree}, {}
        for name, value in spec.additional_contexts.items():
            if value.startswith(_IMAGE):
                images[name] = value.removeprefix(_IMAGE)
            elif value.startswith(LAYOUT):
                images[name] = value
            elif Path(value).is_absolute():
                trees[name] = await self._local(name, value, "")
            else:
                trees[name] = await self._additional(name, value)
        return Contexts(
            trees=trees,
            images=images,
            dockerfile=dockerfile,
            times=self._times,
            commits=self._commits,
        )

    async def _local(self, name: str, directory: str, dockerfile: str) -> Tree:
        tree = self.trees.get(name)
        if tree is None:
            digests = FileDigests(self.environment.paths.build_cache / "files", directory)
            tree = await in_thread(open_context, directory, dockerfile, digests)
        self._opened.append(tree)
        return tree

    def close(self) -> None:
        """Keep what was learned of the contexts' files. Blocks."""
        for tree in self._opened:
            if tree.digests is not None:
                tree.digests.save()

    async def _main(self, spec: BuildSpec) -> tuple[Tree, str]:
        fetched = await self._fetched(spec.context)
        if fetched is None:
            remote = spec.dockerfile.startswith(_URLS)
            own = spec.dockerfile if spec.dockerfile_inline is None and not remote else ""
            tree = await self._local("", spec.context, own)
            text = spec.dockerfile_inline
            if text is None and remote:
                from orchestra.engine.build.download import download  # noqa: PLC0415 - rare

                path = await download(spec.dockerfile, self.scratch.make("dockerfile"), "")
                text = await in_thread(read_dockerfile, str(path))
            if text is None:
                text = await in_thread(read_dockerfile, spec.dockerfile)
            return tree, text
        self._remember("", fetched)
        text = spec.dockerfile_inline if spec.dockerfile_inline is not None else fetched.dockerfile
        return await in_thread(_with_ignore, fetched.tree, spec.dockerfile, text)

    async def _additional(self, name: str, value: str) -> Tree:
        fetched = await self._fetched(value) if value != STDIN else None
        if fetched is None or fetched.dockerfile is not None:
            raise BuildError(
                f'cannot build: the additional context "{name}" is "{value}", '
                "which is not supported",
                hint="give a directory, docker-image://NAME, oci-layout://DIRECTORY, "
                "service:NAME, a git repository, or the URL of a tarball",
            )
        self._remember(name, fetched)
        return (await in_thread(_with_ignore, fetched.tree, "", ""))[0]

    def _remember(self, name: str, fetched: _Fetched) -> None:
        if fetched.time is not None:
            self._times[name] = fetched.time
        if fetched.commit:
            self._commits[name] = fetched.commit

    async def _fetched(self, value: str) -> _Fetched | None:
        """Fetch what is not on this machine; None for what is."""
        try:
            repository = read_git_source(value, context=True)
        except BuildError as error:
            raise BuildError(f"cannot build: {error.message}", hint=error.hint) from error
        if repository is not None:
            keep = self.keep_git_dir if repository.keep_git_dir is None else None
            flagged = with_flags(repository, checksum="", keep_git_dir=keep)
            return await self._clone(flagged)
        if value == STDIN:
            path = self.scratch.make("stdin") / "stdin"
            await in_thread(self._take_stdin, path)
            return await in_thread(self._unpacked, path, "stdin")
        if value.startswith(_URLS):
            from orchestra.engine.build.download import download  # noqa: PLC0415 - rare

            path = await download(value, self.scratch.make("url"), "")
            found = await in_thread(self._unpacked, path, value)
            modified = int(path.stat().st_mtime)
            return replace(found, time=modified) if modified else found
        return None

    async def _clone(self, source: GitSource) -> _Fetched:
        from orchestra.engine.build.git_fetch import fetch_git  # noqa: PLC0415 - rare

        directory = self.scratch.make("git") / "repository"
        checkout = await fetch_git(source, directory, self.access)
        located = Tree((str(checkout.directory),), overlay=False).locate(source.directory)
        if not located.is_directory:
            raise BuildError(
                f'cannot build: "{source.directory}" is not a directory of "{source.shown}"'
            )
        path = Path(checkout.directory, *located.parts)
        return _Fetched(
            tree=Tree((str(path),), overlay=False), time=checkout.time, commit=checkout.commit
        )

    def _take_stdin(self, path: Path) -> None:
        if self.environment.stdin is None:
            raise BuildError("cannot build: there is no stdin to take a context from")
        size = 0
        with self.environment.stdin() as source, path.open("wb") as file:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > _STDIN_BYTES_MAX:
                    raise BuildError("cannot build: what comes in on stdin is too large")
                file.write(chunk)

    def _unpacked(self, path: Path, name: str) -> _Fetched:
        """Unpack a tarball; a file that is none is a Dockerfile."""
        from orchestra.engine.build.archive import open_archive, unpack_archive  # noqa: PLC0415

        directory = self.scratch.make("context")
        directory.chmod(0o755)
        tree = Tree((str(directory),), overlay=False)
        time = None
        with path.open("rb") as file:
            archive = open_archive(file)
            if archive is None:
                return _Fetched(tree=tree, dockerfile=text_of(file, name))
            with archive:
                target = Target(str(directory), (), Rules())
                unpack_archive(archive, target, "/")
                target.close()
                times = [int(member.mtime) for member in archive.getmembers() if member.isfile()]
                time = max(times, default=None)
        return _Fetched(tree=tree, time=time)


def _with_ignore(tree: Tree, dockerfile: str, text: str | None) -> tuple[Tree, str]:
    """Return a fetched tree without what its ignore file hides, and the Dockerfile in it."""
    if text is None:
        data = tree.read(posixpath.join("/", dockerfile), DOCKERFILE_BYTES_MAX + 1)
        if data is None and dockerfile == "Dockerfile":
            data = tree.read("/dockerfile", DOCKERFILE_BYTES_MAX + 1)
        if data is None:
            raise BuildError(
                f'cannot build: there is no Dockerfile "{dockerfile}" in the context',
                hint="check build.context and build.dockerfile",
            )
        text = decoded(data, dockerfile)
    read = partial(tree.read, limit=_IGNORE_BYTES_MAX)
    ignored = read(f"/{dockerfile}.dockerignore") if dockerfile else None
    ignored = read("/.dockerignore") if ignored is None else ignored
    if ignored is None:
        return tree, text
    patterns = parse_ignore_file(ignored.decode("utf-8", "surrogateescape"))
    return Tree(tree.layers, overlay=False, matcher=make_matcher(patterns)), text
