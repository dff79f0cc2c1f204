"""The default profile's conditions, and profiles in Docker's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestra.engine.container.capabilities import DEFAULT_CAPABILITIES
from orchestra.engine.container.seccomp import Host, default_profile, load_profile
from orchestra.errors import ContainerError
from orchestra.oci.runtime import Seccomp


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
