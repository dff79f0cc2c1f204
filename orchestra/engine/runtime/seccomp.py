"""OCI linux.seccomp as a classic BPF program, without libseccomp.

One section per ABI, each a binary search over ranges of call numbers that share a verdict; calls
with conditions end in a chain of argument checks. Numbers above every number that the profile
names answer ENOSYS, so that libc falls back from calls newer than the profile, as runc does.
Where a call has rules with and without conditions, the conditions are tried first.
"""

from __future__ import annotations

import marshal
import struct
from typing import cast

from orchestra.engine.linux import calls, syscalls
from orchestra.engine.linux.flags import SeccompFlag
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.syscall_table import X32_BIT, numbers_of
from orchestra.oci.runtime import Seccomp, SyscallArg, SyscallRule

# linux/bpf_common.h: load word, jumps against a constant, and, return.
_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_JEQ, _JGT, _JGE = 0x15, 0x25, 0x35
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_INSTRUCTIONS_MAX = 4096

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_DATA = {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}
_ENOSYS_VERDICT = 0x00050000 | 38
_EPERM = 1
_AUDIT = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_X32": 0xC000003E,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
}
_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_NARROW = {"SCMP_ARCH_X86", "SCMP_ARCH_ARM"}
"""ABIs with 32-bit arguments: the upper halves are not looked at."""
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": SeccompFlag.TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": SeccompFlag.LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": SeccompFlag.SPEC_ALLOW,
}

_Instruction = tuple[int, int, int, int]
_Code = list[_Instruction]
_cache: dict[bytes, bytes] = {}


def load(profile: Seccomp) -> None:
    """Put the filter on this process; needs CAP_SYS_ADMIN or no_new_privs.

    :raises RuntimeFailure: when the profile cannot be compiled.
    :raises OSError: when the kernel refuses the program.
    """
    syscalls.seccomp_load(compile_profile(profile), filter_flags(profile))


def filter_flags(profile: Seccomp) -> int:
    """Return the flags of seccomp(2); without any in the profile SPEC_ALLOW, as runc does.

    :raises RuntimeFailure: for an unknown flag.
    """
    names = profile.get("flags")
    if names is None:
        return SeccompFlag.SPEC_ALLOW
    flags = 0
    for name in names:
        if name not in _FLAGS:
            raise RuntimeFailure(f'unknown seccomp flag "{name}"')
        flags |= _FLAGS[name]
    return flags


def compile_profile(profile: Seccomp) -> bytes:
    """Return the program, compiled once per process and profile.

    :raises RuntimeFailure: for an unknown action, operator or architecture, or too long a program.
    """
    # Version 2 has no references, whose use depends on the objects and not on their values.
    key = marshal.dumps(cast("dict[str, str]", profile), 2)  # a dict of lists, strings, numbers
    program = _cache.get(key)
    if program is None:
        program = _cache[key] = _assemble(profile)
    return program


def programs_known() -> int:
    """Return how many programs this process has, compiled or inherited."""
    return len(_cache)


def known_names() -> dict[str, list[str]]:
    """Return what profiles may say, for the features document."""
    return {
        "actions": sorted(_ACTIONS),
        "operators": sorted({"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ", *_ORDER}),
        "archs": sorted(_AUDIT),
        "supportedFlags": sorted(_FLAGS),
    }


def _verdict(action: str, data: int | None) -> int:
    if action not in _ACTIONS:
        raise RuntimeFailure(f'unknown or unsupported seccomp action "{action}"')
    value = _ACTIONS[action]
    if action in _WITH_DATA:
        value |= (_EPERM if data is None else data) & 0xFFFF
    return value


def _architectures(profile: Seccomp) -> list[str]:
    native = _NATIVE.get(calls.MACHINE)
    if native is None:
        raise RuntimeFailure(f"no seccomp filter can be made for {calls.MACHINE}")
    wanted = profile.get("architectures") or [native]
    for name in wanted:
        if not name.startswith("SCMP_ARCH_"):
            raise RuntimeFailure(f'unknown seccomp architecture "{name}"')
    # A profile may name those of other machines; no process of theirs can run here.
    related = [name for name in wanted if name in _AUDIT]
    return [native, *(name for name in related if name != native)]


def _assemble(profile: Seccomp) -> bytes:
    default = _verdict(profile["defaultAction"], profile.get("defaultErrnoRet"))
    sections: dict[int, _Code] = {}
    architectures = _architectures(profile)
    for name in architectures:
        if name == "SCMP_ARCH_X32":
            continue
        code: _Code = [(_LOAD, 0, 0, _NUMBER_OFFSET)]
        tree = _section(profile, name, default)
        if name == "SCMP_ARCH_X86_64":
            foreign = [_return(0)]
            if "SCMP_ARCH_X32" in architectures:
                foreign = _section(profile, "SCMP_ARCH_X32", default)
            tree = _branch(_JGE, X32_BIT, foreign, tree)
        sections[_AUDIT[name]] = code + tree
    program: _Code = [_return(0)]  # An ABI that the profile does not name is killed.
    for audit, code in reversed(sections.items()):
        program = _branch(_JEQ, audit, code, program)
    program.insert(0, (_LOAD, 0, 0, _ARCH_OFFSET))
    if len(program) > _INSTRUCTIONS_MAX:
        raise RuntimeFailure(f"the seccomp profile needs {len(program)} instructions, 4096 fit")
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _return(verdict: int) -> _Instruction:
    return (_RETURN, 0, 0, verdict)


