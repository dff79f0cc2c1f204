"""The stages of a Dockerfile: which there are, what each needs, and which a target needs.

Pure. Names in FROM, --from and --mount=from= are resolved here: an earlier stage, an additional
context, or an image. Variables in FROM come from ARGs before the first FROM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.engine.build.dockerfile import Dockerfile
from orchestra.engine.build.instructions import Arg, Copy, From, Instruction, Run
from orchestra.engine.build.lexer import Lexing, expand
from orchestra.engine.build.mounts import stages_of
from orchestra.engine.build.nearest import did_you_mean
from orchestra.engine.build.reading import read_instruction
from orchestra.engine.build.vertices import ContextSource, ImageSource, Source, StageSource
from orchestra.errors import BuildError, ImageError, Location
from orchestra.oci.platform import Platform, parse_platform
from orchestra.oci.reference import parse_reference
from orchestra.values import dataclass, replace

SCRATCH = "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One FROM and what follows. ``base`` None is scratch; ``platform`` None is the target's."""

    index: int
    name: str
    base: Source | None
    platform: Platform | None
    instructions: tuple[Instruction, ...]
    line: int
    source: str

    @property
    def label(self) -> str:
        """Return the name, or "stage-N"."""
        return self.name or f"stage-{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Every stage, and those that the target needs. ``arguments`` are the global ARGs."""

    file: str
    escape: str
    stages: tuple[Stage, ...]
    target: int
    needed: tuple[int, ...]
    arguments: Mapping[str, str]
    used_arguments: frozenset[str]
    contexts: frozenset[str]

    def context_of(self, name: str) -> str:
        """Return the additional context that stands in for a name; "" when none does.

        An image is found by what people call it: "alpine" for docker.io/library/alpine:latest.
        """
        for spelled in (name, _familiar(name)):
            if spelled in self.contexts and spelled != SCRATCH:
                return spelled
        return ""

    def where(self, stage: Stage) -> str:
        """Return how an error names a stage; "" where there is only one."""
        return f' in stage "{stage.label}"' if len(self.stages) > 1 else ""

    def source_of(self, name: str, before: int) -> Source:
        """Resolve what a --from in the stage numbered ``before`` names.

        :raises BuildError: when it is a stage that does not come earlier, or no name of an image.
        """
        context = self.context_of(name)
        if context:
            return ContextSource(context)
        index = _index_of(self.stages, name)
        if index is None:
            return _image(name)
        if index >= before:
            raise BuildError(
                f'the stage "{name}" is not defined before this one',
                hint="a stage can use those above it only",
            )
        return StageSource(index)


def platform_arguments(build: Platform, target: Platform, stage: str) -> dict[str, str]:
    """Return the platform ARGs that every build has in its global scope."""
    return {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": "",
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": "",
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }


def make_graph(
    document: Dockerfile,
    *,
    file: str,
    arguments: Mapping[str, str],
    target: str,
    build_platform: Platform,
    target_platform: Platform,
    contexts: Sequence[str] = (),
) -> Graph:
    """Read every instruction, and find the stages that ``target`` ("" is the last) needs.

    :raises BuildError: at its line, when an instruction or a name is wrong.
    """
    groups, leading = _groups(document, file)
    stage_name = target or groups[-1][0].name
    defaults = platform_arguments(build_platform, target_platform, stage_name)
    globals_ = global_arguments(leading, defaults, arguments, escape=document.escape, file=file)
    names = [name for arg in leading for name, _ in arg.arguments]
    graph = Graph(
        file=file,
        escape=document.escape,
        stages=(),
        target=0,
        needed=(),
        arguments=globals_,
        used_arguments=frozenset(names) | defaults.keys(),
        contexts=frozenset(contexts),
    )
    stages: tuple[Stage, ...] = ()
    for first, rest in groups:
        stages = (*stages, _stage(replace(graph, stages=stages), first, tuple(rest)))
    graph = replace(graph, stages=stages, target=_target(stages, target, file))
    return replace(graph, needed=_needed(graph))


def global_arguments(
    leading: Sequence[Arg],
    defaults: Mapping[str, str],
    arguments: Mapping[str, str],
    *,
    escape: str,
    file: str,
) -> dict[str, str]:
    """Return the variables of FROM: of the platforms, and of the ARGs before the first FROM.

    :raises BuildError: at its line, when a default cannot be expanded.
    """
    found = {**defaults, **{key: arguments[key] for key in defaults if key in arguments}}
    for arg in leading:
        for name, default in arg.arguments:
            value = arguments.get(name)
            if value is None and default is not None:
                value = _expanded(default, found, escape, file, arg.line)
            if value is not None:
                found[name] = value
    return found


Group = tuple[From, list[Instruction]]


