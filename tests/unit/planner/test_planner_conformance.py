"""Every key of the specification is read, and none is ignored in silence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from orchestra.planner.compile.support import RULES
from scripts.conformance import KEYS, LOADING, keys_of, render, state_of

ROOT = Path(__file__).parents[3]
COMPILE = ROOT / "orchestra" / "planner" / "compile"
NEVER_COMPILED = {
    "develop": "for watch",
    "build.provenance": "the one value that is known is what happens anyway",
    "build.sbom": "the one value that is known is what happens anyway",
    "isolation": "the one value that is known is what happens anyway",
    "models": "refused where a service asks for one",
}


def test_the_page_is_up_to_date():
    assert (ROOT / "docs/conformance.md").read_text() == render(), "run `make docs`"


@pytest.mark.parametrize("key", KEYS.read_text().split())
def test_every_key_of_the_specification_is_read(key):
    assert state_of(key)[0] == "read"


def test_every_rule_is_about_a_key_of_the_specification():
    known = set(KEYS.read_text().split())
    assert {".".join(rule.parts) for rule in RULES} <= known


def test_every_key_is_compiled_or_ruled_upon():
    """Some code of the compiler reads the key, or a table says that it does nothing."""
    read = {
        node.attr
        for file in COMPILE.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
    } | {"services", "scale"}
    ruled = [rule.parts for rule in RULES if rule.known is None]
    idle = set()
    for key in KEYS.read_text().split():
        parts = tuple(key.split("."))
        if any(parts[: len(rule)] == rule for rule in ruled):
            continue
        if any(key == used or key.startswith(f"{used}.") for used in LOADING):
            continue
        if parts[-1] not in read and not any(f".{name}" in f".{key}" for name in NEVER_COMPILED):
            idle.add(key)
    assert not idle


def test_keys_of_a_schema():
    schema = {
        "properties": {"services": {"patternProperties": {"^[a-z]+$": {"$ref": "#/$defs/one"}}}},
        "$defs": {
            "one": {
                "properties": {
                    "ports": {"items": {"oneOf": [{"type": "number"}, {"$ref": "#/$defs/port"}]}},
                    "again": {"$ref": "#/$defs/one"},
                },
                "patternProperties": {"^x-": {"properties": {"hidden": {}}}},
            },
            "port": {"properties": {"target": {}}},
        },
    }
    assert list(keys_of(schema)) == [
        "services",
        "services.*.ports",
        "services.*.ports.[].target",
        "services.*.again",
    ]
