"""A first look at a build, before anything of it is looked for (settled.py)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.build.tree import Tree
    from orchestra.engine.state.codec import Json


@dataclass(slots=True, kw_only=True)
class Look:
    """A first look at a build: by what it is remembered, and its contexts, "" the main one.

    ``place`` is by what it is known before anything is looked at; ``files`` are the digests of the
    Dockerfile, where it was read, and of where it was not found; None when nobody can tell.
    """

    key: str
    place: str
    names: tuple[str, ...]
    trees: Mapping[str, Tree]
    files: Mapping[str, str] | None
    dockerfile: str = ""
    """Whose own ignore file hides what is in the main context; "" for none."""
    missed: bool = False
    """Whether it was looked for already, and something had changed."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be told of a settled build."""

    actions: tuple[str, ...]
    warnings: tuple[str, ...]


def texts(found: Mapping[str, Json]) -> dict[str, str]:
    """Return a mapping of texts, as it was written down."""
    return {name: str(text) for name, text in found.items()}


def key_of(before: str, text: str, trees: Mapping[str, Tree]) -> str:
    """Return by what a settled build is remembered; ``before`` is what decides before a look."""
    ignored = {
        name: [(pattern.keep, pattern.text) for pattern in tree.matcher.patterns]
        for name, tree in trees.items()
    }
    written = json.dumps([before, text, ignored], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