def _groups(document: Dockerfile, file: str) -> tuple[list[Group], list[Arg]]:
    groups: list[Group] = []
    leading: list[Arg] = []
    for line in document.lines:
        instruction = read_instruction(line, file)
        if isinstance(instruction, From):
            groups.append((instruction, []))
        elif groups:
            groups[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            leading.append(instruction)
        else:
            raise BuildError(
                f"cannot build: {line.keyword.upper()} comes before the first FROM",
                location=Location(file, line.line),
                hint="begin with FROM; only ARG may come before it",
            )
    if not groups:
        raise BuildError("cannot build: there is no FROM", location=Location(file))
    return groups, leading


def _expanded(text: str, variables: Mapping[str, str], escape: str, file: str, line: int) -> str:
    try:
        return expand(text, variables, Lexing(escape=escape)).text
    except BuildError as error:
        raise BuildError(error.message, location=Location(file, line), hint=error.hint) from error


def _stage(graph: Graph, first: From, instructions: tuple[Instruction, ...]) -> Stage:
    place = Location(graph.file, first.line)
    name = _expanded(first.image, graph.arguments, graph.escape, graph.file, first.line)
    if not name:
        raise BuildError(
            f'cannot build: the image "{first.image[:200]}" is blank once its variables are filled',
            location=place,
            hint="give the ARG before FROM a default, or pass it as a build argument",
        )
    platform = None
    if first.platform:
        text = _expanded(first.platform, graph.arguments, graph.escape, graph.file, first.line)
        try:
            platform = parse_platform(text)
        except ImageError as error:
            raise BuildError(
                f"cannot build: {error.message}", location=place, hint=error.hint
            ) from error
    return Stage(
        index=len(graph.stages),
        name=first.name,
        base=_base(graph, first, name),
        platform=platform,
        instructions=instructions,
        line=first.line,
        source=first.source,
    )


def _base(graph: Graph, first: From, name: str) -> Source | None:
    if first.name and first.name in graph.contexts:
        return ContextSource(first.name)
    named = [stage.index for stage in graph.stages if stage.name == name and stage.name]
    if named:
        return StageSource(named[-1])
    if name == SCRATCH:
        return None
    context = graph.context_of(name)
    if context:
        return ContextSource(context)
    try:
        return _image(name)
    except BuildError as error:
        place = Location(graph.file, first.line)
        message = f"cannot build: {error.message}"
        raise BuildError(message, location=place, hint=error.hint) from error


def _image(name: str) -> ImageSource:
    """Return the image of a name that a Dockerfile gives.

    A layout is a directory of this machine: only who starts the build may name one.

    :raises BuildError: when it is a URL.
    """
    if "://" in name:
        raise BuildError(
            f'"{name[:200]}" is not an image reference',
            hint="name an image layout of this machine as an additional context",
        )
    return ImageSource(name)


def _familiar(name: str) -> str:
    try:
        return parse_reference(name).familiar.removesuffix(":latest")
    except ImageError:
        return name


def _index_of(stages: Sequence[Stage], name: str) -> int | None:
    """Find a stage by number, or by name: the last one of that name."""
    if name.isdecimal():
        return int(name)
    found = [stage.index for stage in stages if stage.name and stage.name == name.lower()]
    return found[-1] if found else None


def _target(stages: tuple[Stage, ...], target: str, file: str) -> int:
    if not target:
        return len(stages) - 1
    found = [stage.index for stage in stages if stage.name == target.lower()]
    if not found:
        known = [stage.name for stage in stages if stage.name]
        names = ", ".join(known) or "none has a name"
        raise BuildError(
            f'cannot build: there is no stage "{target[:100]}"',
            location=Location(file),
            hint=" ".join((did_you_mean(target, known), f"stages here: {names}")).strip(),
        )
    return found[-1]


def _needed(graph: Graph) -> tuple[int, ...]:
    needed: set[int] = set()
    todo = [graph.target]
    while todo:
        index = todo.pop()
        if index not in needed:
            needed.add(index)
            todo += stage_inputs(graph, graph.stages[index])
    return tuple(sorted(needed))


def stage_inputs(graph: Graph, stage: Stage) -> list[int]:
    """Return the earlier stages that a stage is built on or copies from.

    :raises BuildError: at its line, when one of them does not come earlier.
    """
    inputs = [stage.base.index] if isinstance(stage.base, StageSource) else []
    for instruction in stage.instructions:
        for name in _references(instruction):
            try:
                source = graph.source_of(name, stage.index)
            except BuildError as error:
                raise BuildError(
                    f"cannot build: {error.message}",
                    location=Location(graph.file, instruction.line),
                    hint=error.hint,
                ) from error
            if isinstance(source, StageSource):
                inputs.append(source.index)
    return inputs


def _references(instruction: Instruction) -> tuple[str, ...]:
    match instruction:
        case Copy(stage=name) if name:
            return (name,)
        case Run(mounts=mounts):
            return stages_of(mounts)
        case _:
            return ()
