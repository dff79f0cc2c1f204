"""What a Dockerfile says of itself: its targets, and what a target takes (``--call``).

Pure. The documents are BuildKit's (frontend/subrequests), so that readers of ``format=json`` find
what they know; the texts are buildx's.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

from orchestra.engine.build.checking import Checked, Question
from orchestra.engine.build.dockerfile import Dockerfile, Line, parse_dockerfile
from orchestra.engine.build.graph import Graph, Stage
from orchestra.engine.build.instructions import Arg, From
from orchestra.engine.build.lowering import Base, lower_stage
from orchestra.engine.build.reading import read_instruction
from orchestra.engine.build.vertices import LoweredStage, RunVertex, StageSource
from orchestra.errors import BuildError
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, field, replace

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_WIDE, _NARROW = 3, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An answer, for people and for programs; ``clean`` False: a check found something."""

    text: str
    json: str
    clean: bool = True
    error: BuildError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """Something that a target takes: an argument, a secret, an agent."""

    name: str
    line: int
    end_line: int
    value: str = ""
    description: str = ""
    required: bool = False


@dataclass(slots=True)
class _Gathered:
    arguments: dict[str, _Taken] = field(default_factory=dict)
    secrets: dict[str, _Taken] = field(default_factory=dict)
    agents: dict[str, _Taken] = field(default_factory=dict)


def described_check(checked: Checked) -> Described:
    """Return a check's findings."""
    document: dict[str, object] = {
        "warnings": [
            {
                "ruleName": finding.rule,
                **({"url": finding.url} if finding.url else {}),
                "detail": finding.detail,
                "location": _location(finding.line, finding.end_line),
            }
            for finding in checked.findings
        ],
        "sources": [{"filename": checked.name, "data": _encoded(checked.text)}],
    }
    if checked.error is not None:
        line = checked.error.location.line if checked.error.location else None
        document["buildError"] = {
            "message": checked.error.message,
            "location": _location(line or 1, line or 1),
        }
    return Described(
        text=checked.report,
        json=_written(document),
        clean=not checked.findings,
        error=checked.error,
    )


def describe_targets(question: Question) -> Described:
    """List the stages that can be built.

    :raises BuildError: at its line, when the Dockerfile makes no sense.
    """
    document = parse_dockerfile(question.text, question.file)
    lines = [line for line in document.lines if line.keyword.upper() == "FROM"]
    question.graph(document)  # whatever is wrong with it is told
    targets: list[dict[str, object]] = []
    rows = [("TARGET", "DESCRIPTION")]
    for number, line in enumerate(lines, 1):
        first = read_instruction(line, question.file)
        if not isinstance(first, From):
            continue
        told, last = _comment(line.comments, first.name), number == len(lines)
        fields = {
            "name": first.name,
            "default": last,
            "description": told,
            "base": first.image,
            "platform": first.platform,
        }
        location = _location(line.line, line.end_line)
        targets.append({key: value for key, value in fields.items() if value})
        targets[-1]["location"] = location
        shown = f"{first.name} (default)" if first.name and last else first.name
        rows.append((shown or ("(default)" if last else ""), told))
    written = _written({"targets": targets, "sources": [_encoded(question.text)]})
    return Described(text=_table(rows, _NARROW), json=written)


def describe_outline(question: Question) -> Described:
    """Tell what a target takes: build arguments, secrets, agents.

    :raises BuildError: at its line, when the Dockerfile makes no sense.
    """
    document = parse_dockerfile(question.text, question.file)
    graph = question.graph(document)
    found = _gather(document, graph, question)
    target = graph.stages[graph.target]
    line = _line_of(document, target.line)
    description = _comment(line.comments, target.name) if line else ""
    sorted_ = [
        sorted(group.values(), key=lambda each: each.line)
        for group in (found.arguments, found.secrets, found.agents)
    ]
    arguments, secrets, agents = sorted_
    fields: dict[str, object] = {
        "name": target.name,
        "description": description,
        "sources": [_encoded(question.text)],
        "args": [_document(each) for each in arguments],
        "secrets": [_document(each) for each in secrets],
        "ssh": [_document(each) for each in agents],
    }
    written = _written({key: value for key, value in fields.items() if value})
    return Described(
        text=_outline_text(target.name, description, arguments, secrets, agents), json=written
    )


def _gather(document: Dockerfile, graph: Graph, question: Question) -> _Gathered:
    found, lowered = _Gathered(), dict[int, LoweredStage]()
    for index in sorted(graph.needed):
        stage = graph.stages[index]
        lowered[index] = lower_stage(graph, stage, _base(stage, lowered), question.arguments)
        _gather_mounts(lowered[index], document, found)
        for instruction in stage.instructions:
            if isinstance(instruction, Arg):
                _gather_argument(instruction, lowered[index], graph, document, found, question)
    _gather_globals(document, graph, found)
    return found


