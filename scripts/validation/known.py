"""The assertions that the native runtime fails, with their reasons; each must still fail."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name("known.yaml")


@dataclass(slots=True)
class Known:
    """Assertions (or the complaint) of the scenarios that two patterns match."""

    scenario: str
    assertion: str
    reason: str
    sometimes: bool = False
    met: int = 0

    def explains(self, scenario: str, assertion: str) -> bool:
        return fnmatchcase(scenario, self.scenario) and fnmatchcase(assertion, self.assertion)


def read(path: Path = TABLE) -> list[Known]:
    """Return the table."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    return [
        Known(
            str(row["scenario"]),
            str(row["assertion"]),
            str(row["reason"]),
            bool(row.get("sometimes")),
        )
        for row in rows
    ]


def explain(scenario: str, assertion: str, table: list[Known]) -> str:
    """Return the reason of a failure, or ""; its row counts it."""
    for row in table:
        if row.explains(scenario, assertion):
            row.met += 1
            return row.reason
    return ""
