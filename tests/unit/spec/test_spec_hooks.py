"""What a pre_start container takes from its service."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, check

KEY = "services.*.pre_start"

_NET = {"default": None}
_BASE = {"command": None, "entrypoint": None, "image": "busybox", "networks": _NET}

CASES = (
    Case("all of it", "cap_drop: [KILL]\npre_start: [{}]", [{**_BASE, "cap_drop": ["KILL"]}]),
    Case("image", "pre_start: [{image: other}]", [{**_BASE, "image": "other"}]),
    Case(
        "completed",
        "environment: {A: a, B: b}\ncap_add: [ALL]\n"
        "pre_start: [{environment: [B=x, C=c], cap_add: [KILL, ALL]}]",
        [
            {
                **_BASE,
                "environment": {"A": "a", "B": "x", "C": "c"},
                "cap_add": ["ALL", "KILL"],
            }
        ],
    ),
    Case(
        "command",
        "command: serve\npre_start: [{command: migrate}, {}]",
        [{**_BASE, "command": ["migrate"]}, {**_BASE, "command": ["serve"]}],
    ),
    Case(
        "not the workload",
        "ports: ['80:80']\nhealthcheck: {test: 'true'}\nrestart: always\nx-mine: 1\npre_start: [{}]",
        [_BASE],
    ),
    Case("not the mounts", "volumes: [/data]\npre_start: [{}]", [_BASE]),
    Case(
        "own mounts",
        "pre_start: [{volumes: [/data], per_replica: true}]",
        [
            {
                **_BASE,
                "volumes": [{"type": "volume", "target": "/data", "volume": {}}],
                "per_replica": True,
            }
        ],
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_pre_start(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)
