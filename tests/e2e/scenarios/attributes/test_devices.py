"""Devices by the name that a vendor's CDI spec gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.scenario import Scenario

APP = 'command: ["sleep", "1000"]'
SPECS = Path("/var/run/cdi")


@pytest.fixture
def vendor(scenario: Scenario) -> Iterator[str]:
    """A made-up vendor with one device, of a kind that nobody else has."""
    kind = f"{scenario.project}.example/widget"
    mark = scenario.directory / "hook"
    document = {
        "cdiVersion": "0.7.0",
        "kind": kind,
        "containerEdits": {
            "env": ["VENDOR=acme"],
            "hooks": [
                {"hookName": "createRuntime", "path": "/bin/touch", "args": ["touch", str(mark)]}
            ],
        },
        "devices": [
            {
                "name": "w0",
                "containerEdits": {
                    "deviceNodes": [{"path": "/dev/widget0", "hostPath": "/dev/zero"}],
                    "mounts": [
                        {
                            "hostPath": str(scenario.directory),
                            "containerPath": "/opt/acme",
                            "options": ["ro", "rbind"],
                        }
                    ],
                    "additionalGids": [4242],
                },
            }
        ],
    }
    existed = SPECS.exists()
    SPECS.mkdir(exist_ok=True)
    path = SPECS / f"{scenario.project}.json"
    path.write_text(json.dumps(document))
    yield kind
    path.unlink()
    if not existed:
        SPECS.rmdir()


def test_a_vendors_device_comes_with_all_it_needs(scenario: Scenario, vendor: str) -> None:
    scenario.edit(APP, f"{APP}\n    devices: ['{vendor}=w0']")
    scenario.up()
    script = "head -c 4 /dev/widget0 | wc -c; echo $VENDOR; ls /opt/acme/compose.yaml; id -G"
    lines = scenario.exec("app", "sh", "-c", script).out.splitlines()
    assert lines[:3] == ["4", "acme", "/opt/acme/compose.yaml"]
    assert "4242" in lines[3].split()
    assert (scenario.directory / "hook").exists()
    assert "Read-only" in scenario.exec("app", "touch", "/opt/acme/x", code=1).err


def test_devices_that_nobody_gives_are_refused(scenario: Scenario, vendor: str) -> None:
    scenario.edit(APP, f"{APP}\n    devices: ['{vendor}=w9']")
    done = scenario.up(code=5)
    assert f"unresolvable CDI devices {vendor}=w9" in done.err
    assert f"{vendor}=w0" in done.err
    scenario.edit(f"devices: ['{vendor}=w9']", "gpus: [{driver: acme}]")
    done = scenario.up(code=5)
    assert 'could not select device driver "acme" with capabilities: [[gpu]]' in done.err
