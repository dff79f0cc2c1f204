"""``config --explain`` as text for people and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orchestra.cli.render.terminal import printable

if TYPE_CHECKING:
    from orchestra.spec.explain import Origin
    from orchestra.spec.provenance import Explanation
    from orchestra.spec.tracing import Trace
    from orchestra.spec.tree import Mark


def explanation_text(explanations: Iterable[Explanation]) -> str:
    """Return a few lines for each value: what it is, what set it, and what that overrode."""
    lines = [line for each in explanations for line in _lines(each)]
    return "".join(f"{printable(line)}\n" for line in lines)


def explanation_json(explanations: Iterable[Explanation]) -> str:
    """Return a list of objects: key, value, from, overrode."""
    documents = [
        {
            "key": each.key,
            "value": each.value,
            "from": _document(each.origin),
            "overrode": [_document(origin) for origin in each.overrode],
        }
        for each in explanations
    ]
    return json.dumps(documents, indent=2, ensure_ascii=False) + "\n"


def _lines(explanation: Explanation) -> Iterator[str]:
    yield f"{explanation.key}: {json.dumps(explanation.value, ensure_ascii=False)}"
    yield f"  {_sentence(explanation.origin)}"
    for trace in explanation.origin.variables:
        yield f"    {_variable(trace)}"
    for origin in explanation.overrode:
        yield f"  over: {_sentence(origin)}"


def _sentence(origin: Origin) -> str:
    written = "" if origin.written is None else f": {json.dumps(origin.written, default=str)}"
    return f"{_rule(origin)}{written}"


def _rule(origin: Origin) -> str:
    place = _place(origin.mark)
    match origin.rule.value:
        case "file":
            return f"written in {place}"
        case "override":
            return f"written in the override file {place}"
        case "extends":
            return f'extends service "{origin.service}" of {place}'
        case "include":
            return f"included from {place}"
        case "env_file" | "label_file" as kind:
            return f"{kind} {place}"
        case "option":
            return "given with --project-name"
        case _:
            return "default of Compose"


def _place(mark: Mark | None) -> str:
    if mark is None:
        return "the files"
    numbers = [str(number) for number in (mark.line, mark.column) if number]
    return ":".join([mark.file, *numbers])


def _variable(trace: Trace) -> str:
    match trace.where.value:
        case "shell":
            text = "from the shell"
        case "env_file":
            text = f"from {trace.file}:{trace.line}"
        case "project":
            text = "is the project's name"
        case "default":
            text = f"default of {trace.written}"
        case _:
            text = "is not set"
    if trace.written is not None and trace.where.value != "default":
        text += f", which gives the alternate of {trace.written}"
    return f"variable {trace.name} {text}"


def _document(origin: Origin) -> dict[str, object]:
    mark = origin.mark
    document: dict[str, object] = {"rule": origin.rule.value}
    if mark is not None:
        document |= {"file": mark.file, "line": mark.line}
        document |= {"column": mark.column} if mark.column else {}
    if origin.service is not None:
        document["service"] = origin.service
    if origin.written is not None:
        document["written"] = origin.written
    if origin.variables:
        document["variables"] = [_variable_document(trace) for trace in origin.variables]
    return document


def _variable_document(trace: Trace) -> dict[str, object]:
    document: dict[str, object] = {"name": trace.name, "from": trace.where.value}
    if trace.file is not None:
        document |= {"file": trace.file, "line": trace.line}
    if trace.written is not None:
        document["written"] = trace.written
    return document
