"""services.*.cpus (compose-spec 05-services.md, cpus)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.cpus"

CASES = (
    Case("fraction", "cpus: 1.5", 1.5),
    Case("whole", "cpus: 2", 2),
    Case("text", "cpus: '0.25'", 0.25),
    Case("leading-dot", "cpus: .5", 0.5),
    Case("no-limit", "cpus: 0.000", ABSENT),
    Case("exponent", "cpus: '1e-1'", 0.1),
    Case("float32", "cpus: 0.1", 0.1),
    Case("many-digits", "cpus: 0.123456789", 0.123456789, ours="it keeps seven digits"),
    Case("variable", "cpus: ${CPUS:-0.75}", 0.75),
    Case("merged", "cpus: 1", 0.5, over="cpus: 0.5"),
    Case("reset", "cpus: 1", ABSENT, over="cpus: !reset null"),
    Case(
        "null",
        "cpus:",
        ABSENT,
        ours="it refuses what has no value, its predecessor took it as none",
    ),
    Case("same-as-deploy", "cpus: 0.5\ndeploy: {resources: {limits: {cpus: '0.5'}}}", 0.5),
    Case("beside-other-limits", "deploy: {resources: {limits: {cpus: '0.5'}}}", ABSENT),
)

WRONG = (
    Wrong(
        "word",
        "cpus: all",
        "expected a number, not text",
        place="4:5",
        hint="write it in digits, without a unit",
    ),
    Wrong("flag", "cpus: true", "expected a number, not true or false"),
    Wrong("list", "cpus: [1]", "expected a number, not a list"),
    Wrong("comma", "cpus: '1,5'", "expected a number, not text"),
    Wrong("empty", "cpus: ''", "expected a number, not empty text"),
    Wrong(
        "differs-from-deploy",
        "cpus: 0.5\ndeploy: {resources: {limits: {cpus: '1'}}}",
        "cpus and deploy.resources.limits.cpus differ",
        place="4:5",
        hint="keep one",
    ),
    Wrong(
        "deploy-without",
        "cpus: 0.5\ndeploy: {resources: {limits: {memory: 1g}}}",
        "cpus and deploy.resources.limits.cpus differ",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_cpus(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_cpus_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
