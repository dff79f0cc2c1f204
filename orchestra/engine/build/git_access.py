"""How git's repositories are reached, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestra.values import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class GitAccess:
    """How private repositories are reached: tokens by their secret's name, an agent's socket."""

    tokens: Mapping[str, str] = field(default_factory=dict)
    ssh_socket: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A repository on the disk, and what stands for its content."""

    directory: Path
    commit: str
    identity: str
    time: int
    """When the commit was made, in seconds."""
