"""The stand-in for importlib.metadata: unread until someone uses it, then the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROBE = """
import json, sys
from orchestra.cli.thrift import spare_pydantic
spare_pydantic()
from importlib.metadata import entry_points
import importlib.metadata
before = "email" in sys.modules
{use}
print(json.dumps([before, "email" in sys.modules, found]))
"""


@pytest.mark.parametrize(
    ("use", "loaded", "found"),
    [
        ("found = None", False, None),
        ("found = importlib.metadata.version('pyyaml').split('.')[0]", True, "6"),
        ("from importlib.metadata import version; found = version('pyyaml')[0]", True, "6"),
        ("found = len(entry_points(group='no-such-group'))", True, 0),
        ("import pydantic.main; found = 'email' in sys.modules", False, False),
        ("class A(__import__('pydantic').BaseModel): x: int\nfound = A(x=1).x", False, 1),
        ("found = hasattr(importlib.metadata, 'nonsense')", True, False),
    ],
    ids=["unused", "attribute", "name", "entry points", "pydantic", "a model", "nonsense"],
)
def test_it_loads_when_it_is_used(use: str, *, loaded: bool, found: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(use=use)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert json.loads(done.stdout) == [False, loaded, found]
