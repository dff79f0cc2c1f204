"""The default profile's conditions, and profiles in Docker's form."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestra.engine.container.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from orchestra.engine.container.seccomp import Host, default_profile, load_profile
from orchestra.errors import ContainerError
from orchestra.oci.runtime import Seccomp, SyscallRule

SETS = {"none": (), "default": DEFAULT_CAPABILITIES, "all": ALL_CAPABILITIES}
MOBYS = [
    ("x86_64", "none", "d6b16ce212126497"),
    ("x86_64", "default", "832e2ad8f1af5c30"),
    ("x86_64", "all", "8e712548c7515fdd"),
    ("aarch64", "none", "448aae9c622b3f3c"),
    ("aarch64", "default", "24f4666d5cf0d41e"),
    ("aarch64", "all", "b0eb504c7eb3d142"),
]


def host(*capabilities: str, machine: str = "x86_64", kernel: tuple[int, int] = (6, 1)) -> Host:
    return Host(capabilities=capabilities or DEFAULT_CAPABILITIES, machine=machine, kernel=kernel)


def allowed(profile: Seccomp) -> set[str]:
    return {
        name
        for rule in profile["syscalls"]
        for name in rule["names"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")
    }


def test_a_default_container() -> None:
    names = allowed(default_profile(host()))
    assert {"read", "execve", "chroot", "ptrace", "arch_prctl"} <= names
    assert not {"mount", "unshare", "bpf", "reboot", "keyctl", "clone", "io_uring_setup"} & names


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
    ],
)
def test_a_capability_opens_its_calls(capability: str, name: str) -> None:
    assert name in allowed(default_profile(host(capability)))
    assert name not in allowed(default_profile(host("CAP_CHOWN")))


def test_old_kernels_have_no_ptrace() -> None:
    assert "ptrace" not in allowed(default_profile(host(kernel=(4, 7))))


def test_architectures_follow_the_machine() -> None:
    three = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert default_profile(host())["architectures"] == three
    assert default_profile(host(machine="aarch64"))["architectures"][0] == "SCMP_ARCH_AARCH64"
    assert "set_tls" in allowed(default_profile(host(machine="aarch64")))


def profile_text(*rules: dict[str, Any], **more: Any) -> str:
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **more})


ALLOW = "SCMP_ACT_ALLOW"


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({}, True),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_BPF"]}}, False),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, False),
        ({"includes": {"arches": ["amd64"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.10"}}, False),
        ({"excludes": {"minKernel": "4.8"}}, False),
    ],
)
def test_conditions_of_a_file(rule: dict[str, Any], applies: bool) -> None:
    text = profile_text({"names": ["read"], "action": ALLOW, **rule})
    assert bool(load_profile(text, host("CAP_CHOWN"))["syscalls"]) is applies


def test_arch_map_picks_the_machine() -> None:
    entries = [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
    ]
    profile = load_profile(profile_text(archMap=entries), host())
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '"x"',
        "[" * 100_000,
        profile_text({"action": ALLOW}),
        profile_text({"names": ["read"]}),
        profile_text({"name": "a", "names": ["b"], "action": ALLOW}),
        profile_text({"names": "read", "action": ALLOW}),
        profile_text(
            {"names": ["read"], "action": ALLOW, "args": [{"index": 9, "value": 0, "op": "x"}]}
        ),
        profile_text({"names": ["read"], "action": ALLOW, "includes": {"minKernel": "new"}}),
        profile_text(architectures=["A"], archMap=[{"architecture": "A"}]),
        profile_text(archMap=3),
        json.dumps({"defaultAction": ALLOW, "syscalls": 3}),
        json.dumps({"defaultAction": ALLOW, "syscalls": [3]}),
    ],
    ids=range(15),
)
def test_a_wrong_file_is_refused(text: str) -> None:
    with pytest.raises(ContainerError, match="cannot use the seccomp profile"):
        load_profile(text, host())


def effect(profile: Seccomp) -> set[tuple[str, ...]]:
    """Return what a profile does, call by call; a rule with conditions adds nothing to one without.

    The order of rules means nothing to the kernel's filter (man 3 seccomp_rule_add).
    """
    rows = [
        (name, rule["action"], str(rule.get("errnoRet", "")), conditions(rule))
        for rule in profile["syscalls"]
        for name in rule["names"]
    ]
    free = {row[0] for row in rows if row[1] == ALLOW and row[3] == "[]"}
    kept = {row for row in rows if row[0] not in free or row[3] == "[]"}
    first = str((profile["defaultAction"], profile.get("defaultErrnoRet")))
    return kept | {(first, *profile.get("architectures", ()))}


def conditions(rule: SyscallRule) -> str:
    arguments = [
        (argument["index"], argument["op"], argument["value"], argument.get("valueTwo", 0))
        for argument in rule.get("args", [])
    ]
    return str(arguments)


def fingerprint(profile: Seccomp) -> str:
    return hashlib.sha256(repr(sorted(effect(profile))).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("machine", "which", "expected"), MOBYS)
def test_it_is_mobys_in_effect(machine: str, which: str, expected: str) -> None:
    """The digests are those of moby/profiles, seccomp/default.json, commit cd3bed80 (June 2026).

    With ORCHESTRA_MOBY_PROFILE set to that file the two are compared rule by rule instead.
    """
    around = Host(capabilities=SETS[which], machine=machine, kernel=(6, 1))
    ours = default_profile(around)
    if path := os.environ.get("ORCHESTRA_MOBY_PROFILE"):
        assert effect(ours) == effect(load_profile(Path(path).read_text(), around))
    assert fingerprint(ours) == expected
