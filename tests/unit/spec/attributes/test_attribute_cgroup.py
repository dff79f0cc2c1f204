"""services.*.cgroup (compose-spec 05-services.md, cgroup and cgroup_parent)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.cgroup"
COVERS = ("services.*.cgroup_parent",)

PARENT = "services.*.cgroup_parent"

CASES = (
    Case("host", "cgroup: host", "host"),
    Case("private", "cgroup: private", "private"),
    Case("unset", "tty: true", ABSENT),
    Case("variable", "cgroup: ${CGROUP}", "private", env={"CGROUP": "private"}),
    Case("merged", "cgroup: host", "private", over="cgroup: private"),
    Case("reset", "cgroup: host", ABSENT, over="cgroup: !reset null"),
    Case("parent", "cgroup_parent: m-executor-abcd", "m-executor-abcd", key=PARENT),
    Case("parent-path", "cgroup_parent: /outer/inner", "/outer/inner", key=PARENT),
    Case("parent-empty", "cgroup_parent: ''", ABSENT, key=PARENT),
    Case("parent-variable", "cgroup_parent: '${A}/b'", "a/b", key=PARENT, env={"A": "a"}),
    Case("parent-merged", "cgroup_parent: a", "b", key=PARENT, over="cgroup_parent: b"),
)

WRONG = (
    Wrong(
        "unknown",
        "cgroup: hots",
        'expected "host" or "private"',
        place="4:5",
        hint='did you mean "host"?',
    ),
    Wrong("far-off", "cgroup: x", 'expected "host" or "private"', hint="choose one"),
    Wrong("list", "cgroup: [host]", 'expected "host" or "private", not a list'),
    Wrong(
        "parent-number",
        "cgroup_parent: 3",
        "expected text, not a number",
        place="4:5",
        hint="put it in quotes",
    ),
    Wrong("parent-list", "cgroup_parent: [a]", "expected text, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_cgroup(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_cgroup_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
