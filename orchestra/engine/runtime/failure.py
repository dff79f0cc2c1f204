"""The one way in which the runtime fails."""

from __future__ import annotations

import errno as errnos


class RuntimeFailure(Exception):
    """A container or process could not be made: one clause, as docker or runc would say it.

    ``errno`` is 0 where no call failed. ``exit_code`` is docker's: 127 not found, 126 not
    executable, 125 anything else.
    """

    def __init__(self, message: str, *, errno: int = 0, exit_code: int = 125) -> None:
        super().__init__(message)
        self.message = message
        self.errno = errno
        self.exit_code = exit_code


def describe(err: OSError) -> str:
    """Say why a call failed in libc's words, with the path where there is one."""
    why = (err.strerror or errnos.errorcode.get(err.errno or 0, "unknown error")).lower()
    return f"{err.filename}: {why}" if err.filename else why


def failed(what: str, err: OSError) -> RuntimeFailure:
    """Return the failure "cannot WHAT: why" of a system call."""
    return RuntimeFailure(f"cannot {what}: {describe(err)}", errno=err.errno or 0)
