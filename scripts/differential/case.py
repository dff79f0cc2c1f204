"""The corpus: directories with a Dockerfile, and case.yaml for what else a build is given."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

CORPUS = Path(__file__).parents[2] / "tests" / "corpus" / "dockerfiles"
KEYS = frozenset(
    {"files", "args", "target", "labels", "contexts", "secrets", "epoch", "web", "dockerfile"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One build. ``files``, ``web`` and the recipes among ``contexts`` are read by recipe.py.

    ``dockerfile`` is its path in the context; ``web`` is what a server offers at @WEB@.
    """

    name: str
    text: str
    place: Path
    files: Mapping[str, object] = field(default_factory=dict)
    web: Mapping[str, object] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    dockerfile: str = "Dockerfile"
    epoch: int | None = None

    @property
    def mtime(self) -> int:
        """The time of its files: BuildKit knows files of a context again by size and time."""
        return 1600000000 + zlib.crc32(self.name.encode()) % 10_000_000

    @property
    def expected(self) -> Path:
        """Where BuildKit's answer is recorded."""
        return self.place / "expected.json"


def cases(only: str = "*", corpus: Path = CORPUS) -> Iterator[Case]:
    """Read the cases whose name matches, in the order of their names."""
    for path in sorted(corpus.glob("*/Dockerfile")):
        if fnmatchcase(path.parent.name, only):
            yield read(path.parent)


def read(place: Path) -> Case:
    """Read one case.

    :raises ValueError: when case.yaml has a key that is none.
    """
    extra = place / "case.yaml"
    given = yaml.safe_load(extra.read_text(encoding="utf-8")) if extra.exists() else {}
    if unknown := given.keys() - KEYS:
        raise ValueError(f"{extra}: no such keys: {', '.join(sorted(unknown))}")
    text = (place / "Dockerfile").read_bytes().decode("utf-8", "surrogateescape")
    return Case(name=place.name, text=text, place=place, **given)
