"""Where two programs differ; those differences that are known, with their reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

OUTSIDE = Path(__file__).with_name("outside") / "known.yaml"
BUILDS = Path(__file__).with_name("differential") / "known.yaml"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place of one case; ``key`` is empty, or "fails", where one of the two refuses."""

    case: str
    key: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        where = f"{self.case}: {self.key}" if self.key else self.case
        return f"{where}\n    ours:   {self.ours}\n    theirs: {self.theirs}"


@dataclass(slots=True)
class Known:
    """Differences of the cases and at the keys that two patterns match."""

    case: str
    key: str
    reason: str
    met: int = 0

    def explains(self, difference: Difference) -> bool:
        return fnmatchcase(difference.case, self.case) and fnmatchcase(difference.key, self.key)


def read(path: Path) -> list[Known]:
    """Return a table."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    return [Known(str(row["case"]), str(row["key"]), str(row["reason"])) for row in rows]


def unexplained(differences: Iterable[Difference], table: list[Known]) -> list[Difference]:
    """Return the differences that no row explains; rows count those that they do."""
    left: list[Difference] = []
    for difference in differences:
        row = next((row for row in table if row.explains(difference)), None)
        if row is None:
            left.append(difference)
        else:
            row.met += 1
    return left
