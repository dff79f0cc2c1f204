"""services.*.gpus (compose-spec 05-services.md, gpus)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.gpus"

CASES = (
    Case("all", "gpus: all", [{"count": -1}]),
    Case("count", "gpus: [{driver: 3dfx, count: 2}]", [{"driver": "3dfx", "count": 2}]),
    Case("count-all", "gpus: [{count: all}]", [{"count": -1}]),
    Case("count-text", "gpus: [{count: '2'}]", [{"count": 2}]),
    Case("empty-request", "gpus: [{}]", [{"count": -1}]),
    Case(
        "capabilities",
        "gpus: [{capabilities: [gpu, compute]}]",
        [{"capabilities": ["gpu", "compute"], "count": -1}],
    ),
    Case("device-ids", "gpus: [{device_ids: ['0', GPU-1]}]", [{"device_ids": ["0", "GPU-1"]}]),
    Case(
        "options",
        "gpus: [{driver: a, options: {b: 1, c: true}}]",
        [{"driver": "a", "count": -1, "options": {"b": "1", "c": "true"}}],
    ),
    Case(
        "options-list",
        "gpus: [{driver: a, options: [b=1]}]",
        [{"driver": "a", "count": -1, "options": {"b": "1"}}],
    ),
    Case("extension", "gpus: [{driver: a, x-b: c}]", [{"driver": "a", "count": -1}]),
    Case(
        "variable",
        "gpus: [{driver: '${D}', count: '${N}'}]",
        [{"driver": "a", "count": 1}],
        env={"D": "a", "N": "1"},
    ),
    Case("all-variable", "gpus: ${G:-all}", [{"count": -1}]),
    Case("empty", "gpus: []", ABSENT),
    Case(
        "appended",
        "gpus: [{driver: a}]",
        [{"driver": "a", "count": -1}, {"driver": "b", "count": 1}],
        over="gpus: [{driver: b, count: 1}]",
    ),
    Case(
        "overridden",
        "gpus: all",
        [{"driver": "b", "count": -1}],
        over="gpus: !override [{driver: b}]",
    ),
    Case("reset", "gpus: all", ABSENT, over="gpus: !reset null"),
)

WRONG = (
    Wrong("word", "gpus: some", 'expected "all" or a list', place="4:5", hint="write all"),
    Wrong(
        "number",
        "gpus: 2",
        'expected "all" or a list, not a number',
        place="4:5",
        hint="write all, or a list of requests",
    ),
    Wrong("mapping", "gpus: {count: 2}", 'expected "all" or a list, not a mapping', place="4:5"),
    Wrong(
        "text-item",
        "gpus: [all]",
        "expected a mapping, not text",
        place="4:12",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "count-word",
        "gpus: [{count: few}]",
        'expected a number or "all"',
        place="4:13",
        hint="write all, or digits",
    ),
    Wrong(
        "count-and-ids",
        "gpus: [{count: 1, device_ids: ['0']}]",
        "count and device_ids exclude each other",
        place="4:12",
        hint="keep one",
    ),
    Wrong(
        "capabilities-text",
        "gpus: [{capabilities: gpu}]",
        "expected a list, not text",
        place="4:13",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "ids-twice",
        "gpus: [{device_ids: ['0', '0']}]",
        "the list holds this twice",
        hint="keep one",
    ),
    Wrong(
        "unknown",
        "gpus: [{drivr: a}]",
        'unknown key "drivr"',
        place="4:13",
        hint='did you mean "driver"?',
        ours="its schema leaves these mappings open",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gpus(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_gpus_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
