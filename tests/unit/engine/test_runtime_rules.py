"""The runtime's decisions that need no kernel: options, environment, rules, paths."""

from __future__ import annotations

import pytest

from orchestra.engine.linux.flags import CloneFlag, MountAttr, MountFlag
from orchestra.engine.linux.host import Cgroups
from orchestra.engine.runtime.become import environment_of, exec_failure, prepare
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.cgroup_block import block_v1, block_v2, io_weight
from orchestra.engine.runtime.cgroup_v2 import weight_of_shares
from orchestra.engine.runtime.devices import cgroup_rules, v1_entry
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.namespaces import plan_namespaces
from orchestra.engine.runtime.options import parse_options
from orchestra.engine.runtime.state import StateDirectory
from orchestra.oci.runtime import BlockIo, Linux


def test_options_are_sorted_by_who_acts_on_them() -> None:
    options = parse_options(["rbind", "ro", "nosuid", "rslave", "size=64k", "noswap", "defaults"])
    assert (options.bind, options.recursive) == (True, True)
    assert options.add == MountAttr.RDONLY | MountAttr.NOSUID
    assert (options.propagation, options.propagation_recursive) == (MountFlag.SLAVE, True)
    assert options.data == (("size", "64k"), ("noswap", None))


def test_a_later_option_wins() -> None:
    options = parse_options(["ro", "rw", "noatime", "strictatime"])
    assert options.add == MountAttr.STRICTATIME
    assert options.remove & MountAttr.RDONLY


def test_recursive_attributes_are_kept_apart() -> None:
    options = parse_options(["rbind", "rro", "nodev"])
    assert (options.add, options.recursive_add) == (MountAttr.NODEV, MountAttr.RDONLY)


def test_environment() -> None:
    env = ["A=1", "B=x=y", "A=2", "=z", "bare", "C="]
    assert environment_of(env) == {"A": "2", "B": "x=y", "C": ""}


@pytest.mark.parametrize(
    ("process", "words"),
    [
        ({"args": []}, "no arguments"),
        ({"args": ["a"], "cwd": "relative"}, "not absolute"),
        ({"args": ["a"], "env": ["A=\0"]}, "zero byte"),
        ({"args": ["a"], "selinuxLabel": "x"}, "SELinux"),
        ({"args": ["a"], "apparmorProfile": "x"}, "AppArmor"),
        ({"args": ["a"], "capabilities": {"bounding": ["CHOWN"]}}, "unknown capability"),
    ],
)
def test_what_is_refused_before_anything_happens(process: dict[str, object], words: str) -> None:
    with pytest.raises(RuntimeFailure, match=words):
        prepare(process, None)  # type: ignore[arg-type]


def test_namespaces_are_sorted() -> None:
    linux: Linux = {
        "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "network", "path": "/n"}]
    }
    plan = plan_namespaces(linux)
    assert plan.new == CloneFlag.NEWNS | CloneFlag.NEWPID
    assert plan.joined == ((CloneFlag.NEWNET, "/n"),)
    assert plan.has(CloneFlag.NEWNET)
    assert not plan.has(CloneFlag.NEWUTS)


@pytest.mark.parametrize(
    "linux",
    [
        {"namespaces": [{"type": "mount"}, {"type": "mount"}]},
        {"namespaces": [{"type": "mount"}, {"type": "nosuch"}]},
        {"namespaces": [{"type": "mount"}, {"type": "user"}]},
    ],
    ids=range(3),
)
def test_namespaces_that_make_no_sense(linux: Linux) -> None:
    with pytest.raises(RuntimeFailure):
        plan_namespaces(linux)


def test_device_rules_begin_with_nothing_and_end_with_the_defaults() -> None:
    rules = cgroup_rules(
        [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 200}]
    )
    entries = [v1_entry(rule) for rule in rules]
    assert entries[:2] == ["a", "c 10:200 rwm"]
    assert not rules[0]["allow"]
    assert {"c *:* m", "b *:* m", "c 1:3 rwm", "c 136:* rwm"} <= set(entries)
    assert "c 1:11 rwm" not in entries


def test_device_rules_of_a_privileged_container() -> None:
    assert cgroup_rules([{"allow": True, "access": "rwm"}]) == [
        {"allow": True, "type": "a", "access": "rwm"}
    ]


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (1024, 100), (262144, 10000), (1, 1), (10**9, 10000)]
)
def test_shares_become_weights(shares: int, weight: int) -> None:
    assert weight_of_shares(shares) == weight


@pytest.mark.parametrize("path", ["", "/", "/a/../b", "/a//b", "/."])
def test_cgroup_paths_that_could_lead_elsewhere(path: str) -> None:
    with pytest.raises(RuntimeFailure):
        Cgroup.at(path)


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a b", "ü", "-", "a\n"])
def test_ids_that_are_no_file_names(name: str) -> None:
    with pytest.raises(RuntimeFailure):
        StateDirectory("/nowhere", name)


@pytest.mark.parametrize(
    ("number", "code"), [(2, 127), (20, 127), (13, 126), (21, 126), (8, 126), (1, 126)]
)
def test_exit_codes_are_dockers(number: int, code: int) -> None:
    assert exec_failure("/x", OSError(number, "")).exit_code == code


@pytest.mark.parametrize(
    ("resources", "name"),
    [({"rdma": {"mlx": {}}}, "rdma"), ({"cpu": {"nosuch": 1}}, "cpu.nosuch")],
)
def test_a_limit_that_would_be_ignored_is_refused(resources: dict[str, object], name: str) -> None:
    cgroup = Cgroup(None, Cgroups("none", (), None))
    with pytest.raises(RuntimeFailure, match=f"limit {name} is not supported"):
        cgroup.create(resources)  # type: ignore[arg-type]


BLOCKS: BlockIo = {
    "weight": 500,
    "weightDevice": [{"major": 8, "minor": 16, "weight": 1000}],
    "throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 1024}],
    "throttleWriteBpsDevice": [{"major": 8, "minor": 16, "rate": 2048}],
    "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 3}],
    "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}],
}


def test_block_limits_of_v1() -> None:
    rates = [
        ("blkio.throttle.read_bps_device", "8:16 1024"),
        ("blkio.throttle.write_bps_device", "8:16 2048"),
        ("blkio.throttle.read_iops_device", "8:16 3"),
        ("blkio.throttle.write_iops_device", "8:16 0"),
    ]
    weights = [("blkio.weight", "500"), ("blkio.weight_device", "8:16 1000")]
    assert list(block_v1(BLOCKS, bfq=False)) == weights + rates
    weights = [("blkio.bfq.weight", "500"), ("blkio.bfq.weight_device", "8:16 1000")]
    assert list(block_v1(BLOCKS, bfq=True)) == weights + rates


def test_block_limits_of_v2() -> None:
    rates = [
        ("io.max", f"8:16 {rate}") for rate in ("rbps=1024", "wbps=2048", "riops=3", "wiops=max")
    ]
    weights = [("io.weight", "4950"), ("io.weight", "8:16 10000")]
    assert list(block_v2(BLOCKS, bfq=False)) == weights + rates
    weights = [("io.bfq.weight", "500"), ("io.bfq.weight", "8:16 1000")]
    assert list(block_v2(BLOCKS, bfq=True)) == weights + rates


def test_a_leaf_weight_is_not_v2s() -> None:
    with pytest.raises(RuntimeFailure, match="cgroup v2 has none"):
        list(block_v2({"leafWeight": 10}, bfq=False))


@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (1000, 10000)])
def test_the_ends_of_the_scale_of_io_weight(weight: int, expected: int) -> None:
    assert io_weight(weight) == expected
