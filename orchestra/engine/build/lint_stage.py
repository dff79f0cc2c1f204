"""Checking one stage: its variables, commands, ports, copies, as they would be when it is built.

Pure. A stage on an image whose config is not known may have variables that nobody here knows of:
then none is called undefined.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestra.engine.build.command_lines import DEFAULT_PATH
from orchestra.engine.build.dockerfile import Line
from orchestra.engine.build.graph import Graph
from orchestra.engine.build.ignore import Matcher, clean
from orchestra.engine.build.instructions import Copy, Run
from orchestra.engine.build.lexer import Lexing, expand
from orchestra.engine.build.lint_rules import Sieve
from orchestra.engine.build.nearest import suggest
from orchestra.engine.build.reading import read_instruction
from orchestra.errors import BuildError
from orchestra.oci.image import ImageConfig

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.I
)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.I)
_NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
_ROOT_HIDDEN = ("*", "**", "**/*")


class StageLint:
    """What is known of a stage while its lines are gone through, and what is wrong with them."""

    def __init__(
        self,
        graph: Graph,
        sieve: Sieve,
        arguments: Mapping[str, str],
        ignore: Matcher,
        *,
        base: StageLint | None,
        config: ImageConfig | None,
        known: bool,
    ) -> None:
        self.graph = graph
        self.all = sieve
        self.arguments = arguments
        self.ignore = ignore
        self.known = known
        env = (entry.partition("=") for entry in (config.env if config is not None else ()))
        self.variables = {"PATH": DEFAULT_PATH, **{key: value for key, _, value in env}}
        self.declared: set[str] = set()
        self.workdir = False
        self.shell = bool(config.shell) if config is not None else False
        if base is not None:
            self.variables = dict(base.variables)
            self.declared = set(base.declared)
            self.workdir, self.shell = base.workdir, base.shell
        self.once: dict[str, Line] = {}

    def line(self, line: Line) -> None:
        """Check one instruction, and learn what it changes."""
        sieve = self.all.at(line.comments)
        match line.keyword.upper():
            case "ARG":
                self._arg(line, sieve)
            case "ENV" | "LABEL" as keyword:
                self._pairs(keyword, line, sieve)
            case "CMD" | "ENTRYPOINT" | "HEALTHCHECK" as keyword:
                self._once(keyword, line, sieve)
            case "WORKDIR":
                self._workdir(line, sieve)
            case "EXPOSE":
                self._expose(line, sieve)
            case "COPY" | "ADD" | "RUN":
                self._files(line, sieve)
            case "SHELL":
                self.shell = True
            case "USER" | "VOLUME" | "STOPSIGNAL":
                self._words(line, sieve)
            case _:
                return

    def _words(self, line: Line, sieve: Sieve) -> None:
        for word in line.arguments:
            self._expand(word, line, sieve)

    def _workdir(self, line: Line, sieve: Sieve) -> None:
        path = self._expand("".join(line.arguments), line, sieve)
        if not self.workdir and not path.startswith("/"):
            text = (
                f'Relative workdir "{path}" can have unexpected results if the base image changes'
            )
            sieve.add("WorkdirRelativePath", line.line, line.end_line, text)
        self.workdir = True

    def _expand(self, word: str, line: Line, sieve: Sieve, *, raw: bool = False) -> str:
        lexing = Lexing(quotes=False) if raw else Lexing(escape=self.graph.escape)
        try:
            expansion = expand(word, self.variables, lexing)
        except BuildError:
            return word
        for name in sorted(expansion.unset - self.declared - _NO_VARIABLES):
            if self.known:
                near = suggest(name, list(self.variables))
                text = f"Usage of undefined variable '${name}'"
                text += f" (did you mean ${near}?)" if near else ""
                sieve.add("UndefinedVar", line.line, line.end_line, text)
        return expansion.text

    def _arg(self, line: Line, sieve: Sieve) -> None:
        for word in line.arguments:
            name, equals, default = word.partition("=")
            self._secret("ARG", name, line, sieve)
            value = self.arguments.get(name)
            if value is None:
                value = (
                    self._expand(default, line, sieve) if equals else self.graph.arguments.get(name)
                )
            if value is not None:
                self.variables[name] = value
            self.declared.add(name)

    def _pairs(self, keyword: str, line: Line, sieve: Sieve) -> None:
        triples = zip(line.arguments[0::3], line.arguments[1::3], line.arguments[2::3], strict=True)
        found: dict[str, str] = {}
        for key, value, separator in triples:
            name = self._expand(key, line, sieve)
            found[name] = self._expand(value, line, sieve)
            if not separator:
                text = (
                    f'"{line.keyword} key=value" should be used instead of legacy '
                    f'"{line.keyword} key value" format'
                )
                sieve.add("LegacyKeyValueFormat", line.line, line.end_line, text)
            if keyword == "ENV":
                self._secret("ENV", name, line, sieve)
        if keyword == "ENV":
            self.variables.update(found)

    def _secret(self, keyword: str, name: str, line: Line, sieve: Sieve) -> None:
        if _SECRET.search(name) and not _NO_SECRET.search(name):
            text = f'Do not use ARG or ENV instructions for sensitive data ({keyword} "{name}")'
            sieve.add("SecretsUsedInArgOrEnv", line.line, line.end_line, text)

    def _once(self, keyword: str, line: Line, sieve: Sieve) -> None:
        before = self.once.get(keyword)
        if before is not None:
            text = (
                f"Multiple {line.keyword} instructions should not be used in the same stage "
                "because only the last one will be used"
            )
            sieve.add("MultipleInstructionsDisallowed", before.line, before.end_line, text)
        self.once[keyword] = line
        if keyword != "HEALTHCHECK" and not line.json and not self.shell:
            text = (
                f"JSON arguments recommended for {line.keyword} to prevent unintended behavior "
                "related to OS signals"
            )
            sieve.add("JSONArgsRecommended", line.line, line.end_line, text)

    def _expose(self, line: Line, sieve: Sieve) -> None:
        for word in sorted(line.arguments):
            try:
                ports = expand(word, self.variables, Lexing(escape=self.graph.escape)).words
            except BuildError:
                continue
            for port in ports:
                before, _, container = port.rpartition(":")
                protocol = container.partition("/")[2]
                if protocol != protocol.lower():
                    text = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
                    sieve.add("ExposeProtoCasing", line.line, line.end_line, text)
                if before:
                    text = (
                        "EXPOSE instruction should not define an IP address or host-port mapping, "
                        f"found '{port}'"
                    )
                    sieve.add("ExposeInvalidFormat", line.line, line.end_line, text)

    def _files(self, line: Line, sieve: Sieve) -> None:
        try:
            instruction = read_instruction(line, self.graph.file)
        except BuildError:
            return
        if isinstance(instruction, Run):
            for field in ",".join(instruction.mounts).split(","):
                self._expand(field.partition("=")[2], line, sieve)
        elif isinstance(instruction, Copy):
            self._copy(instruction, line, sieve)

    def _copy(self, instruction: Copy, line: Line, sieve: Sieve) -> None:
        for word in (instruction.chown, instruction.chmod, instruction.checksum):
            self._expand(word, line, sieve)
        sources = [self._expand(source, line, sieve) for source in instruction.sources]
        self._expand(instruction.destination, line, sieve)
        for document in instruction.documents:
            if document.expand:
                self._expand(document.text, line, sieve, raw=True)
        if not instruction.stage:
            for source in sources:
                self._ignored(source, line, sieve, add=instruction.add)

    def _ignored(self, source: str, line: Line, sieve: Sieve, *, add: bool) -> None:
        if "://" in source or not self.ignore.patterns or self.ignore.keeps:
            return
        path = clean(source)
        hidden = self.ignore.match(path)[0]
        if path in (".", "/"):
            texts = [pattern.text for pattern in self.ignore.patterns]
            hidden = any(text in _ROOT_HIDDEN for text in texts)
        if hidden:
            verb = "Add" if add else "Copy"
            text = f'Attempting to {verb} file "{path}" that is excluded by .dockerignore'
            sieve.add("CopyIgnoredFile", line.line, line.end_line, text)
