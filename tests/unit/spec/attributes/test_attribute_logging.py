"""services.*.logging (compose-spec 05-services.md, logging)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.logging"

CASES = (
    Case(
        "driver",
        "logging: {driver: syslog, options: {syslog-address: 'tcp://192.168.0.42:123'}}",
        {"driver": "syslog", "options": {"syslog-address": "tcp://192.168.0.42:123"}},
    ),
    Case("driver-only", "logging: {driver: none}", {"driver": "none"}),
    Case(
        "options-only",
        "logging: {options: {max-size: 10m, max-file: 3}}",
        {"options": {"max-file": "3", "max-size": "10m"}},
    ),
    Case(
        "typed-options",
        "logging: {options: {a: 1.5, b: , c: ''}}",
        {"options": {"a": "1.5", "b": "", "c": ""}},
    ),
    Case("empty", "logging: {}", {}),
    Case("extension", "logging: {driver: a, x-b: c}", {"driver": "a"}),
    Case(
        "variable",
        "logging: {driver: '${D}', options: {a: '${A}'}}",
        {"driver": "local", "options": {"a": "1"}},
        env={"D": "local", "A": "1"},
    ),
    Case(
        "merged",
        "logging: {driver: a, options: {b: 1}}",
        {"driver": "a", "options": {"b": "1", "c": "2"}},
        over="logging: {options: {c: 2}}",
    ),
    Case(
        "merged-same-driver",
        "logging: {driver: a, options: {b: 1}}",
        {"driver": "a", "options": {"b": "1", "c": "2"}},
        over="logging: {driver: a, options: {c: 2}}",
    ),
    Case(
        "other-driver",
        "logging: {driver: a, options: {b: 1}}",
        {"driver": "z", "options": {"c": "2"}},
        over="logging: {driver: z, options: {c: 2}}",
    ),
    Case(
        "driver-in-second",
        "logging: {options: {b: 1}}",
        {"driver": "a", "options": {"b": "1"}},
        over="logging: {driver: a}",
    ),
    Case(
        "overridden",
        "logging: {driver: a, options: {b: 1}}",
        {"driver": "a"},
        over="logging: !override {driver: a}",
    ),
    Case("reset", "logging: {driver: a}", ABSENT, over="logging: !reset null"),
)

WRONG = (
    Wrong(
        "text",
        "logging: json-file",
        "expected a mapping, not text",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong("list", "logging: [a]", "expected a mapping, not a list"),
    Wrong(
        "unknown",
        "logging:\n  option: {a: b}",
        'unknown key "option"',
        place="5:7",
        hint='did you mean "options"?',
    ),
    Wrong(
        "driver-number",
        "logging: {driver: 1}",
        "expected text, not a number",
        place="4:15",
        hint="put it in quotes",
    ),
    Wrong(
        "options-list",
        "logging: {options: [a=b]}",
        "expected a mapping, not a list",
        place="4:15",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "options-flag",
        "logging: {options: {a: true}}",
        "expected text or a number, not true or false",
        place="4:25",
        hint="put it in quotes",
    ),
    Wrong(
        "options-nested",
        "logging: {options: {a: {b: c}}}",
        "expected text or a number, not a mapping",
        place="4:25",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_logging(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_logging_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
