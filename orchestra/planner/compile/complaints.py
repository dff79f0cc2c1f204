"""Every reason why a project cannot be compiled, and every key without effect, told at once."""

from __future__ import annotations

from orchestra.errors import SpecError, SpecErrors
from orchestra.spec.keypath import KeyPath
from orchestra.spec.places import Places
from orchestra.values import dataclass, field


@dataclass(slots=True)
class Complaints:
    """What is wrong, valid but not implemented, or without effect, with the place of its key."""

    places: Places
    errors: list[SpecError] = field(default_factory=list)
    remarks: list[tuple[tuple[int, int, int], str]] = field(default_factory=list)

    def add(self, path: KeyPath, message: str, hint: str) -> None:
        """Note an error."""
        self.errors.append(SpecError(message, location=self.places.location(path), hint=hint))

    def refuse(self, path: KeyPath, why: str, hint: str | None = None) -> None:
        """Note a key that is valid Compose but not implemented."""
        self.add(path, f"not supported: {why}", hint or "remove it")

    def warn(self, path: KeyPath, message: str) -> None:
        """Note a key that does no harm, and nothing else either."""
        where = self.places.location(path)
        remark = (self.places.order(where), f"{where}: {message}")
        if remark not in self.remarks:
            self.remarks.append(remark)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what was warned of, in file order."""
        return tuple(text for _, text in sorted(self.remarks, key=lambda remark: remark[0]))

    def raise_errors(self) -> None:
        """Raise what was noted, in file order; of replicas with the same fault, one.

        :raises SpecErrors: when anything was.
        """
        order = self.places.order
        found = {(str(error.location), error.message): error for error in self.errors}
        if found:
            errors = sorted(found.values(), key=lambda error: order(error.location))
            raise SpecErrors(tuple(errors))
