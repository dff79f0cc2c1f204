"""A stage and its base image -> steps: every word expanded, the config as it will be.

Pure. Semantics are BuildKit's (frontend/dockerfile/dockerfile2llb): ARGs are variables of the
steps, an ENTRYPOINT forgets an inherited CMD, WORKDIR is relative to the one before, USER counts
for RUN and WORKDIR and not for COPY.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import assert_never

from orchestra.engine.build.command_lines import DEFAULT_PATH, absolute, command_line, proxies
from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.graph import Graph, Stage
from orchestra.engine.build.history_lines import quoted, told_check
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
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from orchestra.engine.build.lexer import Lexing, expand
from orchestra.engine.build.mounts import read_mount
from orchestra.engine.build.ports import read_ports
from orchestra.engine.build.reading import read_instruction
from orchestra.engine.build.remote import check_sources
from orchestra.engine.build.vertices import (
    ContextSource,
    CopyVertex,
    LoweredStage,
    MakeDirectoryVertex,
    RunVertex,
    Source,
    Step,
    Vertex,
)
from orchestra.engine.container.signals import signal_number
from orchestra.errors import BuildError, ContainerError, Location
from orchestra.oci.image import History, ImageConfig
from orchestra.values import dataclass, replace

_DEFAULT_SHELL = ("/bin/sh", "-c")
_COMMENT = "orchestra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a stage starts from: an image's config, and the variables of a parent stage."""

    config: ImageConfig
    author: str = ""
    variables: Mapping[str, str] | None = None
    arguments: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()


def lower_stage(
    graph: Graph, stage: Stage, base: Base, build_arguments: Mapping[str, str]
) -> LoweredStage:
    """Lower a stage on its base; the base's ONBUILD triggers come first.

    :raises BuildError: at its line, when a word cannot be expanded or makes no sense.
    """
    lowering = _Lowering(graph, stage, base, build_arguments)
    for trigger in base.triggers:
        lowering.trigger(trigger)
    for instruction in stage.instructions:
        lowering.instruction(instruction)
    return lowering.result()