def _base(stage: Stage, lowered: Mapping[int, LoweredStage]) -> Base:
    """Return what a stage starts from, as far as it is known without any image."""
    if not isinstance(stage.base, StageSource):
        return Base(config=ImageConfig(platform=Platform("linux", ""), diff_ids=()))
    below = lowered[stage.base.index]
    return Base(
        config=replace(below.config, on_build=()),
        author=below.author,
        variables=below.variables,
        arguments=below.arguments,
        triggers=below.triggers,
    )


def _gather_argument(
    arg: Arg,
    lowered: LoweredStage,
    graph: Graph,
    document: Dockerfile,
    found: _Gathered,
    question: Question,
) -> None:
    line = _line_of(document, arg.line)
    for name, default in arg.arguments:
        inherited = default is None and name not in question.arguments
        if inherited and name in graph.arguments:
            continue  # told at its place before the first FROM
        found.arguments[name] = _Taken(
            name=name,
            line=arg.line,
            end_line=line.end_line if line else arg.line,
            value=lowered.variables.get(name, ""),
            description=_comment(line.comments, name) if line else "",
        )


def _gather_globals(document: Dockerfile, graph: Graph, found: _Gathered) -> None:
    """Add the ARGs before the first FROM that the needed stages use, and those that they use."""
    defined: dict[str, Line] = {}
    uses: dict[str, set[str]] = {}
    for line in _leading(document):
        instruction = read_instruction(line, graph.file)
        for name, default in instruction.arguments if isinstance(instruction, Arg) else ():
            defined[name] = line
            uses.setdefault(name, set()).update(_VARIABLE.findall(default or ""))
    wanted = _used(document, graph)
    todo = list(wanted)
    while todo:
        for name in uses.get(todo.pop(), set()) - wanted:
            wanted.add(name)
            todo.append(name)
    for name in wanted & defined.keys() - found.arguments.keys():
        line = defined[name]
        found.arguments[name] = _Taken(
            name=name,
            line=line.line,
            end_line=line.end_line,
            value=graph.arguments.get(name, ""),
            description=_comment(line.comments, name),
        )


def _leading(document: Dockerfile) -> Iterator[Line]:
    """Yield the lines before the first FROM."""
    return takewhile(lambda line: line.keyword.upper() != "FROM", document.lines)


def _used(document: Dockerfile, graph: Graph) -> set[str]:
    """Return the names that the needed stages take of what stands before the first FROM."""
    found: set[str] = set()
    for stage in (graph.stages[index] for index in graph.needed):
        line = _line_of(document, stage.line)
        found.update(_VARIABLE.findall(line.source if line else ""))
        for instruction in stage.instructions:
            if isinstance(instruction, Arg):
                found.update(name for name, default in instruction.arguments if default is None)
    return found


def _gather_mounts(lowered: LoweredStage, document: Dockerfile, found: _Gathered) -> None:
    for step in lowered.steps:
        if not isinstance(step.vertex, RunVertex):
            continue
        line = _line_of(document, step.line)
        end = line.end_line if line else step.line
        for mount in step.vertex.mounts:
            group = {"secret": found.secrets, "ssh": found.agents}.get(mount.kind)
            if group is None:
                continue
            name = mount.id or "default"
            known = group.get(name)
            required = mount.required or (known is not None and known.required)
            first = known.line if known is not None else step.line
            group[name] = _Taken(name=name, line=first, end_line=end, required=required)


def _line_of(document: Dockerfile, number: int) -> Line | None:
    return next((line for line in document.lines if line.line == number), None)


def _comment(comments: Iterable[str], name: str) -> str:
    """Return what a comment above an instruction says of a name: it begins with it."""
    texts = (text.strip() for text in comments)
    told = (text.removeprefix(f"{name} ") for text in texts if text.startswith(f"{name} "))
    return next(told, "") if name else ""


def _location(line: int, end: int) -> dict[str, object]:
    return {"ranges": [{"start": {"line": line}, "end": {"line": end}}]}


def _document(taken: _Taken) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": taken.name,
        "description": taken.description,
        "value": taken.value,
        "required": taken.required,
        "location": _location(taken.line, taken.end_line),
    }
    return {key: value for key, value in fields.items() if value}


def _outline_text(
    name: str,
    description: str,
    arguments: Sequence[_Taken],
    secrets: Sequence[_Taken],
    agents: Sequence[_Taken],
) -> str:
    tables = []
    if name or description:
        rows = [("TARGET:", name or "(default)")]
        rows += [("DESCRIPTION:", description)] if description else []
        tables.append(_table(rows, _NARROW))
    if arguments:
        lines = [(each.name, each.value, each.description) for each in arguments]
        tables.append(_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *lines], _WIDE))
    for title, group in (("SECRET", secrets), ("SSH", agents)):
        if group:
            marks = [(each.name, "true" if each.required else "") for each in group]
            tables.append(_table([(title, "REQUIRED"), *marks], _WIDE))
    return "".join(f"{table}\n" for table in tables)


def _table(rows: Sequence[tuple[str, ...]], gap: int) -> str:
    widths = [max(len(row[column]) for row in rows) + gap for column in range(len(rows[0]) - 1)]
    cells = (
        [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)] for row in rows
    )
    return "".join(f"{''.join(line)}\n" for line in cells)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _written(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2)
