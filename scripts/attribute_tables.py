"""Which test table shows which key of the specification: the claims of tests/unit/spec/attributes.

The convention is that of tests/support/attributes.py. The tables are parsed, not run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

TABLES = Path(__file__).parents[1] / "tests/unit/spec/attributes"


def claims() -> Mapping[str, str]:
    """Return the name of the table by each key that one claims.

    :raises ValueError: when two tables claim the same key.
    """
    found: dict[str, str] = {}
    for file in sorted(TABLES.glob("test_attribute_*.py")):
        for key in _claimed(ast.parse(file.read_text(encoding="utf-8"))):
            if key in found:
                raise ValueError(f"{found[key]} and {file.name} both claim {key}")
            found[key] = file.name
    return found


def _claimed(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if node.targets[0].id == "KEY":
            yield ast.literal_eval(node.value)
        if node.targets[0].id == "COVERS":
            yield from ast.literal_eval(node.value)


def nearest(keys: Iterable[str], parts: tuple[str, ...]) -> str | None:
    """Return the longest of the keys that is the key of these parts, or above it."""
    known = set(keys)
    above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((key for key in above if key in known), None)


def table_of(key: str, claimed: Mapping[str, str]) -> str | None:
    """Return the name of the table that shows a key, None when there is none."""
    claim = nearest(claimed, tuple(key.split(".")))
    return None if claim is None else claimed[claim]
