"""services.*.pid and services.*.uts (compose-spec 05-services.md, pid, uts)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.pid"
COVERS = ("services.*.uts",)

CASES = (
    Case("host", "pid: host", "host"),
    Case("container", "pid: container:abc", "container:abc"),
    Case(
        "service",
        """
        services:
          web: {image: a, pid: "service:db"}
          db: {image: b}
        """,
        "service:db",
    ),
    Case(
        "service-depends",
        """
        services:
          web: {image: a, pid: "service:db"}
          db: {image: b}
        """,
        {"db": {"condition": "service_started", "restart": True, "required": True}},
        key="services.*.depends_on",
    ),
    Case("empty", "pid: ''", ABSENT),
    Case("null", "pid:", ABSENT, ours="it crashes, though the schema allows null here"),
    Case("variable", "pid: '${P:-host}'", "host"),
    Case("over", "pid: host", "container:a", over="pid: container:a"),
    Case("reset", "pid: host", ABSENT, over="pid: !reset null"),
    Case("uts-host", "uts: host", "host", key="services.*.uts"),
    Case(
        "uts-service",
        """
        services:
          web: {image: a, uts: "service:db"}
          db: {image: b}
        """,
        {"db": {"condition": "service_started", "restart": True, "required": True}},
        key="services.*.depends_on",
    ),
    Case("uts-empty", "uts: ''", ABSENT, key="services.*.uts"),
    Case("uts-null", "uts:", ABSENT, key="services.*.uts", ours=NULL),
    Case("uts-over", "uts: host", "x", over="uts: x", key="services.*.uts"),
)

WRONG = (
    Wrong("number", "pid: 1", "expected text, not a number", place="4:5", hint="quotes"),
    Wrong("list", "pid: [host]", "expected text, not a list"),
    Wrong(
        "unknown",
        "pid: service:nope",
        'no service "nope" in this project',
        place="4:5",
        hint="define services.nope",
    ),
    Wrong("itself", "pid: service:web", "circle: web -> web", place="4:5", hint="break it"),
    Wrong("uts-number", "uts: 1", "expected text, not a number", place="4:5"),
    Wrong("uts-unknown", "uts: service:nope", 'no service "nope" in this project', place="4:5"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_pid(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_pid_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
