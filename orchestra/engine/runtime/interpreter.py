"""Start this program again from where containers cannot write to it (linux/interpreter.py)."""

from __future__ import annotations

import os
import sys

from orchestra.engine.linux.interpreter import is_protected, protected_program
from orchestra.engine.runtime.failure import failed

__all__ = ["is_protected", "protect"]

_TRIED = "ORCHESTRA_INTERPRETER_PROTECTED"


def protect() -> None:
    """Execute this very command again from a protected interpreter; return when it already is.

    The first act of a program that starts containers: before threads, sockets and children, and
    before most imports, which come twice otherwise.

    :raises RuntimeFailure: when the program cannot be protected, or started again.
    """
    if is_protected():
        os.environ.pop(_TRIED, None)
        return
    if os.environ.get(_TRIED):
        raise failed("protect the interpreter", OSError(1, "it is still writable"))
    try:
        target = protected_program("/proc/self/exe")
    except OSError as err:
        raise failed("protect the interpreter", err) from err
    environment = {**os.environ, _TRIED: "1"}
    try:
        os.execve(target, sys.orig_argv, environment)  # noqa: S606 - no shell is wanted
    except OSError as err:
        raise failed("start the protected interpreter", err) from err
