"""Every reason why a project cannot be compiled, gathered so that all are told at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestra.errors import Location, SpecError, SpecErrors


@dataclass(slots=True)
class Complaints:
    """What is wrong, or valid but not implemented, with the key that it stands at."""

    file: str
    errors: list[SpecError] = field(default_factory=list)

    def add(self, key: str, message: str, hint: str | None = None) -> None:
        """Note an error at a dotted key."""
        location = Location(file=self.file, key=key)
        self.errors.append(SpecError(message, location=location, hint=hint))

    def refuse(self, key: str, why: str, hint: str | None = None) -> None:
        """Note a key that is valid Compose but not implemented."""
        self.add(key, f"not supported: {why}", hint or "remove it")

    def raise_errors(self) -> None:
        """Raise what was noted.

        :raises SpecErrors: when anything was.
        """
        if self.errors:
            raise SpecErrors(tuple(self.errors))
