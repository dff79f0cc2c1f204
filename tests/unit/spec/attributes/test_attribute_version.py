"""version (compose-spec 04-version-and-name.md, version)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "version"

CASES = (
    Case("is-ignored", "# old\nversion: '3.8'\nservices: {web: {image: a}}", ABSENT),
    Case("any-text", "# old\nversion: none\nservices: {web: {image: a}}", ABSENT),
    Case("in-second", "services: {web: {image: a}}", ABSENT, over="# old\nversion: '2'\n"),
)

WRONG = (
    Wrong(
        "number",
        "# old\nversion: 3.8\nservices: {web: {image: a}}",
        "expected text, not a fraction",
        place="2:1",
        hint="put it in quotes",
    ),
    Wrong(
        "list",
        "# old\nversion: ['3']\nservices: {web: {image: a}}",
        "expected text, not a list",
        place="2:1",
        hint="put it in quotes",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_version(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_version_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
