"""Checking a Dockerfile by BuildKit's rules: what the text says, and what its stages do.

Pure. Which rule says what is lint_rules.py; nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.engine.build.dockerfile import Dockerfile, Line
from orchestra.engine.build.graph import Graph, Stage, global_arguments
from orchestra.engine.build.ignore import Matcher
from orchestra.engine.build.instructions import Arg, From
from orchestra.engine.build.lexer import Lexing, expand
from orchestra.engine.build.lint_rules import Sieve
from orchestra.engine.build.lint_stage import StageLint
from orchestra.engine.build.nearest import suggest
from orchestra.engine.build.reading import read_instruction
from orchestra.engine.build.vertices import ImageSource, StageSource
from orchestra.errors import BuildError, ImageError
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform, parse_platform
from orchestra.oci.reference import parse_reference

_RESERVED = ("context", "scratch")


def lint_text(document: Dockerfile, sieve: Sieve) -> None:
    """Note what the text alone breaks."""
    for number in document.empty_continuations:
        sieve.add("NoEmptyContinuation", number, number, "Empty continuation line")
    for line in document.lines:
        here = sieve.at(line.comments)
        match line.keyword.upper():
            case "MAINTAINER":
                text = "Maintainer instruction is deprecated in favor of using label"
                here.add("MaintainerDeprecated", line.line, line.end_line, text)
            case "FROM":
                _from(line, here)
            case "ARG":
                names = [word.partition("=")[0] for word in line.arguments]
                _described("ARG", names, line, here)
            case _:
                pass
    _stage_names(document.lines, sieve)
    _casing(document.lines, sieve)


def _from(line: Line, sieve: Sieve) -> None:
    words = line.arguments
    if len(words) < 3:
        return
    if len(words) == 3 and words[2] != words[2].lower():
        text = f"Stage name '{words[2]}' should be lowercase"
        sieve.add("StageNameCasing", line.line, line.end_line, text)
    lower, upper = line.keyword.islower(), line.keyword.isupper()
    if (lower and not words[1].islower()) or (upper and not words[1].isupper()):
        text = f"'{words[1]}' and '{line.keyword}' keywords' casing do not match"
        sieve.add("FromAsCasing", line.line, line.end_line, text)
    _described("FROM", [words[2].lower()], line, sieve)


def _described(keyword: str, names: Sequence[str], line: Line, sieve: Sieve) -> None:
    if not line.comments or not names or line.comments[-1].split(" ")[0] in names:
        return
    name = names[0] if len(names) == 1 else "<arg_key>"
    text = f"Comment for {keyword} should follow the format: `# {name} <description>`"
    sieve.add("InvalidDefinitionDescription", line.line, line.end_line, text)


def _stage_names(lines: Sequence[Line], sieve: Sieve) -> None:
    seen: set[str] = set()
    for line in lines:
        if line.keyword.upper() != "FROM" or len(line.arguments) != 3:
            continue
        name = line.arguments[2].lower()
        if name in _RESERVED:
            text = f'Stage name should not use the same name as reserved stage "{name}"'
            sieve.add("ReservedStageName", line.line, line.end_line, text)
        if name in seen:
            text = f'Duplicate stage name "{name}", stage names should be unique'
            sieve.add("DuplicateStageName", line.line, line.end_line, text)
        seen.add(name)


def _casing(lines: Sequence[Line], sieve: Sieve) -> None:
    """Compare every keyword from the first FROM on with the casing of most of them."""
    first = next((i for i, line in enumerate(lines) if line.keyword.upper() == "FROM"), len(lines))
    counted = lines[first:]
    lower = sum(line.keyword.islower() for line in counted)
    upper = sum(line.keyword.isupper() for line in counted)
    for line in counted:
        right = line.keyword.islower() if lower > upper else line.keyword.isupper()
        if not right:
            wanted = "lowercase" if lower > upper else "uppercase"
            text = (
                f"Command '{line.keyword}' should match the case of the command majority ({wanted})"
            )
            sieve.add("ConsistentInstructionCasing", line.line, line.end_line, text)


def groups_of(document: Dockerfile) -> list[list[Line]]:
    """Return the lines of each stage, its FROM first."""
    groups: list[list[Line]] = []
    for line in document.lines:
        if line.keyword.upper() == "FROM":
            groups.append([])
        if groups:
            groups[-1].append(line)
    return groups


def lint_from(
    document: Dockerfile,
    defaults: Mapping[str, str],
    arguments: Mapping[str, str],
    file: str,
    sieve: Sieve,
) -> None:
    """Note what is wrong about the images, variables and platforms of the FROMs.

    ``defaults`` are the platform arguments.

    :raises BuildError: when an ARG before the first FROM cannot be read.
    """
    leading = _leading(document, file)
    lexing = Lexing(escape=document.escape)
    plain = global_arguments(leading, defaults, {}, escape=document.escape, file=file)
    given = global_arguments(leading, defaults, arguments, escape=document.escape, file=file)
    names = {name for arg in leading for name, _ in arg.arguments}
    for line, *_ in groups_of(document):
        instruction = read_instruction(line, file)
        if isinstance(instruction, From):
            _default_base(line, plain, lexing, sieve)
            here = sieve.at(line.comments)
            _undeclared(instruction, line, given, sorted(names | given.keys()), lexing, here)
            if instruction.platform:
                _platform(instruction, line, given, lexing, here)


def _leading(document: Dockerfile, file: str) -> list[Arg]:
    """Return the ARGs before the first FROM."""
    found: list[Arg] = []
    for line in document.lines:
        instruction = read_instruction(line, file)
        if not isinstance(instruction, Arg):
            break
        found.append(instruction)
    return found


def _undeclared(
    first: From,
    line: Line,
    arguments: Mapping[str, str],
    declared: Sequence[str],
    lexing: Lexing,
    sieve: Sieve,
) -> None:
    for word in (first.image, first.platform):
        for name in sorted(expand(word, arguments, lexing).unset - set(declared)):
            near = suggest(name, declared)
            text = f"FROM argument '{name}' is not declared"
            text += f" (did you mean {near}?)" if near else ""
            sieve.add("UndefinedArgInFrom", line.line, line.end_line, text)


def _default_base(line: Line, arguments: Mapping[str, str], lexing: Lexing, sieve: Sieve) -> None:
    try:
        name = expand(line.arguments[0], arguments, lexing).text
        if name:
            parse_reference(name)
            return
    except BuildError:
        return
    except ImageError:
        pass
    text = f"Default value for ARG {line.arguments[0]} results in empty or invalid base image name"
    sieve.add("InvalidDefaultArgInFrom", line.line, line.end_line, text)


def _platform(
    first: From, line: Line, arguments: Mapping[str, str], lexing: Lexing, sieve: Sieve
) -> None:
    text = first.platform
    expansion = expand(text, arguments, lexing)
    if expansion.found == {"TARGETPLATFORM"} and not expansion.unset:
        if expansion.text == arguments.get("TARGETPLATFORM"):
            said = (
                f"Setting platform to predefined {text} in FROM is redundant as this is the "
                "default behavior"
            )
            sieve.add("RedundantTargetPlatform", line.line, line.end_line, said)
    elif not expansion.found and not expansion.unset:
        try:
            platform = parse_platform(expansion.text)
        except ImageError:
            return
        if platform.os not in first.name and platform.architecture not in first.name:
            said = f'FROM --platform flag should not use constant value "{expansion.text}"'
            sieve.add("FromPlatformFlagConstDisallowed", line.line, line.end_line, said)


def lint_stages(
    document: Dockerfile,
    graph: Graph,
    stages: Sequence[int],
    configs: Mapping[int, ImageConfig],
    sieve: Sieve,
    *,
    arguments: Mapping[str, str],
    platform: Platform,
    ignore: Matcher,
) -> None:
    """Note what stages break. ``configs`` are those of the base images, where they are known."""
    done: dict[int, StageLint] = {}
    groups = groups_of(document)
    for index in stages:
        stage = graph.stages[index]
        base = done.get(stage.base.index) if isinstance(stage.base, StageSource) else None
        config = configs.get(index)
        first = groups[index][0]
        if config is not None and isinstance(stage.base, ImageSource):
            _base_platform(first, stage, config, platform, sieve.at(first.comments))
        known = stage.base is None or config is not None or (base is not None and base.known)
        lint = StageLint(graph, sieve, arguments, ignore, base=base, config=config, known=known)
        for line in groups[index][1:]:
            lint.line(line)
        done[index] = lint


def _base_platform(
    line: Line, stage: Stage, config: ImageConfig, platform: Platform, sieve: Sieve
) -> None:
    wanted, found = stage.platform or platform, config.platform
    if (wanted.os, wanted.architecture) != (found.os, found.architecture):
        text = (
            f'Base image {line.arguments[0]} was pulled with platform "{found}", '
            f'expected "{wanted}" for current build'
        )
        sieve.add("InvalidBaseImagePlatform", line.line, line.end_line, text)
