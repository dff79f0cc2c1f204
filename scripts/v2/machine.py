"""One run: a process of qemu without a network, its output passed on, its end and its verdict."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.v2.errors import MachineError
from scripts.v2.image import Pieces

PROGRAM = "qemu-system-x86_64"
BOOTED, RESULT = b"orchestra-v2: booted", b"orchestra-v2: pytest exited "
BOOT_SECONDS = 180.0
END_SECONDS = 30.0
TAIL_LINES = 40
CMDLINE = "console=ttyS0 panic=-1 loglevel=3 oops=panic mitigations=off"


@dataclass(frozen=True, slots=True)
class Disks:
    """The files of one run: the checkout's image, two empty disks, where the console goes."""

    checkout: Path
    swap: Path
    spare: Path
    console: Path


def argv(pieces: Pieces, disks: Disks, module: str) -> list[str]:
    """Return the command; ``module`` is the security module that the kernel is to confine by.

    Emulation is in software, as nested virtualisation hangs on some hosts. The root is written to
    a temporary file that goes with the process.
    """
    return [
        *(PROGRAM, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
        *("-kernel", str(pieces.kernel), "-initrd", str(pieces.initrd)),
        *("-append", f"{CMDLINE} security={module}"),
        *("-drive", f"file={pieces.root},if=virtio,format=raw,snapshot=on"),
        *("-drive", f"file={disks.checkout},if=virtio,format=raw,readonly=on"),
        *("-drive", f"file={disks.swap},if=virtio,format=raw,cache=unsafe"),
        *("-drive", f"file={disks.spare},if=virtio,format=raw,cache=unsafe"),
        *("-serial", f"file:{disks.console}", "-serial", "stdio"),
    ]


def run(pieces: Pieces, disks: Disks, seconds: float, module: str) -> int:
    """Boot, print what the tests print, and return pytest's exit code.

    :raises MachineError: when the machine gives no result, or not in time.
    """
    try:
        process = subprocess.Popen(
            argv(pieces, disks, module),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to us alone
        )
    except FileNotFoundError as err:
        raise MachineError(f"cannot start the machine: {PROGRAM} is not installed") from err
    try:
        code = _follow(process, seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        return code
    except MachineError as error:
        raise MachineError(str(error), (*error.tail, *_tail(disks.console))) from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _follow(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Pass on what the machine says, up to the line that tells the result."""
    begun = time.monotonic()
    line, booted = b"", False
    while True:
        limit = seconds if booted else min(seconds, BOOT_SECONDS)
        text = _read(process, begun + limit - time.monotonic())
        if text is None:
            raise MachineError(f"the machine gave no result within {limit:.0f} seconds")
        if not text:
            raise MachineError("the machine ended without a result")
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        *lines, line = (line + text).split(b"\n")
        for each in lines:
            booted = booted or each.startswith(BOOTED)
            if each.startswith(RESULT):
                return int(each.removeprefix(RESULT))


def _read(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """Return what comes next, b"" at the end, None where nothing comes in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], max(seconds, 0))
    return os.read(process.stdout.fileno(), 1 << 16) if ready else None


def _tail(console: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return console.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return []
