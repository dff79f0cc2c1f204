"""The one tree of errors: what went wrong, where, and what to do about it.

Every leaf owns its exit code. Messages are one lower-case clause ("cannot X: why"), without a
trailing full stop; the place and the hint are fields, and only the CLI turns them into text.
This module imports nothing of ours.
"""

from __future__ import annotations

from orchestra.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file: line and column count from 1, 0 where unknown; key is a dotted path."""

    file: str
    line: int = 0
    column: int = 0
    key: str = ""

    def __str__(self) -> str:
        """Render ``file:line:column: key``, leaving out what is unknown."""
        place = self.file
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        return f"{place}: {self.key}" if self.key else place


class OrchestraError(Exception):
    """Base of every error that a user may see."""

    exit_code: ClassVar[int] = 70

    def __init__(
        self, message: str, *, location: Location | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.hint = hint


class UsageError(OrchestraError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class SpecError(OrchestraError):
    """A Compose file, or a file it names, is wrong."""

    exit_code = 3


class SpecErrors(SpecError):
    """Every error of one load, in file order."""

    def __init__(self, errors: tuple[SpecError, ...]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class PlanError(OrchestraError):
    """No plan leads from the observed to the desired state."""

    exit_code = 4


class EngineError(OrchestraError):
    """The machine refused an effect."""

    exit_code = 5


class CommandError(EngineError):
    """A program that we ran failed; ``stderr`` is the end of what it said."""

    def __init__(
        self, message: str, *, returncode: int, stderr: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.returncode = returncode
        self.stderr = stderr


class HostError(EngineError):
    """This host lacks a right or a feature that the work needs."""


class ImageError(EngineError):
    """An image cannot be had, or is not what it claims to be."""


class RegistryError(ImageError):
    """A registry did not answer, or answered with an error."""


class BuildError(EngineError):
    """A Dockerfile is wrong, or one of its steps failed."""


class NetworkError(EngineError):
    """A network, an address or a port cannot be had."""


class VolumeError(EngineError):
    """A volume or a bind mount cannot be had."""


class ContainerError(EngineError):
    """A container cannot be created, started, stopped, removed or entered."""


class StateError(EngineError):
    """A record of ours cannot be read or written."""


class LockError(EngineError):
    """Somebody else holds the lock, and kept it."""


class StepErrors(EngineError):
    """Several steps of one plan failed, in the order in which they failed."""

    def __init__(self, errors: tuple[OrchestraError, ...]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class GateError(OrchestraError):
    """A dependency did not become what a step waits for."""

    exit_code = 6


class Interrupted(OrchestraError):
    """Somebody pressed Ctrl-C, or sent SIGTERM (128 + 2)."""

    exit_code = 130


class BugError(OrchestraError):
    """Something that cannot happen did."""

    exit_code = 70


class ungrouped:  # noqa: N801 - used as the context manager that it is
    """Raise what a task group wrapped: the one error, or StepErrors when there are several."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, BaseExceptionGroup):
            return
        leaves = list(_leaves(error))
        ours = [leaf for leaf in leaves if isinstance(leaf, OrchestraError)]
        if len(leaves) == 1:
            raise leaves[0] from leaves[0].__cause__
        if len(ours) == len(leaves):
            raise StepErrors(tuple(ours)) from error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
