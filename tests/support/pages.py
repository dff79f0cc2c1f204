"""Pages of docs/ that say how something stands, and name the tests that show it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def named_tests(page: str) -> list[tuple[str, str]]:
    """Return the tests that a page links to: name, file."""
    return re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", page)


def missing_tests(page: str) -> set[tuple[str, str]]:
    """Return those of them that are not there."""
    return {
        (name, file)
        for name, file in named_tests(page)
        if not re.search(rf"(?m)^(async )?def {name}\(", (ROOT / file).read_text())
    }
