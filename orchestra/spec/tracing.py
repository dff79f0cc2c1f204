"""Where the variables of a text got their values: the shell, an env file, a default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from orchestra.spec.include import Place
from orchestra.spec.template import Use, uses
from orchestra.values import dataclass, replace

LineOf = Callable[[str, str], int | None]
"""From an env file and a variable to its line there, None when it is not there."""


class Where(StrEnum):
    """What a variable's value came from."""

    SHELL = "shell"
    ENV_FILE = "env_file"
    PROJECT = "project"
    DEFAULT = "default"
    UNSET = "unset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One variable; ``written`` is the whole of it where its default or alternate stands."""

    name: str
    where: Where
    file: str | None = None
    line: int = 0
    written: str | None = None


def trace_variable(name: str, place: Place, shell: Mapping[str, str], line_of: LineOf) -> Trace:
    """Tell where a variable's value is from; ``shell`` are the variables of the process."""
    if name in shell:
        return Trace(name=name, where=Where.SHELL)
    for group in place.env_files:
        for file in reversed(group):
            line = line_of(file, name)
            if line is not None:
                return Trace(name=name, where=Where.ENV_FILE, file=file, line=line)
    if name not in place.environment:
        return Trace(name=name, where=Where.UNSET)
    project = name == "COMPOSE_PROJECT_NAME"
    return Trace(name=name, where=Where.PROJECT if project else Where.SHELL)


def trace_text(
    text: str, place: Place, shell: Mapping[str, str], line_of: LineOf
) -> Iterator[Trace]:
    """Yield the variables that decided what became of a text, in its order."""
    for use in uses(text):
        trace = trace_variable(use.name, place, shell, line_of)
        present = _present(use, place)
        whole = "${" + use.name + use.operator + use.argument + "}"
        if use.kind == "-" and not present:
            yield replace(trace, where=Where.DEFAULT, file=None, line=0, written=whole)
        elif use.kind == "+" and present:
            yield replace(trace, written=whole)
        else:
            yield trace
        if (use.kind == "-" and not present) or (use.kind == "+" and present):
            yield from trace_text(use.argument, place, shell, line_of)


def _present(use: Use, place: Place) -> bool:
    value = place.environment.get(use.name)
    return bool(value) if use.operator.startswith(":") else value is not None
