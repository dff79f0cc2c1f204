"""What a load costs as a project grows, counted in calls: the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from orchestra.spec.loader import LoadOptions, load_project

_FEW, _MANY = 40, 160


def _plain(number: int) -> str:
    return (
        f"{{image: 'a:{number}', ports: ['{8000 + number}:80'], volumes: ['data:/data'],"
        f" environment: [A=$B, C], networks: [front], labels: {{x: y}}}}"
    )


def _waiting(number: int) -> str:
    return f"{{image: a, depends_on: [{f's{number - 1}' if number else ''}]}}"


def _extending(number: int) -> str:
    return f"{{extends: s{number - 1}, labels: {{x: y}}}}" if number else "{image: a}"


def _from_file(number: int) -> str:
    return f"{{extends: {{file: common.yaml, service: s{number}}}}}"


def calls(directory: Path, service: Callable[[int], str], count: int) -> int:
    """Return how many functions a load of so many services calls."""
    lines = "".join(f"  s{number}: {service(number)}\n" for number in range(count))
    rest = "volumes: {data: {}}\nnetworks: {front: {}}\n"
    (directory / "compose.yaml").write_text(f"services:\n{lines}{rest}")
    common = "".join(f"  s{number}: {_plain(number)}\n" for number in range(count))
    (directory / "common.yaml").write_text(f"services:\n{common}{rest}")
    counted = 0

    def count_one(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    sys.setprofile(count_one)
    try:
        load_project(LoadOptions(), {"B": "b"}, directory)
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("service", [_plain, _waiting, _extending, _from_file])
def test_four_times_the_services_cost_four_times_as_much(
    tmp_path: Path, service: Callable[[int], str]
) -> None:
    calls(tmp_path, service, 1)  # imports and the models' schemas
    few, many = (calls(tmp_path, service, count) for count in (_FEW, _MANY))
    assert few > 0
    assert many <= few * (_MANY / _FEW) * 1.05
