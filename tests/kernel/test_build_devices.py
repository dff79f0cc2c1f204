"""Devices of CDI in build steps: with all that their specs say, and only where they are granted."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from orchestra.errors import BuildError

pytestmark = pytest.mark.kernel
SPECS = Path("/var/run/cdi")


@pytest.fixture
def vendor(token, tmp_path):
    """A made-up vendor with one device, of a kind that nobody else has."""
    document = {
        "cdiVersion": "0.7.0",
        "kind": f"{token}.example/widget",
        "devices": [
            {
                "name": "w0",
                "containerEdits": {
                    "env": ["WIDGET=yes"],
                    "deviceNodes": [{"path": "/dev/widget0", "hostPath": "/dev/zero"}],
                    "mounts": [
                        {
                            "hostPath": str(tmp_path),
                            "containerPath": "/opt/acme",
                            "options": ["ro", "rbind"],
                        }
                    ],
                },
            }
        ],
    }
    path = SPECS / f"{token}.json"
    existed = SPECS.exists()
    while not path.exists():
        with suppress(FileNotFoundError):  # another test's end has taken the directory away
            SPECS.mkdir(exist_ok=True)
            path.write_text(json.dumps(document))
    (tmp_path / "given").write_text("given")
    yield document["kind"]
    path.unlink()
    if not existed:
        with suppress(OSError):  # or has a device there
            SPECS.rmdir()


def test_a_step_gets_the_devices_that_it_asks_for(builder, vendor):
    text = (
        "FROM test/box\n"
        f"RUN --device={vendor}=w0,required --device=none.example/x=y "
        "head -c 4 /dev/widget0 | wc -c; echo $WIDGET; cat /opt/acme/given; cp /opt/acme/given /\n"
        "RUN [ ! -e /dev/widget0 ] && echo -$WIDGET-\n"
    )
    image = builder.build(text, entitlements=(f"device={vendor}=w0",))
    assert builder.said == "4\nyes\ngiven\n--\n"
    files = builder.layer_files(image)
    assert files["given"] == b"given"
    assert not [name for name in files if name.startswith(("opt/acme", "dev/widget"))]
    assert "WIDGET" not in str(image.config.env)
    assert builder.build(text, entitlements=("device",)).id == image.id
    assert builder.done() == [], "who may have it is no part of what a step leaves"


def test_devices_are_for_builds_that_are_given_them(builder, vendor):
    text = f"FROM test/box\nRUN --device={vendor} true\n"
    with pytest.raises(BuildError, match="needs the entitlement device") as caught:
        builder.build(text)
    assert caught.value.location.line == 2
    assert "--allow device=" in caught.value.hint
    builder.build(text, entitlements=("device",))
    with pytest.raises(BuildError, match="needs the entitlement device"):
        builder.build(text)  # though the step is known by now
    with pytest.raises(BuildError, match="is required and not there"):
        builder.build("FROM test/box\nRUN --device=none.example/x=y,required true\n")
