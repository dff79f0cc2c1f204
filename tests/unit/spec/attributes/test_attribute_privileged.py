"""services.*.privileged and the other attributes that are true or false (05-services.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.privileged"
COVERS = (
    "services.*.oom_kill_disable",
    "services.*.read_only",
    "services.*.stdin_open",
    "services.*.tty",
    "services.*.use_api_socket",
)

OTHERS = ("oom_kill_disable", "read_only", "stdin_open", "tty")
TRUE = ("true", "'true'", "True", "TRUE", "'yes'", "yes", "'On'", "y")
FALSE = ("false", "'false'", "FALSE", "'no'", "no", "'OFF'", "n")
UNCONVERTED = "it converts the text of a variable for every such attribute but this one"

CASES = (
    *(Case(f"true-{text}", f"privileged: {text}", shown=True) for text in TRUE),
    *(Case(f"false-{text}", f"privileged: {text}", ABSENT) for text in FALSE),
    Case("variable", "privileged: '${FLAG}'", shown=True, env={"FLAG": "true"}),
    Case("default", "privileged: '${FLAG:-true}'", shown=True),
    Case("null", "privileged:", ABSENT, ours=NULL),
    Case("over", "privileged: true", ABSENT, over="privileged: false"),
    Case("over-true", "privileged: false", shown=True, over="privileged: 'true'"),
    Case("over-null", "privileged: true", shown=True, over="privileged:"),
    Case("reset", "privileged: true", ABSENT, over="privileged: !reset null"),
    *(Case(f"{name}-1", f"{name}: true", shown=True, key=f"services.*.{name}") for name in OTHERS),
    *(Case(f"{name}-0", f"{name}: false", ABSENT, key=f"services.*.{name}") for name in OTHERS),
    *(Case(f"{name}-y", f"{name}: 'yes'", shown=True, key=f"services.*.{name}") for name in OTHERS),
    *(
        Case(f"{name}-over", f"{name}: true", ABSENT, over=f"{name}: no", key=f"services.*.{name}")
        for name in OTHERS
    ),
    Case("socket", "use_api_socket: true", shown=True, key="services.*.use_api_socket"),
    Case("socket-false", "use_api_socket: false", ABSENT, key="services.*.use_api_socket"),
    Case(
        "socket-variable",
        "use_api_socket: '${FLAG}'",
        shown=True,
        env={"FLAG": "true"},
        key="services.*.use_api_socket",
        ours=UNCONVERTED,
    ),
)

WRONG = (
    Wrong(
        "word",
        "privileged: maybe",
        "expected true or false, not text",
        place="4:5",
        hint="write true or false",
    ),
    Wrong("one", "privileged: 1", "expected true or false, not a number"),
    Wrong("one-text", "privileged: '1'", "expected true or false, not text"),
    Wrong("fraction", "privileged: 1.5", "expected true or false, not a fraction"),
    Wrong("empty", "privileged: ''", "expected true or false, not empty text"),
    Wrong("unset", "privileged: '${FLAG}'", "expected true or false, not empty text"),
    Wrong("list", "privileged: [true]", "expected true or false, not a list"),
    Wrong("mapping", "privileged: {a: true}", "expected true or false, not a mapping"),
    *(Wrong(f"{name}-word", f"{name}: maybe", "expected true or false") for name in OTHERS),
    *(Wrong(f"{name}-number", f"{name}: 1", "expected true or false") for name in OTHERS),
    Wrong("socket-word", "use_api_socket: maybe", "expected true or false, not text"),
    Wrong("socket-number", "use_api_socket: 1", "expected true or false, not a number"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_privileged(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_privileged_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
