"""services.*.deploy.resources.reservations.generic_resources (compose-spec deploy.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.deploy.resources.reservations.generic_resources"


def reserve(resources: str) -> str:
    """Return a service that reserves these resources."""
    return f"deploy: {{resources: {{reservations: {{generic_resources: {resources}}}}}}}"


CASES = (
    Case(
        "one",
        reserve("[{discrete_resource_spec: {kind: gpu, value: 2}}]"),
        [{"discrete_resource_spec": {"kind": "gpu", "value": 2}}],
    ),
    Case(
        "two",
        reserve(
            "[{discrete_resource_spec: {kind: a, value: 1}}, {discrete_resource_spec: {kind: b, value: 2}}]"
        ),
        [
            {"discrete_resource_spec": {"kind": "a", "value": 1}},
            {"discrete_resource_spec": {"kind": "b", "value": 2}},
        ],
    ),
    Case(
        "text",
        reserve("[{discrete_resource_spec: {kind: gpu, value: '2'}}]"),
        [{"discrete_resource_spec": {"kind": "gpu", "value": 2}}],
    ),
    Case(
        "kind-only",
        reserve("[{discrete_resource_spec: {kind: gpu}}]"),
        [{"discrete_resource_spec": {"kind": "gpu", "value": 0}}],
    ),
    Case(
        "empty-spec",
        reserve("[{discrete_resource_spec: {}}]"),
        [{"discrete_resource_spec": {"kind": "", "value": 0}}],
    ),
    Case("empty-item", reserve("[{}]"), [{}]),
    Case(
        "extension",
        reserve("[{discrete_resource_spec: {kind: gpu, value: 2, x-a: b}, x-c: d}]"),
        [{"discrete_resource_spec": {"kind": "gpu", "value": 2}}],
    ),
    Case(
        "variable",
        reserve("[{discrete_resource_spec: {kind: '${K}', value: '${V}'}}]"),
        [{"discrete_resource_spec": {"kind": "a", "value": 4}}],
        env={"K": "a", "V": "4"},
    ),
    Case(
        "appended",
        reserve("[{discrete_resource_spec: {kind: a, value: 1}}]"),
        [
            {"discrete_resource_spec": {"kind": "a", "value": 1}},
            {"discrete_resource_spec": {"kind": "a", "value": 2}},
        ],
        over=reserve("[{discrete_resource_spec: {kind: a, value: 2}}]"),
    ),
    Case("empty", reserve("[]"), ABSENT),
)

WRONG = (
    Wrong(
        "mapping",
        reserve("{kind: gpu}"),
        "expected a list, not a mapping",
        place="4:41",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("text-item", reserve("[gpu=1]"), "expected a mapping, not text"),
    Wrong(
        "unknown",
        reserve("[{discrete_resource: {kind: gpu}}]"),
        'unknown key "discrete_resource"',
        place="4:62",
        hint='did you mean "discrete_resource_spec"?',
    ),
    Wrong(
        "unknown-inside",
        reserve("[{discrete_resource_spec: {kinds: gpu}}]"),
        'unknown key "kinds"',
        place="4:87",
        hint='did you mean "kind"?',
    ),
    Wrong(
        "value-word",
        reserve("[{discrete_resource_spec: {kind: gpu, value: two}}]"),
        "expected a whole number, not text",
        place="4:98",
        hint="write it in digits, without a unit",
    ),
    Wrong(
        "kind-number",
        reserve("[{discrete_resource_spec: {kind: 1, value: 2}}]"),
        "expected text, not a number",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_deploy_generic_resources(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_deploy_generic_resources_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
