"""What the solver walked, as it is written down for who carries on where files have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.engine.build.vertices import (
    ContextSource,
    CopyVertex,
    MakeDirectoryVertex,
)
from orchestra.engine.state.plain import NotPlainError
from orchestra.values import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from orchestra.engine.build.steps import StepResult
    from orchestra.engine.build.vertices import Step
    from orchestra.engine.state.codec import Json

NOTHING: dict[str, Json] = {"kind": "nothing"}
"""A step that changes no files."""


def walked(step: Step, label: str, result: StepResult, trees: Container[str]) -> dict[str, Json]:
    """Return a step and what it left; ``trees`` are the names of contexts that are directories."""
    entry: dict[str, Json] = {
        "kind": "fixed",
        "action": f"[{label}] {step.title}",
        "key": result.key,
        "layer": result.layer is not None,
    }
    vertex = step.vertex
    if isinstance(vertex, MakeDirectoryVertex):
        entry |= {"kind": "directory", "path": vertex.path, "user": vertex.user}
    elif isinstance(vertex, CopyVertex) and _takes_from(vertex, trees):
        values = {each.name: getattr(vertex, each.name) for each in fields_of(CopyVertex)}
        values |= {
            "source": getattr(vertex.source, "name", ""),
            "sources": list(vertex.sources),
            "excludes": list(vertex.excludes),
            "documents": [list(document) for document in vertex.documents],
        }
        entry |= {"kind": "copy", "digests": list(result.digests), "vertex": values}
    return entry


def _takes_from(vertex: CopyVertex, trees: Container[str]) -> bool:
    return isinstance(vertex.source, ContextSource) and vertex.source.name in trees


def vertex_of(entry: object) -> CopyVertex | MakeDirectoryVertex | None:
    """Return what a step that was written down does; None for what is never done again.

    :raises NotPlainError: when that is not to be read.
    """
    match entry:
        case {"kind": "copy", "vertex": {"source": str(source), **values}}:
            make: Callable[..., CopyVertex] = CopyVertex
            fields = {str(name): _tupled(value) for name, value in values.items()}
            return make(source=ContextSource(source), **fields)
        case {"kind": "directory", "path": str(path), "user": str(user)}:
            return MakeDirectoryVertex(path=path, user=user)
        case {"kind": "fixed" | "nothing"}:
            return None
        case _:
            raise NotPlainError


def _tupled(value: object) -> object:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
