"""What a scenario printed: assertions in TAP, or one complaint in a block of JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_ASSERTION = re.compile(r"^(not )?ok \d+(?: - (.*)| (#.*))?$", re.MULTILINE)
_ERROR = re.compile(r'^\s+"error": (".*"),?$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Assertion:
    """One line of TAP."""

    name: str
    passed: bool


def assertions(output: str) -> tuple[Assertion, ...]:
    """Return the assertions of a scenario's output."""
    return tuple(
        Assertion((found[2] or found[3] or "").strip(), not found[1])
        for found in _ASSERTION.finditer(output)
    )


def complaint(output: str) -> str:
    """Return the error that a scenario without assertions tells of, or ""."""
    found = _ERROR.search(output)
    return str(json.loads(found[1])).splitlines()[0] if found else ""
