"""From the canonical tree to the project, every fault with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args, get_origin

from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.base import Element, bare, slots_of
from orchestra.spec.model.binder import bind
from orchestra.spec.model.project import Project
from orchestra.spec.tree import Value, place


def build_project(tree: Value, findings: Findings) -> Project | None:
    """Return the model of a tree; parts that do not fit are noted and left out."""

    def note(path: KeyPath, message: str, hint: str) -> None:
        findings.add(message, path, place(tree, path), hint=hint)

    return bind(Project, tree, note)


def fields_at(path: KeyPath) -> frozenset[str]:
    """Return the keys that the model knows at a place."""
    at: object = Project
    for part in path:
        at = _step(at, part)
    if not (isinstance(at, type) and issubclass(at, Element)):
        return frozenset()
    hidden = {"name"} if len(path) == 2 and path[0] == "services" else set()
    names = {slot.key for slot in slots_of(at).values()}
    return frozenset(name for name in names - hidden if not name.startswith("#"))


def _step(at: object, part: str | int) -> object:
    if isinstance(at, type) and issubclass(at, Element):
        kinds = {slot.key: slot.kind for slot in slots_of(at).values()}
        return bare(kinds[part]) if part in kinds else None
    arguments = get_args(at)
    if get_origin(at) in {tuple, Mapping} and arguments:
        return bare(arguments[0] if isinstance(part, int) else arguments[-1])
    return None
