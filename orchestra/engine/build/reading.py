"""Lines of a Dockerfile -> instructions, with their flags read and their forms checked.

Pure. What BuildKit knows and Orchestra does not do yet is refused by name here, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from orchestra.engine.build.devices import read_device
from orchestra.engine.build.dockerfile import Heredoc, Line, parse_heredoc_word
from orchestra.engine.build.flags import Flags, read_flags
from orchestra.engine.build.instructions import (
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Pair,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from orchestra.engine.build.lexer import SPACES, expand
from orchestra.engine.build.mounts import check_early
from orchestra.engine.build.nearest import did_you_mean
from orchestra.errors import BuildError, Location
from orchestra.oci.image import ImageHealthcheck

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_ONBUILD = re.compile(r"(?i)^\s*ONBUILD\s*")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_HEALTH_FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")


def read_instruction(line: Line, file: str = "Dockerfile") -> Instruction:
    """Make the instruction that a line says.

    :raises BuildError: at the line, when the keyword, a flag or the arguments are not known.
    """
    keyword = line.keyword.upper()
    reader = _READERS.get(keyword)
    if reader is None:
        raise BuildError(
            f'unknown instruction "{line.keyword[:50]}"',
            location=Location(file, line.line),
            hint=did_you_mean(keyword, sorted(_READERS))
            or f"the instructions are {', '.join(sorted(_READERS))}",
        )
    try:
        return reader(line)
    except BuildError as error:
        if error.location is not None:
            raise
        why = error.message.removeprefix("cannot parse: ")
        raise BuildError(
            f"cannot parse {keyword}: {why}", location=Location(file, line.line), hint=error.hint
        ) from error


def _plain(line: Line) -> None:
    read_flags(line.flags)


def _one(line: Line) -> str:
    _plain(line)
    if len(line.arguments) != 1:
        raise BuildError("it takes exactly one argument")
    return line.arguments[0]


def _some(line: Line) -> tuple[str, ...]:
    if not line.arguments:
        raise BuildError("it takes at least one argument")
    return line.arguments


def _command(line: Line) -> Command:
    return Command(words=line.arguments, shell=not line.json, heredocs=line.heredocs)


def _from(line: Line) -> From:
    flags = read_flags(line.flags, texts=("platform",))
    words = line.arguments
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise BuildError(f'"{words[2][:100]}" is not a name for a stage')
    elif len(words) != 1:
        raise BuildError("it takes an image, or IMAGE AS NAME")
    return From(
        line=line.line,
        source=line.source,
        image=words[0],
        platform=flags.text("platform"),
        name=name,
    )


def _arg(line: Line) -> Arg:
    arguments: list[tuple[str, str | None]] = []
    for word in _some(line):
        name, equals, value = word.partition("=")
        if not name:
            raise BuildError("a name is blank")
        arguments.append((name, value if equals else None))
    return Arg(line=line.line, source=line.source, arguments=tuple(arguments))


def _pairs(line: Line) -> tuple[Pair, ...]:
    _plain(line)
    words = _some(line)
    keys, values = words[0::3], words[1::3]
    if not all(keys):
        raise BuildError("a name is blank")
    return tuple(Pair(key=key, value=value) for key, value in zip(keys, values, strict=True))


def _env(line: Line) -> Env:
    return Env(line=line.line, source=line.source, pairs=_pairs(line))


def _label(line: Line) -> Label:
    return Label(line=line.line, source=line.source, pairs=_pairs(line))


def _run(line: Line) -> Run:
    flags = read_flags(line.flags, texts=("network", "security"), lists=("mount", "device"))
    security = flags.text("security")
    if security not in ("", "sandbox", "insecure"):
        raise BuildError(
            f'"{security[:50]}" is not a security mode', hint="--security is sandbox or insecure"
        )
    for mount in flags.list("mount"):
        check_early(mount)
    return Run(
        line=line.line,
        source=line.source,
        command=_command(line),
        mounts=flags.list("mount"),
        network=_network(flags.text("network")),
        insecure=security == "insecure",
        devices=tuple(map(read_device, flags.list("device"))),
    )


def _network(text: str) -> Literal["default", "none", "host"]:
    match text:
        case "" | "default":
            return "default"
        case "none":
            return "none"
        case "host":
            return "host"
        case _:
            raise BuildError(
                f'"{text[:50]}" is not a network', hint="--network is default, none or host"
            )


def _copy(line: Line) -> Copy:
    flags = read_flags(
        line.flags,
        texts=("from", "chown", "chmod"),
        lists=("exclude",),
        switches=("link", "parents"),
    )
    stage = flags.text("from")
    if expand(stage, {}).text != stage:
        raise BuildError(
            "--from cannot hold a variable", hint="name a stage: FROM $IMAGE AS name, --from=name"
        )
    return _sources(line, flags, add=False)


def _add(line: Line) -> Copy:
    flags = read_flags(
        line.flags,
        texts=("chown", "chmod", "checksum"),
        lists=("exclude",),
        switches=("link", "unpack", "keep-git-dir"),
    )
    return _sources(line, flags, add=True)


def _sources(line: Line, flags: Flags, *, add: bool) -> Copy:
    if len(line.arguments) < 2:
        raise BuildError("it takes at least one source and a destination")
    *words, destination = line.arguments
    if parse_heredoc_word(destination) is not None:
        raise BuildError("a heredoc cannot be the destination")
    bodies = {heredoc.name: heredoc for heredoc in line.heredocs}
    sources: list[str] = []
    documents: list[Heredoc] = []
    for word in words:
        heredoc = parse_heredoc_word(word)
        if heredoc is None:
            sources.append(word)
        elif heredoc.name in bodies:
            documents.append(bodies[heredoc.name])
    return Copy(
        line=line.line,
        source=line.source,
        add=add,
        sources=tuple(sources),
        documents=tuple(documents),
        destination=destination,
        stage=flags.text("from"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        excludes=flags.list("exclude"),
        checksum=flags.text("checksum"),
        unpack=flags.switch("unpack"),
        parents=flags.switch("parents") is True,
        link=flags.switch("link") is True,
        keep_git_dir=flags.switch("keep-git-dir"),
    )


def _workdir(line: Line) -> Workdir:
    return Workdir(line=line.line, source=line.source, path=_one(line))


def _cmd(line: Line) -> Cmd:
    _plain(line)
    return Cmd(line=line.line, source=line.source, command=_command(line))


def _entrypoint(line: Line) -> Entrypoint:
    _plain(line)
    return Entrypoint(line=line.line, source=line.source, command=_command(line))


def _shell(line: Line) -> Shell:
    _plain(line)
    words = _some(line)
    if not line.json:
        raise BuildError("it takes a JSON array", hint='write it as SHELL ["/bin/bash", "-c"]')
    return Shell(line=line.line, source=line.source, words=words)


def _expose(line: Line) -> Expose:
    _plain(line)
    return Expose(line=line.line, source=line.source, ports=tuple(sorted(_some(line))))


def _user(line: Line) -> User:
    return User(line=line.line, source=line.source, user=_one(line))


def _volume(line: Line) -> Volume:
    _plain(line)
    paths = tuple(path.strip(SPACES) for path in _some(line))
    if not all(paths):
        raise BuildError("a volume cannot be an empty string")
    return Volume(line=line.line, source=line.source, paths=paths)


def _stop_signal(line: Line) -> StopSignal:
    return StopSignal(line=line.line, source=line.source, signal=_one(line))


def _healthcheck(line: Line) -> Healthcheck:
    kind, *words = _some(line)
    if kind.upper() == "NONE":
        if words:
            raise BuildError("NONE takes no arguments")
        return Healthcheck(
            line=line.line, source=line.source, check=ImageHealthcheck(test=("NONE",))
        )
    flags = read_flags(line.flags, texts=_HEALTH_FLAGS)
    if kind.upper() != "CMD":
        raise BuildError(f'"{kind[:50]}" is not known', hint="write HEALTHCHECK CMD or NONE")
    if not words:
        raise BuildError("a command is missing after CMD")
    retries = flags.text("retries") or "0"
    if not retries.isdecimal():
        raise BuildError(f'--retries "{retries[:50]}" is not a number')
    check = ImageHealthcheck(
        test=("CMD", *words) if line.json else ("CMD-SHELL", *words),
        interval_ns=_duration(flags, "interval"),
        timeout_ns=_duration(flags, "timeout"),
        start_period_ns=_duration(flags, "start-period"),
        start_interval_ns=_duration(flags, "start-interval"),
        retries=int(retries),
    )
    return Healthcheck(line=line.line, source=line.source, check=check)


def _duration(flags: Flags, name: str) -> int:
    """Read a Go duration ("1m30s") in nanoseconds; less than a millisecond is refused."""
    text = flags.text(name)
    if text in ("", "0"):
        return 0
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise BuildError(f'--{name} "{text[:50]}" is not a duration', hint="write it as 1m30s")
    total = round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))
    if 0 < total < 10**6:
        raise BuildError(f"--{name} cannot be less than 1ms")
    return total


def _onbuild(line: Line) -> Onbuild:
    _plain(line)
    if line.trigger is None:
        raise BuildError("it takes an instruction")
    keyword = line.trigger.keyword.upper()
    if keyword in ("ONBUILD", "FROM", "MAINTAINER"):
        raise BuildError(f"{keyword} is not allowed as a trigger")
    expression = _ONBUILD.sub("", line.source)
    for heredoc in line.heredocs:
        expression += f"\n{heredoc.content}{heredoc.name}"
    return Onbuild(line=line.line, source=line.source, expression=expression)


def _maintainer(line: Line) -> Maintainer:
    return Maintainer(line=line.line, source=line.source, name=_one(line))


_READERS: dict[str, Callable[[Line], Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
