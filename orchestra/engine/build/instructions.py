"""What a Dockerfile can say: one frozen class per instruction.

Pure types; reading.py makes them out of lines. Words are unexpanded: variables are known only
when a stage is lowered (lowering.py).
"""

from __future__ import annotations

from typing import Literal

from orchestra.engine.build.devices import RunDevice
from orchestra.engine.build.dockerfile import Heredoc
from orchestra.oci.image import ImageHealthcheck
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an instruction stands, and how it is written."""

    line: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line: exec form, or ``shell`` with one word and perhaps inline documents."""

    words: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key and value of ENV or LABEL."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Place):
    """FROM: starts a stage; ``name`` is lower case, "" when it has none."""

    image: str
    platform: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Place):
    """ARG: names, each with a default or None."""

    arguments: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Place):
    """ENV."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Place):
    """LABEL."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Place):
    """RUN; ``mounts`` are the unread values of --mount."""

    command: Command
    mounts: tuple[str, ...] = ()
    network: Literal["default", "none", "host"] = "default"
    insecure: bool = False
    devices: tuple[RunDevice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Place):
    """COPY, or ADD with ``add``; ``stage`` is --from, "" for the build context."""

    add: bool
    sources: tuple[str, ...]
    documents: tuple[Heredoc, ...]
    destination: str
    stage: str = ""
    chown: str = ""
    chmod: str = ""
    excludes: tuple[str, ...] = ()
    checksum: str = ""
    unpack: bool | None = None
    parents: bool = False
    link: bool = False
    keep_git_dir: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Place):
    """WORKDIR."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Place):
    """CMD."""

    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Place):
    """ENTRYPOINT."""

    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Place):
    """SHELL."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Place):
    """EXPOSE."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Place):
    """USER."""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Place):
    """VOLUME."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Place):
    """STOPSIGNAL."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Place):
    """HEALTHCHECK."""

    check: ImageHealthcheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Place):
    """ONBUILD: ``expression`` is the text that a later build runs."""

    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Place):
    """MAINTAINER."""

    name: str


Instruction = (
    From
    | Arg
    | Env
    | Label
    | Run
    | Copy
    | Workdir
    | Cmd
    | Entrypoint
    | Shell
    | Expose
    | User
    | Volume
    | StopSignal
    | Healthcheck
    | Onbuild
    | Maintainer
)
