"""docs/SECURITY.md names a test for every promise, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "SECURITY.md"
LINK = re.compile(r"\[([^\]]+)\]\((\.\./tests/[\w/.]+\.py)#(test_\w+)\)")
ROWS = [
    line
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| promise |")
]


def names_in(file: Path) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_text())
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_the_page_has_promises():
    assert len(ROWS) > 60


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_each_promise_has_tests_that_are_there(row: str):
    promise, tests = row.strip("| ").split(" | ")
    found = LINK.findall(tests)
    assert promise
    assert len(found) == tests.count("<br>") + 1
    for text, file, name in found:
        assert name in names_in(PAGE.parent / file), f"{file} has no {name}"
        assert text == name.removeprefix("test_").replace("_", " ")
