"""CDI specs on disk -> what they add to a container; requests for devices -> drivers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestra.engine.container.accelerators import NVIDIA_HOOK, edits_of
from orchestra.engine.container.cdi import Edits, read_registry
from orchestra.errors import ContainerError
from orchestra.planner.limits import DeviceRequest

ACME = """
cdiVersion: 0.6.0
kind: acme.com/widget
containerEdits:
  env: [ACME=on]
  hooks:
    - {hookName: createContainer, path: /usr/bin/acme, args: [acme, prepare], timeout: 5}
devices:
  - name: w0
    containerEdits:
      env: [WIDGET=0]
      deviceNodes:
        - {path: /dev/widget0, hostPath: /dev/null, permissions: r, uid: 7}
      mounts:
        - {hostPath: /etc, containerPath: /opt/acme, options: [ro, rbind]}
      additionalGids: [0, 44]
  - name: w1
    containerEdits:
      env: [WIDGET=1]
      deviceNodes: [{path: /dev/null}]
"""


@pytest.fixture
def directories(tmp_path: Path) -> tuple[str, str]:
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
    return str(tmp_path / "etc"), str(tmp_path / "run")


def cdi(*names: str) -> DeviceRequest:
    return DeviceRequest(driver="cdi", device_ids=names)


def test_the_edits_of_a_spec_come_once_and_before_its_devices(directories):
    Path(directories[0], "acme.yaml").write_text(ACME)
    found = edits_of([cdi("acme.com/widget=w0", "acme.com/widget=w1")], read_registry(directories))
    null = Path("/dev/null").stat()
    assert found == Edits(
        env=("ACME=on", "WIDGET=0", "WIDGET=1"),
        devices=(
            (
                {
                    "type": "c",
                    "path": "/dev/widget0",
                    "major": 1,
                    "minor": 3,
                    "fileMode": null.st_mode & 0o7777,
                    "uid": 7,
                },
                "r",
            ),
            (
                {
                    "type": "c",
                    "path": "/dev/null",
                    "major": 1,
                    "minor": 3,
                    "fileMode": null.st_mode & 0o7777,
                },
                "rwm",
            ),
        ),
        mounts=(
            {
                "destination": "/opt/acme",
                "type": "bind",
                "source": "/etc",
                "options": ["ro", "rbind"],
            },
        ),
        hooks={
            "createContainer": [
                {"path": "/usr/bin/acme", "args": ["acme", "prepare"], "timeout": 5}
            ]
        },
        gids=(44,),
    )


def spec(kind: str = "acme.com/widget", version: object = "0.5.0", **edits: object) -> str:
    devices = [{"name": "w0", "containerEdits": edits}]
    return json.dumps({"cdiVersion": version, "kind": kind, "devices": devices})


def test_the_later_directory_wins_and_of_two_in_one_neither(directories):
    early, late = directories
    Path(early, "a.json").write_text(spec(env=["FROM=etc"]))
    Path(late, "a.json").write_text(spec(env=["FROM=run"]))
    wanted = [cdi("acme.com/widget=w0")]
    assert edits_of(wanted, read_registry(directories)).env == ("FROM=run",)
    Path(late, "b.json").write_text(spec(env=["FROM=run"]))
    registry = read_registry(directories)
    assert registry.errors == (f'"acme.com/widget=w0" is defined twice in {late}',)
    with pytest.raises(ContainerError, match="unresolvable CDI devices"):
        edits_of(wanted, registry)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "the spec is no mapping"),
        (spec(version=6), "cdiVersion is no text"),
        (spec(kind="acme"), "no name of a device"),
        (spec(kind="acme.com/a/b"), "no name of a device"),
        (json.dumps({"cdiVersion": "0.6.0", "kind": "a.b/c", "devices": []}), "no devices"),
    ],
)
def test_a_damaged_spec_is_told_to_who_misses_a_device(directories, text, why):
    Path(directories[0], "a.json").write_text(text)
    with pytest.raises(ContainerError) as caught:
        edits_of([cdi("acme.com/widget=w0")], read_registry(directories))
    assert caught.value.message == "unresolvable CDI devices acme.com/widget=w0"
    assert why in caught.value.hint


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ({"env": ["NOTHING"]}, "not NAME=VALUE"),
        ({"intelRdt": {"closID": "x"}}, "intelRdt is not supported"),
        ({"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}, "netDevices is not supported"),
        ({"deviceNodes": [{"path": "/dev/nowhere"}]}, "no such file"),
        ({"deviceNodes": [{"path": "/etc"}]}, "no such device"),
        ({"deviceNodes": [{"path": "dev"}]}, "not absolute"),
        ({"deviceNodes": [{"path": "/dev/null", "permissions": "x"}]}, "no permissions"),
        ({"mounts": [{"hostPath": "/nowhere", "containerPath": "/x"}]}, "no such file"),
        ({"mounts": [{"hostPath": "/etc", "containerPath": "x"}]}, "not absolute"),
        ({"hooks": [{"hookName": "begin", "path": "/x"}]}, "unknown hook name"),
        ({"hooks": [{"hookName": "poststop", "path": "x"}]}, "not absolute"),
        ({"additionalGids": [-1]}, "no number"),
    ],
)
def test_edits_that_cannot_be_made_are_named(directories, edits, why):
    Path(directories[0], "a.json").write_text(spec(**edits))
    with pytest.raises(ContainerError, match=why):
        edits_of([cdi("acme.com/widget=w0")], read_registry(directories))


@pytest.mark.parametrize(
    ("request_", "env"),
    [
        (DeviceRequest(count=-1, capabilities=("gpu",)), ("GPU=all",)),
        (DeviceRequest(count=2, capabilities=("gpu", "compute")), ("GPU=0", "GPU=1")),
        (DeviceRequest(driver="nvidia", device_ids=("1",), capabilities=("gpu",)), ("GPU=1",)),
    ],
)
def test_gpus_come_from_nvidias_spec(directories, request_, env):
    devices = [
        {"name": name, "containerEdits": {"env": [f"GPU={name}"]}} for name in ("0", "1", "all")
    ]
    document = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices}
    Path(directories[1], "nvidia.json").write_text(json.dumps(document))
    assert edits_of([request_], read_registry(directories)).env == env


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            DeviceRequest(count=-1, capabilities=("gpu",)),
            'could not select device driver "" with capabilities: [[gpu]]',
        ),
        (
            DeviceRequest(driver="acme", capabilities=("gpu", "tpu")),
            'could not select device driver "acme" with capabilities: [[gpu tpu]]',
        ),
        (
            DeviceRequest(capabilities=("tpu",)),
            'could not select device driver "" with capabilities: [[tpu]]',
        ),
        (
            DeviceRequest(count=1, device_ids=("0",), capabilities=("gpu",)),
            "cannot set both count and device_ids on a device request",
        ),
    ],
)
def test_what_no_driver_gives_is_an_error(directories, request_, message):
    with pytest.raises(ContainerError) as caught:
        edits_of([request_], read_registry(directories))
    assert caught.value.message == message


def test_without_a_spec_nvidias_hook_is_asked(directories, tmp_path, monkeypatch):
    hook = tmp_path / NVIDIA_HOOK
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    request = DeviceRequest(count=2, capabilities=("gpu", "utility"))
    found = edits_of([request], read_registry(directories))
    assert found.env == ("NVIDIA_VISIBLE_DEVICES=0,1", "NVIDIA_DRIVER_CAPABILITIES=utility")
    (made,) = found.hooks["prestart"]
    assert (made["path"], made["args"]) == (str(hook), [NVIDIA_HOOK, "prestart"])
