"""Which platforms' programs run on this machine: its own, and those the kernel has a handler for.

The kernel is asked by trying: a program of a few bytes that only ends, one per architecture. It is
what knows of 32-bit modes and of handlers in binfmt_misc, wherever that is mounted.
"""

from __future__ import annotations

import errno
import subprocess
import time
from pathlib import Path
from typing import Literal

from orchestra.errors import BuildError
from orchestra.oci.platform import Platform
from orchestra.values import dataclass

_ATTEMPTS = 200
_PAUSE_SECONDS = 0.02
_TIMEOUT_SECONDS = 30
_BASE = 0x400000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """An architecture of the ELF format (elf.h), and the code of exit(0) on Linux."""

    number: int
    code: bytes
    bits: int = 64
    big_endian: bool = False
    flags: int = 0


_MACHINES = {
    "386": _Machine(number=3, bits=32, code=bytes.fromhex("b80100000031dbcd80")),
    "amd64": _Machine(number=62, code=bytes.fromhex("b83c00000031ff0f05")),
    "arm": _Machine(
        number=40, bits=32, flags=0x5000000, code=bytes.fromhex("0170a0e30000a0e3000000ef")
    ),
    "arm64": _Machine(number=183, code=bytes.fromhex("a80b80d2000080d2010000d4")),
    "ppc64le": _Machine(number=21, flags=2, code=bytes.fromhex("010000380000603802000044")),
    "riscv64": _Machine(number=243, code=bytes.fromhex("9308d0051305000073000000")),
    "s390x": _Machine(number=22, big_endian=True, code=bytes.fromhex("a72900000a01")),
}


def check_runs(own: Platform, platform: Platform, directory: Path) -> None:
    """Check that programs of a platform run here; a probe lies in ``directory`` meanwhile. Blocks.

    :raises BuildError: when they do not.
    """
    if own.rank(platform) is not None or _runs(platform, directory):
        return
    raise BuildError(
        f"this machine ({own}) cannot run programs of {platform}",
        hint="install qemu-user-static, which registers a handler for them with binfmt_misc (with "
        "the flag F), or work in a stage that begins with FROM --platform=$BUILDPLATFORM",
    )


def _runs(platform: Platform, directory: Path) -> bool:
    machine = _MACHINES.get(platform.architecture)
    if platform.os != "linux" or machine is None:
        return False
    path = directory / f"probe-{platform.architecture}"
    path.write_bytes(program(machine))
    path.chmod(0o700)
    for _ in range(_ATTEMPTS):
        try:
            subprocess.run(
                [path],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return True
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                return False
            time.sleep(_PAUSE_SECONDS)  # a child of another thread still has the file open
        else:
            return True
    return False


def program(machine: _Machine) -> bytes:
    """Write an ELF program of one segment (elf(5))."""
    order: Literal["big", "little"] = "big" if machine.big_endian else "little"
    word = machine.bits // 8
    header = 64 if word == 8 else 52
    segment = 56 if word == 8 else 32
    start = header + segment
    size = start + len(machine.code)

    def number(value: int, width: int) -> bytes:
        return value.to_bytes(width, order)

    identity = b"\x7fELF" + bytes((word // 4, 2 if machine.big_endian else 1, 1)) + bytes(9)
    entry = number(_BASE + start, word) + number(header, word) + number(0, word)
    sizes = (header, segment, 1, 0, 0, 0)
    head = identity + number(2, 2) + number(machine.number, 2) + number(1, 4) + entry
    head += number(machine.flags, 4) + b"".join(number(value, 2) for value in sizes)
    places = number(0, word) + number(_BASE, word) * 2 + number(size, word) * 2
    rights = number(5, 4)
    align = number(0x1000, word)
    if word == 8:
        return head + number(1, 4) + rights + places + align + machine.code
    return head + number(1, 4) + places + rights + align + machine.code
