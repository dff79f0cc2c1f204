"""What a load finds wrong, gathered until the end so that everything is reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestra.errors import SpecError, SpecErrors
from orchestra.spec.keypath import KeyPath
from orchestra.spec.places import Places
from orchestra.spec.tree import Mark, location


class Misfit(ValueError):
    """A value is not what its place asks for; ``below`` leads from there to the culprit."""

    def __init__(self, message: str, *, hint: str | None = None, below: KeyPath = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.below = below


@dataclass(slots=True)
class Findings:
    """Errors and warnings of one load; at most one error per place.

    ``nulls``: the keys without a value; taken as absent, but the model has to know them.
    """

    errors: list[SpecError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    nulls: list[tuple[KeyPath, Mark | None]] = field(default_factory=list)
    _seen: set[tuple[str, int, int, str]] = field(default_factory=set)
    _paths: list[KeyPath] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def read(self, file: str) -> None:
        """Note that a file was opened: errors are sorted by this order."""
        if file not in self.files:
            self.files.append(file)

    def add(
        self, message: str, path: KeyPath = (), mark: Mark | None = None, *, hint: str | None = None
    ) -> None:
        """Note an error."""
        where = location(mark, path)
        if where is not None:
            spot = (where.file, where.line, where.column, where.key)
            if spot in self._seen:
                return
            self._seen.add(spot)
        self._paths.append(path)
        self.errors.append(SpecError(message, location=where, hint=hint))

    def holds(self, path: KeyPath) -> bool:
        """Tell whether something was wrong at a key already, or below it."""
        return any(known[: len(path)] == path for known in self._paths)

    def names(self, kind: str) -> frozenset[str]:
        """Return the names of the resources of a kind with which something was wrong."""
        return frozenset(str(path[1]) for path in self._paths if len(path) > 1 and path[0] == kind)

    def misfit(self, error: Misfit, path: KeyPath, mark: Mark | None) -> None:
        """Note a value that does not fit."""
        self.add(error.message, path + error.below, mark, hint=error.hint)

    def warn(self, message: str, path: KeyPath = (), mark: Mark | None = None) -> None:
        """Note something that is allowed but hardly meant."""
        where = location(mark, path)
        text = f"{where}: {message}" if where is not None else message
        if text not in self._said:
            self._said.add(text)
            self.warnings.append(text)

    def raise_errors(self) -> None:
        """Raise what was found, in file order.

        :raises SpecErrors: when there was any error.
        """
        if self.errors:
            order = Places(files=tuple(self.files)).order
            raise SpecErrors(tuple(sorted(self.errors, key=lambda error: order(error.location))))
