"""One case of a comparison: files that both programs read, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENVIRONMENT = {"HOME": "/home/orc", "PATH": "/usr/bin:/bin"}
PROFILES = ("*",)

_NAMED = re.compile(r"(?<!\$)\$(?:\{([A-Za-z_]\w*)|([A-Za-z_]\w*))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``files`` are read in ``directory``, or in a new one that holds what is ``written``."""

    name: str
    files: tuple[str, ...] = ()
    directory: Path | None = None
    written: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()

    def write(self, directory: Path) -> None:
        """Write what the case brings along."""
        for name, content in self.written.items():
            place = directory / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")


@dataclass(slots=True)
class Corpus:
    """The cases of one kind, and what of it could not be made a case, by reason."""

    name: str
    cases: list[Case] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str, amount: int = 1) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + amount


def variables_of(text: str) -> dict[str, str]:
    """Return a value for each variable that a text names."""
    names = sorted({first or second for first, second in _NAMED.findall(text)})
    return {name: "12" for name in names if name not in ENVIRONMENT}
