"""services.*.devices (compose-spec 05-services.md, devices)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.devices"

CASES = (
    Case(
        "same-inside",
        "devices: [/dev/ttyUSB0]",
        [{"source": "/dev/ttyUSB0", "target": "/dev/ttyUSB0", "permissions": "rwm"}],
    ),
    Case(
        "pair",
        "devices: ['/dev/ttyUSB0:/dev/ttyUSB1']",
        [{"source": "/dev/ttyUSB0", "target": "/dev/ttyUSB1", "permissions": "rwm"}],
    ),
    Case(
        "permissions",
        "devices: ['/dev/sda:/dev/xvda:rwm']",
        [{"source": "/dev/sda", "target": "/dev/xvda", "permissions": "rwm"}],
    ),
    Case(
        "read-only",
        "devices: ['/dev/sda:/dev/xvda:r']",
        [{"source": "/dev/sda", "target": "/dev/xvda", "permissions": "r"}],
    ),
    Case(
        "cdi",
        "devices: [vendor1.com/device=gpu]",
        [
            {
                "source": "vendor1.com/device=gpu",
                "target": "vendor1.com/device=gpu",
                "permissions": "rwm",
            }
        ],
    ),
    Case(
        "long",
        "devices: [{source: /dev/a, target: /dev/b, permissions: r}]",
        [{"source": "/dev/a", "target": "/dev/b", "permissions": "r"}],
    ),
    Case(
        "long-source-only",
        "devices: [{source: /dev/a}]",
        [{"source": "/dev/a"}],
        ours="it asks for a target of the long form alone",
    ),
    Case(
        "long-without-permissions",
        "devices: [{source: /dev/a, target: /dev/b}]",
        [{"source": "/dev/a", "target": "/dev/b"}],
    ),
    Case(
        "extension",
        "devices: [{source: /dev/a, target: /dev/b, x-c: d}]",
        [{"source": "/dev/a", "target": "/dev/b"}],
    ),
    Case(
        "relative-stays",
        "devices: ['./a:/dev/b']",
        [{"source": "./a", "target": "/dev/b", "permissions": "rwm"}],
    ),
    Case(
        "variable",
        "devices: ['${DEV}:/dev/a']",
        [{"source": "/dev/b", "target": "/dev/a", "permissions": "rwm"}],
        env={"DEV": "/dev/b"},
    ),
    Case("empty", "devices: []", ABSENT),
    Case(
        "appended",
        "devices: [/dev/a]",
        [
            {"source": "/dev/a", "target": "/dev/a", "permissions": "rwm"},
            {"source": "/dev/b", "target": "/dev/b", "permissions": "rwm"},
        ],
        over="devices: [/dev/b]",
    ),
    Case(
        "by-target",
        "devices: ['/dev/a:/dev/x', /dev/b]",
        [
            {"source": "/dev/c", "target": "/dev/x", "permissions": "rwm"},
            {"source": "/dev/b", "target": "/dev/b", "permissions": "rwm"},
        ],
        over="devices: ['/dev/c:/dev/x']",
    ),
    Case(
        "by-target-mixed",
        "devices: ['/dev/a:/dev/x']",
        [{"source": "/dev/c", "target": "/dev/x"}],
        over="devices: [{source: /dev/c, target: /dev/x}]",
    ),
    Case(
        "overridden",
        "devices: [/dev/a]",
        [{"source": "/dev/b", "target": "/dev/b", "permissions": "rwm"}],
        over="devices: !override [/dev/b]",
    ),
    Case("reset", "devices: [/dev/a]", ABSENT, over="devices: !reset []"),
)

WRONG = (
    Wrong(
        "text",
        "devices: /dev/a",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("mapping", "devices: {/dev/a: /dev/b}", "expected a list, not a mapping"),
    Wrong(
        "too-many-parts",
        "devices: ['/dev/a:/dev/b:r:w']",
        'no device: "/dev/a:/dev/b:r:w"',
        place="4:15",
        hint="write SOURCE[:TARGET[:PERMISSIONS]]",
    ),
    Wrong(
        "number",
        "devices: [1]",
        "expected a device, not a number",
        place="4:15",
        hint="write /dev/NAME, or a mapping with source and target",
    ),
    Wrong(
        "no-source",
        "devices: [{target: /dev/b}]",
        '"source" is missing',
        place="4:15",
        hint="write source here",
    ),
    Wrong(
        "unknown-key",
        "devices: [{source: /dev/a, premissions: r}]",
        'unknown key "premissions"',
        place="4:32",
        hint='did you mean "permissions"?',
    ),
    Wrong("number-source", "devices: [{source: 1, target: /dev/a}]", "expected text, not a number"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_devices(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_devices_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
