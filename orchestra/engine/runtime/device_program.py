"""Device rules as an eBPF program on a cgroup v2 directory: what v1's devices controller did.

The program sees (access << 16 | type, major, minor); rules are tried from the last to the first,
as the last one that matches decides.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.runtime.failure import RuntimeFailure, describe
from orchestra.oci.runtime import DeviceRule

_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_LDX_W, _ALU_MOV, _AND_K, _RSH_K, _MOV_K, _JNE_K, _EXIT = 0x61, 0xBC, 0x54, 0x74, 0xB7, 0x55, 0x95
_JNE_X = 0x5D


def _instruction(code: int, target: int, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def _rule(rule: DeviceRule) -> bytes:
    """Return code that answers when the rule matches, and else goes on behind itself."""
    checks: list[bytes] = []
    kind = rule.get("type", "a")
    if kind != "a":
        checks.append(_instruction(_JNE_K, 2, value=_TYPES[kind]))
    access = sum(_ACCESS[letter] for letter in set(rule.get("access") or "rwm"))
    if access != 7:
        # r1 is free after the loads: r1 = r3 & mask; it matches when nothing else was asked.
        checks.append(_instruction(_ALU_MOV, 1, 3))
        checks.append(_instruction(_AND_K, 1, value=access))
        checks.append(_instruction(_JNE_X, 1, 3))
    for register, number in ((4, rule.get("major", -1)), (5, rule.get("minor", -1))):
        if number >= 0:
            checks.append(_instruction(_JNE_K, register, value=number))
    code = _instruction(_MOV_K, 0, value=int(rule["allow"])) + _instruction(_EXIT, 0)
    for check in reversed(checks):
        if check[0] in {_JNE_K, _JNE_X}:
            check = check[:2] + struct.pack("<h", len(code) // 8) + check[4:]  # noqa: PLW2901
        code = check + code
    return code


def _matches_all(rule: DeviceRule) -> bool:
    return rule.get("type", "a") == "a" and set(rule.get("access") or "rwm") == set("rwm")


def device_program(rules: Sequence[DeviceRule]) -> bytes:
    """Return the program for rules of which the last match decides; no match is a refusal."""
    code = b"".join(
        (
            _instruction(_LDX_W, 2, 1, 0),
            _instruction(_ALU_MOV, 3, 2),
            _instruction(_AND_K, 2, value=0xFFFF),
            _instruction(_RSH_K, 3, value=16),
            _instruction(_LDX_W, 4, 1, 4),
            _instruction(_LDX_W, 5, 1, 8),
        )
    )
    for rule in reversed(rules):
        code += _rule(rule)
        if _matches_all(rule):
            return code  # The verifier refuses code that nothing reaches.
    return code + _instruction(_MOV_K, 0, value=0) + _instruction(_EXIT, 0)


def attach_device_program(directory: str, rules: Sequence[DeviceRule]) -> None:
    """Load the program and attach it to a cgroup; it goes with the cgroup.

    :raises RuntimeFailure: when the kernel refuses; a container without it could use any device.
    """
    if len(rules) == 1 and rules[0]["allow"]:
        return
    code = device_program(rules)
    instructions = ctypes.create_string_buffer(code)
    license_name = ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack(
        "<IIQQIIQII",
        _PROG_TYPE_CGROUP_DEVICE,
        len(code) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(license_name),
        0,
        0,
        0,
        0,
        0,
    )
    directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        program_fd = syscalls.bpf(_PROG_LOAD, load)
        try:
            attributes = (directory_fd, program_fd, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
            syscalls.bpf(_PROG_ATTACH, struct.pack("<IIII", *attributes))
        finally:
            os.close(program_fd)
    except OSError as err:
        raise RuntimeFailure(
            f"cannot limit the devices of {directory}: {describe(err)}", errno=err.errno or 0
        ) from err
    finally:
        os.close(directory_fd)
