"""What a load finds wrong, gathered until the end so that everything is reported at once."""

from __future__ import annotations

from orchestra.errors import Location, SpecError, SpecErrors
from orchestra.spec.keypath import KeyPath
from orchestra.spec.places import Places
from orchestra.spec.spelling import shortened, veiled
from orchestra.spec.tree import Mark, location
from orchestra.values import dataclass, field

_MOST = 200
_LONGEST_TEXT = 600


class Misfit(ValueError):
    """A value is not what its place asks for; ``below`` leads from there to the culprit."""

    def __init__(self, message: str, *, hint: str | None = None, below: KeyPath = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.below = below


@dataclass(slots=True)
class Findings:
    """Errors and warnings of one load; at most one error per place, and not more than 200.

    ``untold``: that there were more errors; ``variables``: how many the env files of all services
    gave them together. ``nulls``: the keys without a value; taken as absent, but the model has to
    know them.
    """

    errors: list[SpecError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    untold: bool = False
    variables: int = 0
    nulls: list[tuple[KeyPath, Mark | None]] = field(default_factory=list)
    _seen: set[tuple[str, int, int, str]] = field(default_factory=set)
    _paths: list[KeyPath] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set)
    _varied: dict[Mark, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Tell whether there are so many errors that one more is only counted."""
        return len(self.errors) >= _MOST

    def read(self, file: str) -> None:
        """Note that a file was opened: errors are sorted by this order."""
        if file not in self.files:
            self.files.append(file)

    def vary(self, marks: tuple[Mark | None, ...], written: str, result: str) -> None:
        """Note that a text had variables: messages show what is written, never what they hold.

        ``marks``: the places at which an error may quote it, its own and its element's.
        """
        if written != result:
            for mark in marks:
                if mark is not None:
                    self._varied.setdefault(mark, []).append((written, result))

    def _veiled(self, text: str, mark: Mark | None) -> str:
        for written, result in self._varied.get(mark, ()) if mark is not None else ():
            text = veiled(text, written, result)
        return text

    def _path(self, path: KeyPath, mark: Mark | None) -> KeyPath:
        if mark is not None and path:
            for written, result in self._varied.get(mark, ()):
                if path[-1] == result:
                    return (*path[:-1], written)
        return path

    def add(
        self, message: str, path: KeyPath = (), mark: Mark | None = None, *, hint: str | None = None
    ) -> None:
        """Note an error."""
        if self.full:
            self.untold = True
            return
        where = _shown(location(mark, self._path(path, mark)))
        if where is not None:
            spot = (where.file, where.line, where.column, where.key)
            if spot in self._seen:
                return
            self._seen.add(spot)
        self._paths.append(path)
        hint = hint and shortened(self._veiled(hint, mark), _LONGEST_TEXT)
        message = shortened(self._veiled(message, mark), _LONGEST_TEXT)
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
        if len(self.warnings) > _MOST:
            return
        where = _shown(location(mark, self._path(path, mark)))
        message = self._veiled(message, mark)
        text = f"{where}: {message}" if where is not None else message
        text = shortened(text, _LONGEST_TEXT)
        if text in self._warned:
            return
        self._warned.add(text)
        last = len(self.warnings) == _MOST
        self.warnings.append("there are more warnings than can be told" if last else text)

    def raise_errors(self) -> None:
        """Raise what was found, in file order.

        :raises SpecErrors: when there was any error.
        """
        if self.errors:
            order = Places(files=tuple(self.files)).order
            told = sorted(self.errors, key=lambda error: order(error.location))
            if self.untold:
                message = f"there are more errors than these {len(told)}"
                told.append(SpecError(message, hint="mend these first"))
            raise SpecErrors(tuple(told))


def _shown(where: Location | None) -> Location | None:
    if where is None:
        return None
    file, key = shortened(where.file, _LONGEST_TEXT), shortened(where.key)
    return Location(file, where.line, where.column, key)