class _Lowering:
    def __init__(
        self, graph: Graph, stage: Stage, base: Base, build_arguments: Mapping[str, str]
    ) -> None:
        self.graph = graph
        self.stage = stage
        self.build_arguments = build_arguments
        self.config = replace(base.config, on_build=())
        self.author = base.author
        pairs = (entry.partition("=") for entry in self.config.env)
        variables = {key: value for key, _, value in pairs}
        # What ENV says holds again in a stage that begins with this one, whatever ARG said since.
        self.variables = {**(base.variables or {}), **variables}
        if "PATH" not in self.variables:
            self._set_env("PATH", DEFAULT_PATH)
        self.arguments = dict.fromkeys(base.arguments)
        self.triggers: list[str] = []
        self.steps: list[Step] = []
        self.used: set[str] = set()
        self.has_cmd = False

    def result(self) -> LoweredStage:
        return LoweredStage(
            steps=tuple(self.steps),
            config=replace(self.config, on_build=tuple(self.triggers)),
            author=self.author,
            variables=self.variables,
            arguments=tuple(self.arguments),
            triggers=tuple(self.triggers),
            used_arguments=frozenset(self.used),
        )

    def trigger(self, expression: str) -> None:
        lines = parse_dockerfile(expression, self.graph.file).lines
        if len(lines) != 1:
            raise BuildError(
                "cannot build: an ONBUILD trigger of the base image is not one instruction",
                location=Location(self.graph.file, self.stage.line),
            )
        line = replace(lines[0], line=self.stage.line)
        self.instruction(read_instruction(line, self.graph.file))

    def instruction(self, instruction: Instruction) -> None:
        try:
            self._dispatch(instruction)
        except BuildError as error:
            if error.location is not None:
                raise
            keyword = type(instruction).__name__.upper()
            why = error.message.removeprefix("cannot parse: ")
            raise BuildError(
                f"cannot build {keyword}{self.graph.where(self.stage)}: {why}",
                location=Location(self.graph.file, instruction.line),
                hint=error.hint,
            ) from error

    def _dispatch(self, instruction: Instruction) -> None:
        match instruction:
            case Run():
                self._run(instruction)
            case Copy():
                self._copy(instruction)
            case Workdir():
                self._workdir(instruction)
            case Arg():
                self._arg(instruction)
            case Env() | Label():
                self._pairs(instruction)
            case Cmd() | Entrypoint() | Shell():
                self._commands(instruction)
            case From():
                raise BuildError("FROM cannot be a trigger")
            case _:
                self._metadata(instruction)

    def _metadata(
        self,
        instruction: Expose | User | Volume | StopSignal | Healthcheck | Onbuild | Maintainer,
    ) -> None:
        match instruction:
            case Expose():
                self._expose(instruction)
            case User():
                self.config = replace(self.config, user=self._expand(instruction.user))
                self._add(instruction, f"USER {self.config.user}")
            case Volume():
                paths = [self._expand(path) for path in instruction.paths]
                if not all(paths):
                    raise BuildError("a volume cannot be an empty string")
                known = dict.fromkeys((*self.config.volumes, *paths))
                self.config = replace(self.config, volumes=tuple(known))
                self._add(instruction, f"VOLUME [{' '.join(paths)}]")
            case StopSignal():
                wanted = self._expand(instruction.signal)
                _check_signal(wanted)
                self.config = replace(self.config, stop_signal=wanted)
                self._add(instruction, f"STOPSIGNAL {self.config.stop_signal}")
            case Healthcheck():
                self.config = replace(self.config, healthcheck=instruction.check)
                self._add(instruction, f"HEALTHCHECK {told_check(instruction.check)}")
            case Onbuild():
                self.triggers.append(instruction.expression)
            case Maintainer():
                self.author = instruction.name
                self.config = replace(self.config, author=instruction.name)
                self._add(instruction, f"MAINTAINER {instruction.name}")
            case _:
                assert_never(instruction)

    def _add(self, instruction: Instruction, created_by: str, vertex: Vertex | None = None) -> None:
        history = History(created_by=created_by, comment=_COMMENT, empty_layer=vertex is None)
        words = " ".join(instruction.source.split())
        title = "".join(letter if letter.isprintable() else "?" for letter in words)
        self.steps.append(Step(line=instruction.line, title=title, history=history, vertex=vertex))

    def _expand(self, text: str) -> str:
        expansion = expand(text, self.variables, Lexing(escape=self.graph.escape))
        return expansion.text

    def _set_env(self, key: str, value: str) -> None:
        self.variables[key] = value
        entry = f"{key}={value}"
        env = list(self.config.env)
        for index, known in enumerate(env):
            if known.partition("=")[0] == key:
                env[index] = entry
                break
        else:
            env.append(entry)
        self.config = replace(self.config, env=tuple(env))

    def _pairs(self, instruction: Env | Label) -> None:
        pairs = [(self._expand(pair.key), self._expand(pair.value)) for pair in instruction.pairs]
        if isinstance(instruction, Env):
            for key, value in pairs:
                self._set_env(key, value)
        else:
            labels = {**self.config.labels, **dict(pairs)}
            self.config = replace(self.config, labels=labels)
        keyword = type(instruction).__name__.upper()
        text = " ".join(f"{key}={value}" for key, value in pairs)
        self._add(instruction, f"{keyword} {text}")

    def _arg(self, instruction: Arg) -> None:
        shown: list[str] = []
        for name, default in instruction.arguments:
            value = self.build_arguments.get(name)
            if value is None and default is not None:
                value = self._expand(default)
            elif value is None:
                value = self.graph.arguments.get(name)
            self.used.add(name)
            self.arguments[name] = None
            if value is not None:
                self.variables[name] = value
            shown.append(name if value is None else f"{name}={value}")
        self._add(instruction, f"ARG {' '.join(shown)}")

    def _shell(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return (*(self.config.shell or _DEFAULT_SHELL), " ".join(words))

    def _words(self, command: Command) -> tuple[str, ...]:
        return self._shell(command.words) if command.shell else command.words

    def _commands(self, instruction: Cmd | Entrypoint | Shell) -> None:
        if isinstance(instruction, Shell):
            words = instruction.words
            self.config = replace(self.config, shell=words)
            self._add(instruction, f"SHELL [{' '.join(words)}]")
            return
        if isinstance(instruction, Cmd):
            self.has_cmd = True
            words = self._words(instruction.command)
            self.config = replace(self.config, cmd=words, args_escaped=True)
        else:
            words = self._words(instruction.command)
            self.config = replace(self.config, entrypoint=words or None)
            if not self.has_cmd:
                self.config = replace(self.config, cmd=None)
        self._add(instruction, f"{type(instruction).__name__.upper()} {quoted(words)}")

    def _expose(self, instruction: Expose) -> None:
        lexing = Lexing(escape=self.graph.escape)
        words = [
            word
            for port in instruction.ports
            for word in expand(port, self.variables, lexing).words
        ]
        ports = [port for word in words for port in read_ports(word)]
        known = dict.fromkeys((*self.config.exposed_ports, *ports))
        self.config = replace(self.config, exposed_ports=tuple(known))
        self._add(instruction, f"EXPOSE [{' '.join(ports)}]")

    def _workdir(self, instruction: Workdir) -> None:
        wanted = self._expand(instruction.path)
        path = posixpath.normpath(posixpath.join("/", self.config.working_dir, wanted))
        path = "/" + path.lstrip("/")
        shown = wanted if wanted.startswith("/") else path
        self.config = replace(self.config, working_dir=shown)
        vertex = MakeDirectoryVertex(path=path, user=self.config.user) if path != "/" else None
        self._add(instruction, f"WORKDIR {shown}", vertex)

    def _copy(self, instruction: Copy) -> None:
        sources = tuple(self._expand(source) for source in instruction.sources)
        destination = self._expand(instruction.destination)
        raw = Lexing(quotes=False)
        documents = tuple(
            (
                document.name,
                expand(document.text, self.variables, raw).text
                if document.expand
                else document.text,
            )
            for document in instruction.documents
        )
        source: Source = ContextSource()
        if instruction.stage:
            source = self.graph.source_of(instruction.stage, self.stage.index)
        unpack = instruction.add if instruction.unpack is None else instruction.unpack
        vertex = CopyVertex(
            add=instruction.add,
            sources=sources,
            documents=documents,
            source=source,
            destination=absolute(destination, self.config.working_dir),
            chown=self._expand(instruction.chown),
            chmod=self._expand(instruction.chmod),
            excludes=instruction.excludes,
            checksum=self._expand(instruction.checksum),
            unpack=unpack,
            unpack_urls=instruction.unpack is True,
            parents=instruction.parents,
            link=instruction.link and not instruction.chmod,
            keep_git_dir=instruction.keep_git_dir,
        )
        check_sources(vertex)
        words = ["ADD" if instruction.add else "COPY"]
        words += ["--parents"] if vertex.parents else []
        words += [f"--chown={vertex.chown}"] if vertex.chown else []
        words += [f"--chmod={vertex.chmod}"] if vertex.chmod else []
        words += [*sources, *(f"<<{name}" for name, _ in documents), destination]
        self._add(instruction, " ".join(words), vertex)

    def _run(self, instruction: Run) -> None:
        args, script = command_line(instruction.command, self._shell)
        shown = [f"{name}={self.variables.get(name, '')}" for name in self.arguments]
        shown = [f"|{len(shown)}", *shown] if shown else []
        mounts = tuple(
            read_mount(text, self._expand, self.config.working_dir) for text in instruction.mounts
        )
        vertex = RunVertex(
            args=args,
            env=tuple(f"{key}={value}" for key, value in self.variables.items()),
            cwd="/" + posixpath.normpath(self.config.working_dir or "/").lstrip("/"),
            user=self.config.user,
            network=instruction.network,
            insecure=instruction.insecure,
            devices=instruction.devices,
            proxies=proxies(self.build_arguments),
            script=script,
            mounts=mounts,
            mount_sources=tuple(
                self.graph.source_of(mount.stage, self.stage.index)
                if mount.stage
                else ContextSource()
                for mount in mounts
            ),
        )
        self._add(instruction, " ".join(("RUN", *shown, *args)), vertex)


def _check_signal(name: str) -> None:
    try:
        signal_number(name)
    except ContainerError as error:
        raise BuildError(error.message, hint=error.hint) from error
