"""models (compose-spec models.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "models"

CONTEXT = "it wants a number here and converts no text"


def used(definition: str) -> str:
    """Return a project whose service uses the model "one", and tells it as an x-* key."""
    return f"""
services: {{web: {{image: a, models: [one]}}}}
models: {{one: {definition}}}
"""


def over(definition: str) -> str:
    return f"# over\nmodels: {{one: {definition}}}"


CASES = (
    Case("model", used("{model: ai/x}"), {"one": {"model": "ai/x"}}, shape="yaml"),
    Case(
        "full",
        used("{name: n, model: ai/x, context_size: 1024, runtime_flags: [--a, '--b=c'], x-a: 1}"),
        {
            "one": {
                "name": "n",
                "model": "ai/x",
                "context_size": 1024,
                "runtime_flags": ["--a", "--b=c"],
                "x-a": 1,
            }
        },
        shape="yaml",
    ),
    Case(
        "variable",
        used("{model: 'ai/${V}'}"),
        {"one": {"model": "ai/v"}},
        env={"V": "v"},
        shape="yaml",
    ),
    Case(
        "context-point",
        used("{model: a, context_size: 10.0}"),
        {"one": {"model": "a", "context_size": 10}},
        shape="yaml",
    ),
    Case(
        "context-zero", used("{model: a, context_size: 0}"), {"one": {"model": "a"}}, shape="yaml"
    ),
    Case(
        "context-negative",
        used("{model: a, context_size: -1}"),
        {"one": {"model": "a", "context_size": -1}},
        shape="yaml",
    ),
    Case(
        "context-text",
        used("{model: a, context_size: '10'}"),
        {"one": {"model": "a", "context_size": 10}},
        ours=CONTEXT,
        shape="yaml",
    ),
    Case(
        "flags-repeated",
        used("{model: a, runtime_flags: [x, x]}"),
        {"one": {"model": "a", "runtime_flags": ["x", "x"]}},
        shape="yaml",
    ),
    Case(
        "flags-empty", used("{model: a, runtime_flags: []}"), {"one": {"model": "a"}}, shape="yaml"
    ),
    Case("empty-name", used("{model: a, name: ''}"), {"one": {"model": "a"}}, shape="yaml"),
    Case("null-name", used("{model: a, name: }"), {"one": {"model": "a"}}, ours=NULL, shape="yaml"),
    Case("unused", "# one\nservices: {web: {image: a}}\nmodels: {one: {model: a}}", ABSENT),
    Case(
        "over",
        used("{model: a, context_size: 4, runtime_flags: [x]}"),
        {"one": {"model": "b", "context_size": 5, "runtime_flags": ["x", "y"]}},
        over=over("{model: b, context_size: 5, runtime_flags: [y, x]}"),
        shape="yaml",
    ),
    Case(
        "override",
        used("{model: a, name: n}"),
        {"one": {"model": "c"}},
        over=over("!override {model: c}"),
        shape="yaml",
    ),
    Case(
        "reset",
        used("{model: a, name: n}"),
        {"one": {"model": "a"}},
        over=over("{name: !reset null}"),
        shape="yaml",
    ),
)

WRONG = (
    Wrong("text", used("x"), "expected a mapping, not text", place="2:10", hint="KEY: VALUE"),
    Wrong("list", used("[x]"), "expected a mapping, not a list"),
    Wrong("no-model", used("{name: x}"), '"model" is missing', place="2:10", hint="model"),
    Wrong(
        "model-number",
        used("{model: 3}"),
        "expected text, not a number",
        place="2:16",
        hint="quotes",
    ),
    Wrong("name-list", used("{model: a, name: [n]}"), "expected text, not a list"),
    Wrong(
        "context-word",
        used("{model: a, context_size: lots}"),
        "expected a whole number, not text",
        place="2:26",
    ),
    Wrong("context-fraction", used("{model: a, context_size: 1.5}"), "not a fraction"),
    Wrong(
        "flags-text",
        used("{model: a, runtime_flags: --a}"),
        "expected a list, not text",
        place="2:26",
    ),
    Wrong(
        "flag-number",
        used("{model: a, runtime_flags: [1]}"),
        "expected text, not a number",
        place="2:42",
    ),
    Wrong(
        "near",
        used("{model: a, contextsize: 1}"),
        'unknown key "contextsize"',
        hint='"context_size"',
    ),
    Wrong(
        "unknown",
        used("{model: a, configuration: {}}"),
        'unknown key "configuration"',
        hint="known here",
    ),
    Wrong(
        "bad-name",
        "# n\nservices: {web: {image: a}}\nmodels: {a b: {model: a}}",
        '"a b" is no name',
        place="3:10",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_top_level_models(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_top_level_models_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
