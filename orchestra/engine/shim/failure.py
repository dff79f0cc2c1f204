"""Why a start or an exec did not happen, in the shape of protocol.Failed."""

from __future__ import annotations

import os

from orchestra.engine.shim.protocol import Failed, Listen


class ShimFailure(Exception):
    """A clause for the user, the errno where there is one, and docker's exit code (125 to 127)."""

    def __init__(
        self, message: str, *, errno: int = 0, exit_code: int = 125, port: Listen | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errno = errno
        self.exit_code = exit_code
        self.port = port


def because(what: str, error: OSError) -> ShimFailure:
    """Say what could not be done and why."""
    why = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error.filename, str) and error.filename not in what:
        why = f'{why} ("{error.filename}")'
    return ShimFailure(f"{what}: {why.lower()}", errno=error.errno or 0)


def failed(failure: ShimFailure) -> Failed:
    """Return the answer that reports a failure."""
    answer: Failed = {
        "ok": False,
        "error": failure.message,
        "errno": failure.errno,
        "exit_code": failure.exit_code,
    }
    if failure.port is not None:
        answer["port"] = failure.port
    return answer


def failure_of(answer: Failed) -> ShimFailure:
    """Return the failure that an answer reports."""
    return ShimFailure(
        answer["error"],
        errno=answer["errno"],
        exit_code=answer["exit_code"],
        port=answer.get("port"),
    )
