"""Run a command: argv, environment, deadline, captured output."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta

import anyio
import anyio.abc

from orchestra.errors import CommandError, ungrouped

_STDERR_TAIL = 2000


async def run_command(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: timedelta = timedelta(seconds=60),
) -> bytes:
    """Run a program to its end and return its standard output.

    :raises CommandError: when it is missing, exits with another code than 0, or takes too long.
    """
    try:
        with ungrouped(), anyio.fail_after(timeout.total_seconds()):
            result = await anyio.run_process(
                list(argv), input=stdin, env=env, check=False, stderr=subprocess.PIPE
            )
    except anyio.BrokenResourceError as err:
        raise CommandError(
            f'cannot run "{argv[0]}": it ended without reading its input', returncode=1, stderr=""
        ) from err
    except (FileNotFoundError, TimeoutError) as err:
        raise _not_run(argv[0], timeout) from err
    return _output(argv[0], result.returncode, result.stdout, result.stderr)


async def run_group(argv: Sequence[str], *, env: Mapping[str, str], timeout: timedelta) -> bytes:
    """Run a program that has helpers of its own: with its end, all of them are killed.

    :raises CommandError: when it is missing, exits with another code than 0, or takes too long.
    """
    try:
        with ungrouped(), anyio.fail_after(timeout.total_seconds()):
            with anyio.CancelScope(shield=True):  # broken off here, its helpers would live on
                process = await anyio.open_process(
                    list(argv), stdin=subprocess.DEVNULL, env=env, start_new_session=True
                )
            try:
                stdout, stderr = await _both(process)
                await process.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await _end_group(process)
    except (FileNotFoundError, TimeoutError) as err:
        raise _not_run(argv[0], timeout) from err
    return _output(argv[0], process.returncode or 0, stdout, stderr)


async def _both(process: anyio.abc.Process) -> tuple[bytes, bytes]:
    found: dict[int, bytes] = {}

    async def read(number: int, stream: anyio.abc.ByteReceiveStream) -> None:
        found[number] = b"".join([chunk async for chunk in stream])

    async with anyio.create_task_group() as tasks:
        for number, stream in enumerate((process.stdout, process.stderr)):
            if stream is not None:
                tasks.start_soon(read, number, stream)
    return found.get(0, b""), found.get(1, b"")


async def _end_group(process: anyio.abc.Process) -> None:
    _kill_group(process.pid)
    await process.aclose()
    _reap_group(process.pid)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _reap_group(leader: int) -> None:
    """Wait for killed helpers that outlived their leader, where this process adopts orphans."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-leader, 0)


def _not_run(program: str, timeout: timedelta) -> CommandError:
    """Return the error of the exception being handled: not there, or no end."""
    if isinstance(sys.exception(), FileNotFoundError):
        return CommandError(
            f'cannot run "{program}": not found', returncode=127, stderr="", hint="install it"
        )
    return CommandError(
        f'cannot run "{program}": no end after {timeout.total_seconds():g} s',
        returncode=124,
        stderr="",
    )


def _output(program: str, returncode: int, stdout: bytes, stderr: bytes) -> bytes:
    if returncode != 0:
        text = stderr.decode(errors="replace")[-_STDERR_TAIL:].strip()
        last = text.splitlines()[-1] if text else f"exit code {returncode}"
        raise CommandError(f'cannot run "{program}": {last}', returncode=returncode, stderr=text)
    return stdout
