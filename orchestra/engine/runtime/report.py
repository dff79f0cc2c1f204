"""What the runtime says of itself: to stderr, and to a log file as runc writes it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from orchestra.engine.runtime.failure import failed


def open_log(options: argparse.Namespace) -> None:
    """Make the log file, if there is to be one, or learn at once that it cannot be.

    :raises RuntimeFailure: when it cannot be; nothing more is logged then.
    """
    if not options.log:
        return
    try:
        os.close(_open(options.log))
    except OSError as err:
        options.log = ""
        raise failed("open the log", err) from err


def line(level: str, message: str, log_format: str) -> str:
    """Return a line of a log, as runc's: JSON, or key=value."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if log_format == "json":
        return json.dumps({"level": level, "msg": message, "time": now}) + "\n"
    return f'time="{now}" level={level} msg={json.dumps(message)}\n'


def write(path: str, text: str) -> None:
    """Add a line to the log; a log that is gone is no reason to fail a second time."""
    try:
        fd = _open(path)
    except OSError as err:
        sys.stderr.write(f"{failed('write the log', err).message}\n")
        return
    try:
        os.write(fd, text.encode("utf-8", "backslashreplace"))
    finally:
        os.close(fd)


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    return os.open(path, flags, 0o600)