def _branch(test: int, constant: int, yes: _Code, no: _Code) -> _Code:
    """Return code for "if A test constant: yes else no"; both sides end in a return."""
    if len(no) <= 255:
        return [(test, len(no), 0, constant), *no, *yes]
    return [(test, 0, 1, constant), (_JUMP, 0, 0, len(no)), *no, *yes]


def _section(profile: Seccomp, architecture: str, default: int) -> _Code:
    """Return the search over all numbers of one ABI."""
    numbers = numbers_of(architecture)
    rules: dict[int, list[SyscallRule]] = {}
    for rule in profile.get("syscalls") or ():
        for name in rule["names"]:
            if name in numbers:
                rules.setdefault(numbers[name], []).append(rule)
    ranges: list[tuple[int, _Code]] = [(0, [_return(default)])]
    for number in sorted(rules):
        code = _decision(rules[number], default, narrow=architecture in _NARROW)
        ranges += [(number, code), (number + 1, [_return(default)])]
    if (default & 0xFFFF0000) != _ACTIONS["SCMP_ACT_ALLOW"] and rules:
        ranges[-1] = (ranges[-1][0], [_return(_ENOSYS_VERDICT)])
    return _search(_merge(ranges))


def _merge(ranges: list[tuple[int, _Code]]) -> list[tuple[int, _Code]]:
    """Drop empty ranges, and join neighbours that do the same."""
    merged: list[tuple[int, _Code]] = []
    for start, code in ranges:
        if merged and merged[-1][0] == start:
            merged.pop()
        if not merged or merged[-1][1] != code:
            merged.append((start, code))
    return merged


def _search(ranges: list[tuple[int, _Code]]) -> _Code:
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    return _branch(_JGE, ranges[middle][0], _search(ranges[middle:]), _search(ranges[:middle]))


def _decision(rules: list[SyscallRule], default: int, *, narrow: bool) -> _Code:
    """Return the code for one call: conditional rules in order, then the unconditional one."""
    fallback = default
    code: _Code = []
    for rule in rules:
        verdict = _verdict(rule["action"], rule.get("errnoRet"))
        arguments = rule.get("args")
        if not arguments:
            fallback = verdict
            continue
        code += _conditional(arguments, verdict, narrow=narrow)
    if all(instruction[3] == fallback for instruction in code if instruction[0] == _RETURN):
        return [_return(fallback)]
    return [*code, _return(fallback)]


def _conditional(arguments: list[SyscallArg], verdict: int, *, narrow: bool) -> _Code:
    """Return code that returns ``verdict`` when every argument matches, and else falls through."""
    code: _Code = [_return(verdict)]
    for argument in reversed(arguments):
        code = _check(argument, len(code), narrow=narrow) + code
    return code


def _check(argument: SyscallArg, behind: int, *, narrow: bool) -> _Code:
    """Return a check that goes on where it holds, and skips ``behind`` instructions where not."""
    low_offset = _ARGUMENTS_OFFSET + 8 * argument["index"]
    value, second, op = argument["value"], argument.get("valueTwo", 0), argument["op"]
    low, high = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
    load_low, load_high = (_LOAD, 0, 0, low_offset), (_LOAD, 0, 0, low_offset + 4)
    if op == "SCMP_CMP_MASKED_EQ":
        check = [load_low, (_AND, 0, 0, low), (_JEQ, 0, behind, second & 0xFFFFFFFF)]
        if not narrow:
            upper = (_JEQ, 0, behind + 3, second >> 32 & 0xFFFFFFFF)
            check = [load_high, (_AND, 0, 0, high), upper, *check]
        return check
    if op in {"SCMP_CMP_EQ", "SCMP_CMP_NE"}:
        if op == "SCMP_CMP_EQ":
            check = [load_low, (_JEQ, 0, behind, low)]
            return check if narrow else [load_high, (_JEQ, 0, behind + 2, high), *check]
        check = [load_low, (_JEQ, behind, 0, low)]
        return check if narrow else [load_high, (_JEQ, 0, 2, high), *check]
    if op not in _ORDER:
        raise RuntimeFailure(f'unknown seccomp operator "{op}"')
    test, holds = _ORDER[op]
    yes, no = (0, behind) if holds else (behind, 0)
    check = [load_low, (test, yes, no, low)]
    if narrow:
        return check
    # Decided by the upper half unless equal: greater is the test's yes, smaller its no.
    greater, smaller = yes + 3, no + 2
    return [load_high, (_JGT, greater, 0, high), (_JEQ, 0, smaller, high), *check]


_ORDER = {
    "SCMP_CMP_GT": (_JGT, True),
    "SCMP_CMP_GE": (_JGE, True),
    "SCMP_CMP_LE": (_JGT, False),
    "SCMP_CMP_LT": (_JGE, False),
}
"""The jump of an operator, and whether the operator holds when it is taken."""
