"""A build checked and not done: ``build --check``, and what a build warns of.

The output is docker's: each finding with its rule, the rule's page, and the lines it is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.engine.build.dockerfile import Dockerfile, Line, parse_dockerfile
from orchestra.engine.build.graph import SCRATCH, Graph, make_graph, platform_arguments
from orchestra.engine.build.ignore import Matcher
from orchestra.engine.build.lint import lint_from, lint_stages, lint_text
from orchestra.engine.build.lint_rules import Finding, LintConfig, Sieve, read_check
from orchestra.engine.build.vertices import ContextSource, ImageSource, Source
from orchestra.errors import BuildError, Location
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, field

OVERRIDE = "BUILDKIT_DOCKERFILE_CHECK"
_CONTEXT_LINES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found, by line; ``error``: why the Dockerfile cannot be built at all."""

    file: str
    text: str
    findings: tuple[Finding, ...] = ()
    error: BuildError | None = None
    refused: bool = False
    """``# check=error=true``, and there is something."""
    name: str = "Dockerfile"
    """What the report calls the file: its path in the context."""

    @property
    def report(self) -> str:
        """Write what was found, as docker build --check does."""
        return _report(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is checked. ``whole``: every stage, though the target needs some only.

    ``contexts`` are the names of the additional ones, ``images`` those of them that are images.
    ``name`` is the file's path in the context.
    """

    text: str
    file: str
    arguments: Mapping[str, str]
    target: str
    build_platform: Platform
    platform: Platform
    contexts: tuple[str, ...]
    ignore: Matcher
    whole: bool
    name: str = "Dockerfile"
    images: Mapping[str, str] = field(default_factory=dict)

    def defaults(self, document: Dockerfile) -> dict[str, str]:
        """Return the platform arguments."""
        names = [line.arguments[2].lower() for line in document.lines if _names_a_stage(line)]
        stage = self.target or (names[-1] if names else "")
        return platform_arguments(self.build_platform, self.platform, stage)

    def graph(self, document: Dockerfile) -> Graph:
        """Return the stages.

        :raises BuildError: at its line, when there is none.
        """
        return make_graph(
            document,
            file=self.file,
            arguments=self.arguments,
            target=self.target,
            build_platform=self.build_platform,
            target_platform=self.platform,
            contexts=self.contexts,
        )

    def stages(self, graph: Graph) -> Sequence[int]:
        """Return the stages that are gone through."""
        everything = self.whole and not self.target
        return range(len(graph.stages)) if everything else graph.needed


def _names_a_stage(line: Line) -> bool:
    return line.keyword.upper() == "FROM" and len(line.arguments) == 3


def check(question: Question, configs: Mapping[int, ImageConfig]) -> Checked:
    """Check a Dockerfile; ``configs`` are those of the stages' base images, where known.

    :raises BuildError: when the check options make no sense.
    """
    sieve = Sieve(config=lint_config(question))
    error: BuildError | None = None
    try:
        document = parse_dockerfile(question.text, question.file)
        lint_text(document, sieve)
        defaults = question.defaults(document)
        lint_from(document, defaults, question.arguments, question.file, sieve)
        graph = question.graph(document)
        lint_stages(
            document,
            graph,
            question.stages(graph),
            configs,
            sieve,
            arguments=question.arguments,
            platform=question.platform,
            ignore=question.ignore,
        )
    except BuildError as caught:
        error = caught
    return Checked(
        file=question.file,
        text=question.text,
        findings=tuple(sorted(sieve.findings)),
        error=error,
        name=question.name,
        refused=sieve.config.error and bool(sieve.findings),
    )


def bases_of(question: Question) -> dict[int, tuple[str, Platform]]:
    """Return the images that stages begin with; none where the Dockerfile makes no sense."""
    try:
        graph = question.graph(parse_dockerfile(question.text, question.file))
    except BuildError:
        return {}
    found = {}
    for stage in (graph.stages[index] for index in question.stages(graph)):
        reference = _reference(stage.base, question.images)
        if reference:
            found[stage.index] = (reference, stage.platform or question.platform)
    return found


def _reference(base: Source | None, images: Mapping[str, str]) -> str:
    match base:
        case ImageSource(reference=reference):
            return reference
        case ContextSource(name=name):
            reference = images.get(name, "")
            return "" if reference == SCRATCH else reference
        case _:
            return ""


def lint_config(question: Question) -> LintConfig:
    """Return the options: of the build argument for it, or of the file's directive.

    :raises BuildError: when they make no sense.
    """
    override = question.arguments.get(OVERRIDE)
    if override is not None:
        return read_check(override)
    try:
        lines = question.text.removeprefix("\ufeff")
        if lines.startswith("#!"):
            lines = lines.partition("\n")[2]
        directives = parse_dockerfile(f"{lines}\n", question.file).directives
    except BuildError:
        directives = {}
    return read_check(directives.get("check", "").partition(" ")[0])


def refusal(checked: Checked) -> BuildError:
    """Return the error of a build that ``# check=error=true`` forbids."""
    rules = ", ".join(sorted({finding.rule for finding in checked.findings}))
    first = checked.findings[0]
    return BuildError(
        f"cannot build: lint violation found for rules: {rules}",
        location=Location(checked.file, first.line),
        hint=f"{first.detail}; build --check shows all, # check=skip={first.rule} allows it",
    )


def _report(checked: Checked) -> str:
    count = len(checked.findings)
    some = f"{count} warning{'s have' if count > 1 else ' has'} been found!"
    out = [f"Check complete, {some if count else 'no warnings found.'}"]
    for finding in checked.findings:
        page = f" - {finding.url}" if finding.url else ""
        out += ["", f"WARNING: {finding.rule}{page}", finding.detail]
        out += _shown(checked, finding.line, finding.end_line)
    return "\n".join(out) + "\n"


def _shown(checked: Checked, first: int, last: int) -> list[str]:
    """Show the lines of a finding, and four around them, marked."""
    lines = checked.text.split("\n")
    last = min(last, len(lines))
    start, end, shown = first, last, 0
    wanted = _CONTEXT_LINES * (2 if first == last else 1)
    while shown < wanted:
        if start > 1:
            start -= 1
            shown += 1
        if end != len(lines):
            end += 1
            shown += 1
        shown += 1
    out = [f"{checked.name}:{first}", "-" * 20]
    for number in range(start, end + 1):
        mark = ">>>" if first <= number <= last else "   "
        out.append(f" {number:3d} | {mark} {lines[number - 1]}".rstrip("\r"))
    return [*out, "-" * 20]
