"""Every key of the specification is shown by a table of tests/unit/spec/attributes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache

import pytest
from support.attributes import Case

from orchestra.spec.document import read_documents
from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.tree import Value
from scripts.attribute_tables import TABLES, claims, table_of
from scripts.conformance import KEYS

SPECIFIED = KEYS.read_text(encoding="utf-8").split()


@cache
def cases_of(table: str) -> tuple[Case, ...]:
    spec = importlib.util.spec_from_file_location(f"shown_{table}", TABLES / table)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(module.CASES)


@cache
def written_in(table: str) -> frozenset[KeyPath]:
    """Return the path of everything that the Compose files of a table's cases hold."""
    found: set[KeyPath] = set()
    for case in cases_of(table):
        files = case.parts()
        others = [text for name, text in files.files.items() if name.endswith(".yaml")]
        for text in (files.text, files.over or "", *others):
            for document in read_documents(text.encode(), table, Findings()):
                found.update(paths_in(document.tree, ()))
    return frozenset(found)


def paths_in(value: Value, path: KeyPath) -> Iterator[KeyPath]:
    yield path
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from paths_in(entry, (*path, key))
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from paths_in(entry, (*path, index))


def is_at(path: KeyPath, key: str) -> bool:
    """Tell whether a path is one that a key of compose_keys.txt describes."""
    parts = key.split(".")
    return len(path) == len(parts) and all(
        isinstance(step, int) if part == "[]" else part in {"*", step}
        for part, step in zip(parts, path, strict=True)
    )


@pytest.mark.parametrize("key", SPECIFIED)
def test_every_key_of_the_specification_is_shown(key: str) -> None:
    table = table_of(key, claims())
    assert table is not None, f"no table claims {key} with its KEY or COVERS"
    assert any(is_at(path, key) for path in written_in(table)), f"no case of {table} writes {key}"


def test_every_claim_is_a_key_of_the_specification() -> None:
    known = {*SPECIFIED, *(key.rpartition(".")[0] for key in SPECIFIED)}
    assert {key for key in claims() if key not in known and not key.startswith("x-")} == set()


def test_every_table_is_read_by_its_first_lines() -> None:
    tables = {file.name for file in TABLES.glob("test_attribute_*.py")}
    assert tables == set(claims().values())


@pytest.mark.parametrize(
    ("path", "key", "answer"),
    [
        (("services", "web", "ports", 0, "target"), "services.*.ports.[].target", True),
        (("services", "web", "ports", "0", "target"), "services.*.ports.[].target", False),
        (("services", "web", "ports"), "services.*.ports.[].target", False),
        (("services", "web", "user"), "services.*.users", False),
    ],
)
def test_a_path_is_at_its_key(path: KeyPath, key: str, *, answer: bool) -> None:
    assert is_at(path, key) is answer


def test_the_longest_claim_wins() -> None:
    claimed = {"services.*.build": "a", "services.*.build.args": "b"}
    assert table_of("services.*.build.args", claimed) == "b"
    assert table_of("services.*.build.tags", claimed) == "a"
    assert table_of("services.*.user", claimed) is None
