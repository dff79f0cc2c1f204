"""Which containers can have /proc, /dev and /sys mounted before they are asked for."""

from __future__ import annotations

from typing import cast

import pytest

from orchestra.engine.container.mounts import default_mounts
from orchestra.engine.runtime.trees import is_covered, is_mounted, standard_part
from orchestra.oci.runtime import OciMount, RuntimeConfig


def config(*more: OciMount, **linux: object) -> RuntimeConfig:
    mounts = [*default_mounts(privileged=False, shm_bytes=1 << 26, host_ipc=False), *more]
    return cast("RuntimeConfig", {"mounts": mounts, "linux": linux})


def bind(target: str) -> OciMount:
    return {"destination": target, "type": "bind", "source": "/x", "options": ["rbind"]}


def test_the_usual_mounts_are_made_ahead() -> None:
    standard = standard_part(config(bind("/etc/hosts"), bind("/data")))
    assert standard is not None
    assert [mount["destination"] for mount in standard.mounts] == [
        "/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm",
    ]  # fmt: skip


def test_what_differs_makes_another_kind() -> None:
    one = standard_part(config(maskedPaths=["/proc/kcore"]))
    assert one == standard_part(config(bind("/data"), maskedPaths=["/proc/kcore"]))
    assert one != standard_part(config(maskedPaths=[]))
    assert one != standard_part(config(maskedPaths=["/proc/kcore"], mountLabel="x"))


def test_paths_elsewhere_are_protected_in_their_place() -> None:
    standard = standard_part(config(maskedPaths=["/proc/kcore", "/etc/x"], readonlyPaths=["/a"]))
    assert standard is not None
    assert (standard.masked, standard.readonly) == (["/proc/kcore"], [])


@pytest.mark.parametrize(
    "target",
    ["/", "/dev", "/dev/null", "//dev/x", "/proc/cpuinfo", "/sys/kernel", "/a/../dev", "/./sys"],
)
def test_a_mount_that_lies_in_one_comes_after_it_in_its_place(target: str) -> None:
    assert standard_part(config(bind(target))) is None


@pytest.mark.parametrize("path", ["/proc", "/sys/", "/proc/../etc"])
def test_a_mask_on_the_whole_of_one_is_made_in_its_place(path: str) -> None:
    assert standard_part(config(maskedPaths=[path])) is None
    assert standard_part(config(readonlyPaths=[path])) is None


def test_without_one_of_the_three_there_is_none() -> None:
    whole = config()
    for top in ("/proc", "/dev", "/sys"):
        mounts = [mount for mount in whole["mounts"] if mount["destination"] != top]
        assert standard_part(cast("RuntimeConfig", {**whole, "mounts": mounts})) is None


def test_a_tmpfs_that_takes_the_mode_of_what_it_covers_waits_for_that() -> None:
    whole = config()
    for mount in whole["mounts"]:
        if mount["destination"] == "/dev/shm":
            mount["options"] = ["nosuid"]
    assert standard_part(whole) is None


@pytest.mark.parametrize("path", ["/opt/x", "/dev/../x", "/proc/x"])
def test_a_device_that_belongs_elsewhere_is_made_in_its_place(path: str) -> None:
    device = {"type": "c", "path": path, "major": 1, "minor": 3}
    assert standard_part(config(devices=[device])) is None
    assert standard_part(config(devices=[{**device, "path": "/dev/x"}])) is not None


def test_a_mount_that_cannot_be_copied_is_made_in_its_place() -> None:
    whole = config()
    for mount in whole["mounts"]:
        if mount["destination"] == "/dev/shm":
            mount["options"].append("unbindable")
    assert standard_part(whole) is None


def test_what_trees_cover() -> None:
    trees = {"/proc": 3, "/dev": 4, "/sys": 5}
    assert is_covered("/proc/kcore", trees)
    assert not is_covered("/etc/passwd", trees)
    assert not is_covered("/proc/kcore", {})
    assert is_mounted({"destination": "/dev/shm"}, trees)
    assert not is_mounted({"destination": "/data"}, trees)
    assert not is_mounted({"destination": "/dev/shm"}, {})
