"""cap_add, cap_drop and privileged, as Docker adds them up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.container.capabilities import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    capability_set,
)
from orchestra.engine.container.plain_process import capability_sets
from orchestra.errors import ContainerError

ALL = set(ALL_CAPABILITIES)
DEFAULT = set(DEFAULT_CAPABILITIES)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], DEFAULT),
        (["net_admin"], [], DEFAULT | {"CAP_NET_ADMIN"}),
        (["CAP_SYS_TIME"], ["NET_RAW"], DEFAULT - {"CAP_NET_RAW"} | {"CAP_SYS_TIME"}),
        ([], ["ALL"], set()),
        (["CHOWN"], ["all"], {"CAP_CHOWN"}),
        (["ALL"], [], ALL),
        (["ALL"], ["SYS_ADMIN"], ALL - {"CAP_SYS_ADMIN"}),
        (["ALL"], ["ALL"], ALL),
        (["CHOWN"], ["CHOWN"], DEFAULT),
    ],
)
def test_arithmetic(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert set(capability_set(add, drop)) == expected


def test_there_are_fourteen_by_default() -> None:
    assert len(DEFAULT_CAPABILITIES) == 14
    assert len(ALL_CAPABILITIES) == 41


def test_privileged_is_everything_the_host_has() -> None:
    available = ALL_CAPABILITIES[:-1]
    assert capability_set(privileged=True, available=available) == available


@pytest.mark.parametrize("name", ["NOSUCH", "CAP_", "", "CAP_CAP_CHOWN", "CHOWN,KILL"])
def test_an_unknown_name_is_an_error(name: str) -> None:
    with pytest.raises(ContainerError, match="unknown capability"):
        capability_set([name])
    with pytest.raises(ContainerError, match="unknown capability"):
        capability_set([], [name])


def test_what_the_host_lacks_cannot_be_added() -> None:
    available = [name for name in ALL_CAPABILITIES if name != "CAP_SYS_RESOURCE"]
    with pytest.raises(ContainerError, match="not available"):
        capability_set(["SYS_RESOURCE"], available=available)
    assert "CAP_SYS_RESOURCE" not in capability_set(["ALL"], available=available)


def test_a_user_holds_nothing() -> None:
    sets = capability_sets(DEFAULT_CAPABILITIES, uid=1000)
    assert sets["effective"] == sets["permitted"] == sets["inheritable"] == sets["ambient"] == []
    assert sets["bounding"] == list(DEFAULT_CAPABILITIES)


@given(st.sets(st.sampled_from(ALL_CAPABILITIES)), st.sets(st.sampled_from(ALL_CAPABILITIES)))
def test_added_ones_are_in_and_dropped_ones_out(add: set[str], drop: set[str]) -> None:
    result = set(capability_set(add, drop))
    assert add <= result
    assert not result & (drop - add)
    assert result <= DEFAULT | add
