"""The BPF that a profile becomes, run by a small interpreter: what the kernel would answer."""

from __future__ import annotations

import struct

import pytest

from orchestra.engine.container.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from orchestra.engine.container.seccomp import Host, default_profile
from orchestra.engine.linux import calls
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.seccomp import compile_profile
from orchestra.engine.runtime.syscall_table import X32_BIT, numbers_of
from orchestra.oci.runtime import Seccomp

pytestmark = pytest.mark.skipif(calls.MACHINE != "x86_64", reason="tables of x86_64")

X86_64, X86, ALIEN = 0xC000003E, 0x40000003, 0x12345678
ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0, 0x50001, 0x50026


def answer(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Interpret the program as bpf(4) and linux/seccomp.h have it."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number if number < 2**31 else number - 2**32, audit, 0, *padded)
    code = [struct.unpack_from("<HBBI", program, i) for i in range(0, len(program), 8)]
    accumulator, position = 0, 0
    tests = {
        0x15: lambda k: accumulator == k,
        0x25: lambda k: accumulator > k,
        0x35: lambda k: accumulator >= k,
    }
    while True:
        op, yes, no, k = code[position]
        position += 1
        if op == 0x06:
            return k
        if op == 0x20:
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif op == 0x54:
            accumulator &= k
        elif op == 0x05:
            position += k
        else:
            position += yes if tests[op](k) else no


def host(capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES) -> Host:
    return Host(capabilities=capabilities, machine="x86_64", kernel=(6, 1))


DEFAULT = compile_profile(default_profile(host()))
NATIVE = numbers_of("SCMP_ARCH_X86_64")
X86_NUMBERS = numbers_of("SCMP_ARCH_X86")
X32_NUMBERS = numbers_of("SCMP_ARCH_X32")


@pytest.mark.parametrize("architecture", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
def test_the_default_profile_call_by_call(architecture: str) -> None:
    """Every call of every ABI: allowed exactly when a rule without arguments allows it."""
    profile = default_profile(host())
    allowed, conditional = set(), set()
    for rule in profile["syscalls"]:
        (conditional if rule.get("args") else allowed).update(rule["names"])
    numbers = numbers_of(architecture)
    audit = X86 if architecture == "SCMP_ARCH_X86" else X86_64
    highest = max(numbers[n] for n in allowed | conditional if n in numbers)
    for name, number in numbers.items():
        if name in conditional or name == "clone3":
            continue
        expected = ALLOW if name in allowed else ENOSYS if number > highest else EPERM
        assert answer(DEFAULT, audit, number) == expected, name


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (0x11,), ALLOW),
        ("clone", (0x10000011,), EPERM),
        ("clone", (0x20000,), EPERM),
        ("clone", (0x10000000 << 32,), ALLOW),
        ("clone3", (), ENOSYS),
        ("socket", (1,), ALLOW),
        ("socket", (38,), EPERM),
        ("socket", (39,), ALLOW),
        ("socket", (40,), EPERM),
        ("socket", (41,), ALLOW),
        ("socket", (1 << 32 | 38,), ALLOW),
        ("personality", (0,), ALLOW),
        ("personality", (8,), ALLOW),
        ("personality", (0x40000,), EPERM),
        ("unshare", (), EPERM),
        ("mount", (), EPERM),
        ("bpf", (), EPERM),
        ("ptrace", (), ALLOW),
        ("chroot", (), ALLOW),
        ("reboot", (), EPERM),
        ("keyctl", (), EPERM),
        ("userfaultfd", (), EPERM),
    ],
)
def test_calls_with_conditions(name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert answer(DEFAULT, X86_64, NATIVE[name], *arguments) == expected


def test_capabilities_open_calls() -> None:
    program = compile_profile(default_profile(host(ALL_CAPABILITIES)))
    for name in ("mount", "unshare", "clone3", "bpf", "reboot", "settimeofday"):
        assert answer(program, X86_64, NATIVE[name], 0x10000000) == ALLOW


def test_calls_newer_than_the_profile_do_not_exist() -> None:
    assert answer(DEFAULT, X86_64, 9999) == ENOSYS
    assert answer(DEFAULT, X86, 9999) == ENOSYS
    assert answer(DEFAULT, X86_64, X32_BIT | 9999) == ENOSYS


def test_an_abi_that_is_not_named_is_killed() -> None:
    assert answer(DEFAULT, ALIEN, 1) == KILL
    native_only = compile_profile({"defaultAction": "SCMP_ACT_ALLOW"})
    assert answer(native_only, X86_64, 1) == ALLOW
    assert answer(native_only, X86_64, X32_BIT | 1) == KILL
    assert answer(native_only, X86, 1) == KILL


BIG, SMALL = 0x500000005, 0x400000009


@pytest.mark.parametrize(
    ("op", "matching", "other"),
    [
        ("SCMP_CMP_EQ", [BIG], [BIG + 1, 5, SMALL]),
        ("SCMP_CMP_NE", [BIG + 1, 5, SMALL], [BIG]),
        ("SCMP_CMP_GT", [BIG + 1, 0x600000000], [BIG, SMALL, 9]),
        ("SCMP_CMP_GE", [BIG, BIG + 1, 0x600000000], [BIG - 1, SMALL, 9]),
        ("SCMP_CMP_LT", [BIG - 1, SMALL, 9], [BIG, BIG + 1, 0x600000000]),
        ("SCMP_CMP_LE", [BIG, BIG - 1, SMALL, 9], [BIG + 1, 0x600000000]),
    ],
)
def test_comparisons_over_64_bits(op: str, matching: list[int], other: list[int]) -> None:
    profile: Seccomp = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {
                "names": ["mkdir"],
                "action": "SCMP_ACT_ALLOW",
                "args": [
                    {"index": 2, "value": BIG, "op": op},
                    {"index": 5, "value": 1, "op": "SCMP_CMP_EQ"},
                ],
            }
        ],
    }
    program = compile_profile(profile)
    number = NATIVE["mkdir"]
    for value in matching:
        assert answer(program, X86_64, number, 0, 0, value, 0, 0, 1) == ALLOW
        assert answer(program, X86_64, number, 0, 0, value, 0, 0, 2) == EPERM
    for value in other:
        assert answer(program, X86_64, number, 0, 0, value, 0, 0, 1) == EPERM


def test_a_mask_over_64_bits() -> None:
    argument = {
        "index": 0,
        "value": 0xF0000000F,
        "valueTwo": 0x300000001,
        "op": "SCMP_CMP_MASKED_EQ",
    }
    profile: Seccomp = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "args": [argument]}],  # type: ignore[list-item]
    }
    program = compile_profile(profile)
    verdicts = [
        answer(program, X86_64, NATIVE["mkdir"], v) for v in (0x3000000F1, 0x2000000F1, 0x300000002)
    ]
    assert verdicts == [ALLOW, EPERM, EPERM]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"defaultAction": "SCMP_ACT_NOSUCH"}, "action"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "action"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86"]}, "architecture"),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [
                    {
                        "names": ["mkdir"],
                        "action": "SCMP_ACT_ERRNO",
                        "args": [{"index": 0, "value": 0, "op": "X"}],
                    }
                ],
            },
            "operator",
        ),
    ],
)
def test_what_cannot_be_said_is_refused(profile: Seccomp, words: str) -> None:
    with pytest.raises(RuntimeFailure, match=words):
        compile_profile(profile)
