"""YAML as Compose reads it, its places, and what is refused cheaply."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.spec.document import LARGEST_BYTES, dump_yaml, read_documents, resolve
from orchestra.spec.findings import Findings
from orchestra.spec.tree import Mark, Value, place

SCALARS = {
    "22:22": "22:22", "yes": "yes", "no": "no", "on": "on", "y": "y", "017": 15, "0o17": 15,
    "0x1F": 31, "0b11": 3, "1_000": 1000, "08": 8.0, "1.50": 1.5, "1e3": 1000.0, "true": True,
    "False": False, "tRue": "tRue", "null": None, "~": None, "2001-01-01": "2001-01-01",
    "1.2.3": "1.2.3", "-5": -5, "+5": 5, "0": 0, "-": "-", ".": ".", "1h": "1h", ".5": 0.5, "=": "=",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS)
def test_plain_scalars(text: str, value: Value) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def read(text: str | bytes) -> tuple[Value, Findings]:
    findings = Findings()
    content = text.encode() if isinstance(text, str) else text
    documents = read_documents(content, "f", findings)
    return (documents[0].tree if documents else None), findings


VALUES = {
    "quoted": ("a: '5'", {"a": "5"}),
    "tagged": ("a: !!str 5", {"a": "5"}),
    "anchor": ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
    "merge": (
        "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}",
        {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}},
    ),
    "merge-list": ("b: {<<: [{p: 1}, {p: 2, q: 2}]}", {"b": {"p": 1, "q": 2}}),
    "block": ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    "empty": ("", None),
    "bom": ("\ufeffa: 1", {"a": 1}),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    text, value = VALUES[name]
    tree, findings = read(text)
    assert tree == value
    assert findings.errors == []


def test_every_entry_knows_its_place() -> None:
    tree, _ = read("a:\n  b:\n    - x\n    - c: 1\n")
    assert place(tree, ("a", "b")) == Mark("f", 2, 3)
    assert place(tree, ("a", "b", 1)) == Mark("f", 4, 7)
    assert place(tree, ("a", "b", 1, "c")) == Mark("f", 4, 7)
    assert place(tree, ("a", "b", 9, "z")) == Mark("f", 2, 3)
    assert place(tree, ("z",)) is None


def test_resets_are_told_by_path_also_through_anchors() -> None:
    text = b"x: &x {a: !reset null, b: !override [1]}\ny: *x\nz: [!reset 1, 2]\n"
    (document,) = read_documents(text, "f", Findings())
    assert document.tree == {"x": {"b": [1]}, "y": {"b": [1]}, "z": [2]}
    assert {("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")} <= set(document.resets)


BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{chr(ord(name) - 1)}'] * 9) if name > 'a' else 'x'}]\n"
    for name in "abcdefghijklm"
)
HOSTILE = {
    "alias-bomb": (BOMB, "expands to more than"),
    "merge-bomb": (
        BOMB.replace("[", "{<<: [").replace("]\n", "]}\n").replace("[x]", "[{q: 1}]"),
        "",
    ),
    "deep-flow": ("[" * 200_000, "nested deeper"),
    "deep-map": ("{a: " * 50_000, "nested deeper"),
    "deep-block": ("".join("-" + " " for _ in range(3000)), "nested deeper"),
    "huge": (b"a: " + b"x" * LARGEST_BYTES, "larger than"),
    "nul": (b"a: \0", "NUL"),
    "not-utf8": (b"a: \xff\xfe", "not UTF-8"),
    "utf16": ("a: 1".encode("utf-16"), "not UTF-8"),
    "control": (b"a: \x07", "control character"),
    "self": ("a: &x [*x]", "inside what it names"),
    "unknown-alias": ("a: *x", "names no anchor"),
    "unknown-tag": ("a: !!python/object:os.system x", "unknown tag"),
    "list-key": ("? [a]\n: b", "a key must be text"),
    "number-key": ("a: {1: 2}", "a key must be text"),
    "duplicate": ("a: 1\nb: {c: 1, c: 2}", "set twice"),
    "tab": ("a:\n\tb: 1", "cannot parse"),
    "open": ("a: [1", "cannot parse"),
    "binary": (bytes(range(256)) * 100, ""),
    "long-number": ("a: " + "9" * 100_000, ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_cheaply(name: str) -> None:
    text, message = HOSTILE[name]
    started = time.process_time()
    _, findings = read(text)
    assert time.process_time() - started < 5
    if message:
        assert len(findings.errors) == 1
        assert message in findings.errors[0].message
        assert findings.errors[0].hint


SIMPLE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcyn01.", min_size=1, max_size=4), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(SIMPLE)
def test_what_is_dumped_is_read_again(value: Value) -> None:
    tree, findings = read(dump_yaml({"a": value}))
    assert findings.errors == []
    assert tree == {"a": value}
