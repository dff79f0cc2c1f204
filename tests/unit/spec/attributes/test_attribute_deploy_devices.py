"""services.*.deploy.resources.reservations.devices (compose-spec deploy.md, devices)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.deploy.resources.reservations.devices"


def reserve(devices: str) -> str:
    """Return a service that reserves these devices."""
    return f"deploy: {{resources: {{reservations: {{devices: {devices}}}}}}}"


CASES = (
    Case(
        "capabilities", reserve("[{capabilities: [gpu]}]"), [{"capabilities": ["gpu"], "count": -1}]
    ),
    Case(
        "count",
        reserve("[{capabilities: [tpu], count: 2}]"),
        [{"capabilities": ["tpu"], "count": 2}],
    ),
    Case(
        "count-all",
        reserve("[{capabilities: [gpu], count: all}]"),
        [{"capabilities": ["gpu"], "count": -1}],
    ),
    Case(
        "count-text",
        reserve("[{capabilities: [gpu], count: '3'}]"),
        [{"capabilities": ["gpu"], "count": 3}],
    ),
    Case(
        "count-variable",
        reserve("[{capabilities: [gpu], count: '${N:-all}'}]"),
        [{"capabilities": ["gpu"], "count": -1}],
    ),
    Case(
        "device-ids",
        reserve("[{capabilities: [gpu], device_ids: ['0', GPU-f123d1c9]}]"),
        [{"capabilities": ["gpu"], "device_ids": ["0", "GPU-f123d1c9"]}],
    ),
    Case(
        "driver-and-options",
        reserve("[{capabilities: [gpu], driver: vendor, options: {virtualization: false, n: 1}}]"),
        [
            {
                "capabilities": ["gpu"],
                "driver": "vendor",
                "count": -1,
                "options": {"n": "1", "virtualization": "false"},
            }
        ],
    ),
    Case(
        "options-list",
        reserve("[{capabilities: [gpu], options: [a=b]}]"),
        [{"capabilities": ["gpu"], "count": -1, "options": {"a": "b"}}],
    ),
    Case(
        "extension",
        reserve("[{capabilities: [gpu], x-a: b}]"),
        [{"capabilities": ["gpu"], "count": -1}],
    ),
    Case("empty", reserve("[]"), ABSENT),
    Case(
        "appended",
        reserve("[{capabilities: [gpu]}]"),
        [{"capabilities": ["gpu"], "count": -1}, {"capabilities": ["tpu"], "count": -1}],
        over=reserve("[{capabilities: [tpu]}]"),
    ),
    Case(
        "appended-same",
        reserve("[{capabilities: [gpu], count: 1}]"),
        [{"capabilities": ["gpu"], "count": 1}],
        over=reserve("[{capabilities: [gpu], count: 1}]"),
    ),
    Case(
        "overridden",
        reserve("[{capabilities: [gpu]}]"),
        [{"capabilities": ["tpu"], "count": 1}],
        over=reserve("!override [{capabilities: [tpu], count: 1}]"),
    ),
)

WRONG = (
    Wrong(
        "no-capabilities",
        reserve("[{driver: vendor}]"),
        '"capabilities" is missing',
        place="4:51",
        hint='say what is needed, as in ["gpu"]',
    ),
    Wrong(
        "capabilities-text",
        reserve("[{capabilities: gpu}]"),
        "expected a list, not text",
        place="4:52",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "capabilities-twice",
        reserve("[{capabilities: [gpu, gpu]}]"),
        "the list holds this twice",
        place="4:72",
        hint="keep one",
    ),
    Wrong(
        "count-and-ids",
        reserve("[{capabilities: [gpu], count: 1, device_ids: ['0']}]"),
        "count and device_ids exclude each other",
        place="4:51",
        hint="keep one",
    ),
    Wrong(
        "count-word",
        reserve("[{capabilities: [gpu], count: some}]"),
        'expected a number or "all"',
        place="4:73",
        hint="write all, or digits",
    ),
    Wrong(
        "ids-numbers",
        reserve("[{capabilities: [gpu], device_ids: [0]}]"),
        "expected text, not a number",
        place="4:86",
        hint="put it in quotes",
    ),
    Wrong("text-item", reserve("[gpu]"), "expected a mapping, not text"),
    Wrong("mapping", reserve("{capabilities: [gpu]}"), "expected a list, not a mapping"),
    Wrong(
        "unknown",
        reserve("[{capabilities: [gpu], drivers: a}]"),
        'unknown key "drivers"',
        place="4:73",
        hint='did you mean "driver"?',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_deploy_devices(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_deploy_devices_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
