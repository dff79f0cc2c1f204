"""configs (compose-spec 08-configs.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Json, Wrong, check, check_wrong

KEY = "configs"


def used(definition: str) -> str:
    """Return a project whose service uses the resource "one"."""
    return f"""
services: {{web: {{image: a, configs: [one]}}}}
configs: {{one: {definition}}}
"""


def over(definition: str) -> str:
    return f"# over\nconfigs: {{one: {definition}}}"


def shown(name: str = "orc_one", **more: Json) -> Json:
    return {"one": {"name": name, **more}}


CASES = (
    Case("file", used("{file: ./s}"), shown(file="$HERE/s")),
    Case("file-plain", used("{file: d/s}"), shown(file="$HERE/d/s")),
    Case("file-absolute", used("{file: /s}"), shown(file="/s")),
    Case("file-home", used("{file: ~/s}"), shown(file="/home/orc/s")),
    Case("file-variable", used("{file: '${V}/s'}"), shown(file="$HERE/v/s"), env={"V": "v"}),
    Case("environment", used("{environment: V}"), shown(environment="V"), env={"V": "v"}),
    Case("environment-unset", used("{environment: V}"), shown(environment="V")),
    Case("name", used("{name: 'my_${V}', file: /s}"), shown("my_v", file="/s"), env={"V": "v"}),
    Case(
        "labels",
        used("{file: /s, labels: {a: 1, b: true}}"),
        shown(file="/s", labels={"a": "1", "b": "true"}),
    ),
    Case("labels-list", used("{file: /s, labels: [a=b]}"), shown(file="/s", labels={"a": "b"})),
    Case(
        "template",
        used("{file: /s, template_driver: t, x-a: 1}"),
        shown(file="/s", template_driver="t"),
    ),
    Case("external", used("{external: true}"), shown("one", external=True)),
    Case("external-text", used("{external: 'true', name: x}"), shown("x", external=True)),
    Case("external-name", used("{external: {name: x}}"), shown("x", external=True)),
    Case(
        "external-file", used("{external: true, file: /s}"), shown("one", external=True, file="/s")
    ),
    Case("unused", "# one\nservices: {web: {image: a}}\nconfigs: {one: {file: /s}}", ABSENT),
    Case("null-name", used("{file: /s, name: }"), shown(file="/s"), ours=NULL),
    Case(
        "over",
        used("{file: ./s, labels: {a: b}}"),
        shown(file="$HERE/t", labels={"a": "b", "c": "d"}),
        over=over("{file: ./t, labels: [c=d]}"),
    ),
    Case(
        "override",
        used("{file: ./s}"),
        shown(environment="V"),
        over=over("!override {environment: V}"),
    ),
    Case(
        "reset-file",
        used("{file: ./s}"),
        shown(environment="V"),
        over=over("{file: !reset null, environment: V}"),
    ),
    Case("content", used("{content: abc}"), shown(content="abc")),
    Case("content-lines", used('{content: "a\\nb\\n"}'), shown(content="a\nb\n")),
    Case("content-variable", used("{content: 'v=${V}'}"), shown(content="v=v"), env={"V": "v"}),
    Case("content-dollar", used("{content: 'v=$${V}'}"), shown(content="v=$${V}"), env={"V": "v"}),
    Case("content-empty", used("{content: ''}"), shown()),
    Case("over-content", used("{content: abc}"), shown(content="def"), over=over("{content: def}")),
)

WRONG = (
    Wrong("text", used("x"), "expected a mapping, not text", place="2:11", hint="KEY: VALUE"),
    Wrong(
        "nothing",
        used("{}"),
        "one of file, environment or content must be given",
        place="2:11",
        hint="add one",
    ),
    Wrong(
        "bad-name",
        "# n\nservices: {web: {image: a}}\nconfigs: {a b: {file: /s}}",
        '"a b" is no name',
        place="3:11",
    ),
    Wrong(
        "file-number", used("{file: 3}"), "expected text, not a number", place="2:17", hint="quotes"
    ),
    Wrong(
        "file-empty",
        used("{file: ''}"),
        "one of file, environment or content must be given",
        ours="it takes the project's directory for the file",
    ),
    Wrong("environment-number", used("{environment: 3}"), "expected text, not a number"),
    Wrong(
        "two",
        used("{file: ./s, environment: V}"),
        "file and environment exclude each other",
        hint="keep one",
    ),
    Wrong(
        "over-two",
        used("{file: ./s}"),
        "file and environment exclude each other",
        over=over("{environment: V}"),
    ),
    Wrong("name-number", used("{file: /s, name: 3}"), "expected text, not a number"),
    Wrong("template-number", used("{file: /s, template_driver: 3}"), "expected text, not a number"),
    Wrong("labels-text", used("{file: /s, labels: x}"), "KEY=VALUE, not text"),
    Wrong(
        "external-word", used("{external: maybe}"), "expected true or false, not text", place="2:17"
    ),
    Wrong(
        "external-key",
        used("{external: {nam: x}}"),
        'unknown key "nam"',
        ours="it ignores what it does not know there",
    ),
    Wrong("external-two", used("{external: {name: x}, name: y}"), "contradict each other"),
    Wrong(
        "near",
        used("{file: /s, lables: {a: b}}"),
        'unknown key "lables"',
        place="2:27",
        hint='"labels"',
    ),
    Wrong("reset", used("{file: /s}"), 'no config "one" in this project', over=over("!reset null")),
    Wrong(
        "environment-empty",
        used("{environment: ''}"),
        "must be given",
        ours="it takes a variable without a name",
    ),
    Wrong("content-number", used("{content: 3}"), "expected text, not a number"),
    Wrong(
        "content-and-file", used("{content: abc, file: ./s}"), "file and content exclude each other"
    ),
    Wrong(
        "content-and-variable",
        used("{content: abc, environment: V}"),
        "environment and content exclude",
        env={"V": "v"},
    ),
    Wrong(
        "content-and-unset",
        used("{content: abc, environment: V}"),
        "environment and content exclude",
    ),
    Wrong(
        "driver", used("{file: /s, driver: d}"), 'unknown key "driver"', hint="known here: content"
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_configs(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_configs_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
