"""RUN --device: how requests are read, and which devices of CDI they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.engine.build.devices import RunDevice, chosen_devices, read_device
from orchestra.engine.container.cdi import Registry, read_registry
from orchestra.errors import BuildError

SPEC = """
cdiVersion: "0.6.0"
kind: vendor1.com/device
annotations: {org.mobyproject.buildkit.device.class: class1}
devices:
- name: foo
  containerEdits: {env: [FOO=injected]}
  annotations: {org.mobyproject.buildkit.device.autoallow: true}
- name: bar
  containerEdits: {env: [BAR=injected]}
- name: baz
  containerEdits: {env: [BAZ=injected]}
  annotations: {org.mobyproject.buildkit.device.class: class2}
"""
FOO, BAR, BAZ = (f"vendor1.com/device={name}" for name in ("foo", "bar", "baz"))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "vendor1.yaml").write_text(SPEC)
    return read_registry([str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "required"),
    [
        (FOO, False),
        ("vendor1.com/device", False),
        (f"{FOO},required", True),
        (f"{FOO},required=true", True),
        (f"{FOO},required=false", False),
        (f"name={FOO}", False),
        (f"required,name={FOO}", True),
    ],
)
def test_a_request_is_read(text: str, required: bool) -> None:
    name = "vendor1.com/device" if text == "vendor1.com/device" else FOO
    assert read_device(text) == RunDevice(name=name, required=required)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (FOO, [FOO]),
        ("vendor1.com/device", [BAR]),
        ("vendor1.com/device=*", [BAR, BAZ, FOO]),
        ("class1", [BAR, FOO]),
        ("class2", [BAZ]),
        ("vendor2.com/device=foo", []),
        ("vendor1.com/device=none", []),
        ("class3", []),
    ],
)
def test_which_devices_a_step_gets(registry: Registry, name: str, found: list[str]) -> None:
    assert list(chosen_devices([RunDevice(name=name)], ["device"], registry)) == found


def test_what_is_required_has_to_be_there(registry: Registry) -> None:
    with pytest.raises(BuildError, match="is required and not there") as caught:
        chosen_devices([RunDevice(name="vendor2.com/x=y", required=True)], ["device"], registry)
    assert FOO in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "granted", "allowed"),
    [
        (FOO, [], True),
        (BAR, [], False),
        (BAR, ["network.host", "security.insecure"], False),
        (BAR, ["device"], True),
        (BAR, [f"device={BAR}"], True),
        (BAR, ["device=class1"], True),
        (BAZ, ["device=class1"], False),
        (BAR, ["device=vendor1.com/device=*"], True),
        ("mine", [f"device={BAR},alias=mine"], True),
        ("vendor1.com/device=*", [f"device={BAR}"], False),
    ],
)
def test_who_may_have_which(
    registry: Registry, name: str, granted: list[str], allowed: bool
) -> None:
    request = [RunDevice(name=name, required=True)]
    if allowed:
        assert chosen_devices(request, granted, registry)
        return
    with pytest.raises(BuildError, match="needs the entitlement device"):
        chosen_devices(request, granted, registry)
