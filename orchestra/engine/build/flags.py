"""The ``--flags`` of an instruction.

Pure. Flags are checked against what the instruction knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.engine.build.nearest import did_you_mean
from orchestra.errors import BuildError
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags by name, each with the values it was given."""

    values: dict[str, tuple[str, ...]]

    def text(self, name: str) -> str:
        """Return a flag's value; "" when it was not given."""
        return self.values.get(name, ("",))[0]

    def list(self, name: str) -> tuple[str, ...]:
        """Return every value of a flag that may be repeated."""
        return self.values.get(name, ())

    def switch(self, name: str) -> bool | None:
        """Return a switch; None when it was not given."""
        return self.values[name][0] == "true" if name in self.values else None


def read_flags(
    flags: Sequence[str],
    *,
    texts: Sequence[str] = (),
    lists: Sequence[str] = (),
    switches: Sequence[str] = (),
) -> Flags:
    """Check and read an instruction's flags.

    :raises BuildError: when one is unknown, repeated, or lacks its value.
    """
    found: dict[str, tuple[str, ...]] = {}
    for flag in flags:
        name, equals, value = flag.removeprefix("--").partition("=")
        if name in found and name not in lists:
            raise BuildError(f"--{name} is given twice")
        if name in switches:
            found[name] = (_switch(name, equals, value),)
        elif name not in texts and name not in lists:
            known = [f"--{known}" for known in sorted((*texts, *lists, *switches))]
            raise BuildError(
                f'unknown flag "--{name[:50]}"',
                hint=did_you_mean(f"--{name}", known)
                or (f"it knows {', '.join(known)}" if known else None),
            )
        elif not equals:
            raise BuildError(f"--{name} needs a value")
        else:
            found[name] = (*found.get(name, ()), value)
    return Flags(found)


def _switch(name: str, equals: str, value: str) -> str:
    if equals and value.lower() not in ("true", "false"):
        raise BuildError(f'--{name} is true or false, not "{value[:50]}"')
    return value.lower() or "true"
