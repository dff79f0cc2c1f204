"""Run a command: argv, environment, deadline, captured output."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta

import anyio

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
    except FileNotFoundError as err:
        raise CommandError(
            f'cannot run "{argv[0]}": not found', returncode=127, stderr="", hint="install it"
        ) from err
    except TimeoutError as err:
        raise CommandError(
            f'cannot run "{argv[0]}": no end after {timeout.total_seconds():g} s',
            returncode=124,
            stderr="",
        ) from err
    if result.returncode != 0:
        stderr = result.stderr.decode(errors="replace")[-_STDERR_TAIL:].strip()
        last = stderr.splitlines()[-1] if stderr else f"exit code {result.returncode}"
        raise CommandError(
            f'cannot run "{argv[0]}": {last}', returncode=result.returncode, stderr=stderr
        )
    return result.stdout
