"""What a launcher's answer says went wrong, as errors of ours."""

from __future__ import annotations

import errno

from orchestra.engine.shim.protocol import Failed, Listen
from orchestra.errors import ContainerError, NetworkError, OrchestraError


class StartError(ContainerError):
    """A process did not start, or cannot.

    ``code`` is docker's: 127 not found, 126 not executable, else 125.
    """

    def __init__(self, message: str, *, code: int = 125, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class PortError(NetworkError):
    """A published port could not be bound: ``listen`` says which; ``taken``: somebody has it."""

    def __init__(self, message: str, *, listen: Listen, taken: bool) -> None:
        super().__init__(
            message, hint=f"publish another port than {listen['port']}, or stop what holds it"
        )
        self.listen = listen
        self.taken = taken


def unknown_end() -> ContainerError:
    """Return the error of a process whose monitor died before it."""
    return ContainerError(
        "cannot tell how the process ended: its monitor was killed", hint="run the command again"
    )


def no_launcher(project: str, directory: str) -> ContainerError:
    """Return the error of a launcher that cannot be started."""
    return ContainerError(
        f'cannot start the launcher of project "{project}"',
        hint=f"{directory}/launcher.log may say why",
    )


def no_answer() -> ContainerError:
    """Return the error of a launcher that hung up."""
    return ContainerError(
        "cannot start a process: the launcher gave no answer",
        hint="run the command again; launcher.log in the project's run directory says more",
    )


def error_of(answer: Failed) -> OrchestraError:
    """Return the error that an answer stands for."""
    if "port" in answer:
        taken = answer["errno"] == errno.EADDRINUSE
        return PortError(answer["error"], listen=answer["port"], taken=taken)
    return StartError(answer["error"], code=answer["exit_code"])
