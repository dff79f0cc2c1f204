"""What a stage does, one vertex per change of its root file system, all words expanded.

Pure data: lowering.py makes vertices, solver.py walks them, ops.py does them. A vertex says what,
never where: layers and directories are found when it is solved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from orchestra.oci.image import History, ImageConfig
from orchestra.values import dataclass, fields_of, replace

if TYPE_CHECKING:
    from orchestra.engine.build.devices import RunDevice
    from orchestra.engine.build.mounts import RunMount


@dataclass(frozen=True, slots=True)
class ContextSource:
    """Files of the build context, or of an additional one by ``name``."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class StageSource:
    """Files of an earlier stage of the same Dockerfile."""

    index: int


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Files of an image."""

    reference: str


Source = ContextSource | StageSource | ImageSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """An inline document that a RUN executes as a file of its own."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVertex:
    """Run a command. ``proxies`` are in the environment, but not in the cache key."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    network: Literal["default", "none", "host"]
    insecure: bool = False
    proxies: tuple[str, ...] = ()
    script: Script | None = None
    mounts: tuple[RunMount, ...] = ()
    mount_sources: tuple[Source, ...] = ()
    """One per mount."""
    devices: tuple[RunDevice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyVertex:
    """Copy files. ``destination`` is absolute; a trailing slash says that it is a directory."""

    add: bool
    sources: tuple[str, ...]
    documents: tuple[tuple[str, str], ...]
    """Inline files: name and text."""
    source: Source
    destination: str
    chown: str = ""
    chmod: str = ""
    excludes: tuple[str, ...] = ()
    checksum: str = ""
    unpack: bool = False
    unpack_urls: bool = False
    parents: bool = False
    """The directories above a source are kept, from ``/./`` in it on."""
    link: bool = False
    """What lies below has no say in where things go: the layer is the same on any ground."""
    keep_git_dir: bool | None = None

    @property
    def free(self) -> bool:
        """Tell whether the layers below change nothing of the result."""
        return self.link and (not self.chown or not self.chown.strip("0123456789:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDirectoryVertex:
    """Make a directory and its parents, owned by ``user`` where they are new."""

    path: str
    user: str


Vertex = RunVertex | CopyVertex | MakeDirectoryVertex


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction, lowered: its line of history, and what it does to the files, if anything."""

    line: int
    title: str
    history: History
    vertex: Vertex | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredStage:
    """A stage's steps, the config its image gets, and the names that its children see.

    ``variables`` hold ENV and ARG; ``arguments`` the ARGs so far, for the history of a RUN.
    ``triggers`` are its ONBUILDs, in order.
    """

    steps: tuple[Step, ...]
    config: ImageConfig
    author: str
    variables: Mapping[str, str]
    arguments: tuple[str, ...]
    triggers: tuple[str, ...]
    used_arguments: frozenset[str]


def _plain(value: object) -> object:
    """Return a value with what it is made of as mappings, as ``dataclasses.asdict`` has it."""
    if fields := fields_of(type(value)):
        return {each.name: _plain(getattr(value, each.name)) for each in fields}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value


def definition(vertex: Vertex) -> dict[str, object]:
    """Return what of a vertex decides its result, beside its inputs: a part of the cache key.

    A copy is known by what it copies to where, not by the names of its sources; a run not by its
    proxies.
    """
    match vertex:
        case RunVertex():
            bare = replace(vertex, proxies=(), mount_sources=())
            names = [each.name for each in fields_of(RunVertex)]
            document = {name: _plain(getattr(bare, name)) for name in names}
            for name in ("insecure", "devices"):
                if not document[name]:
                    del document[name]
            return {"op": "run", **document}
        case CopyVertex():
            switches = ("unpack_urls", "parents", "link")
            return {
                "op": "copy",
                "destination": vertex.destination,
                "chown": vertex.chown,
                "chmod": vertex.chmod,
                "unpack": vertex.unpack,
                **{name: True for name in switches if getattr(vertex, name)},
            }
        case MakeDirectoryVertex():
            return {"op": "mkdir", "path": vertex.path, "user": vertex.user}
