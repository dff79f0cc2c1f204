"""What a build gives for each of its platforms: they are built side by side.

What several of them need is done once: whoever comes second waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.engine.build.cache import BuildCache
from orchestra.engine.build.cacheconfig import with_inline
from orchestra.engine.build.checking import (
    Checked,
    Question,
    bases_of,
    check,
    lint_config,
    refusal,
)
from orchestra.engine.build.command_lines import PROXIES
from orchestra.engine.build.contexts import Contexts
from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.environment import BuildEnvironment, NetworkMode, Reports
from orchestra.engine.build.export import Member, final_config, history_of
from orchestra.engine.build.imported_caches import Outcome, own_contents, solve_borrowing
from orchestra.engine.build.job import Job, Underway
from orchestra.engine.build.lint_rules import Finding
from orchestra.engine.build.runs import RunSettings
from orchestra.engine.build.solver import first_of
from orchestra.engine.build.workspace import Workspace
from orchestra.engine.image.document import encode_config
from orchestra.errors import BuildError, ImageError, Location
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform, parse_platform
from orchestra.planner.building import BuildSpec
from orchestra.values import dataclass, field, replace

_OWN_ARGUMENTS = "BUILDKIT_"
_EPOCH = "SOURCE_DATE_EPOCH"
_ALWAYS_KNOWN = frozenset({*PROXIES, *(name.lower() for name in PROXIES), _EPOCH})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a build or a check stands on while it lasts."""

    scratch: Workspace
    settings: RunSettings
    contexts: Contexts
    question: Question
    underway: Underway = field(default_factory=Underway)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the build of one platform gave."""

    member: Member
    outcome: Outcome
    warnings: tuple[str, ...]


async def build_platforms(
    spec: BuildSpec,
    subject: str,
    names: Sequence[str],
    ground: Ground,
    environment: BuildEnvironment,
    reports: Reports,
) -> list[Made]:
    """Build for every platform, and return what that gave in their order.

    :raises BuildError: at Dockerfile:line, when the file is wrong or a step fails; the first one.
    """
    found: dict[Platform, Made] = {}
    started = environment.clock.now()

    async def build(platform: Platform) -> None:
        question = replace(ground.question, platform=platform)
        own = replace(ground, question=question)
        made = await _build(spec, subject, own, environment, reports)
        if spec.sbom or spec.provenance is not None:
            from orchestra.engine.build.claims import Witness  # noqa: PLC0415 - rare

            witness = Witness(spec, names, ground.contexts, question, started)
            member = await witness.attest(made.member, made.outcome.solver)
            made = replace(made, member=member)
        found[platform] = made

    platforms = platforms_of(spec, environment)
    if len(platforms) == 1:
        await build(platforms[0])
        return [found[platforms[0]]]
    import anyio  # noqa: PLC0415 - several platforms have a loop

    try:
        async with anyio.create_task_group() as tasks:
            for platform in platforms:
                tasks.start_soon(build, platform)
    except ExceptionGroup as group:
        raise first_of(group) from group
    return [found[platform] for platform in platforms]


async def _build(
    spec: BuildSpec,
    subject: str,
    ground: Ground,
    environment: BuildEnvironment,
    reports: Reports,
) -> Made:
    question = ground.question
    if lint_config(question).error:
        checked = await checked_of(question, environment)
        if checked.refused:
            raise refusal(checked)
    cache = BuildCache(environment.paths.build_cache / "records")
    job = _job(spec, subject, ground, environment.variables)
    outcome = await solve_borrowing(spec, job, environment, reports, ground.scratch, cache)
    member = _member(spec, job, outcome)
    found = check(question, outcome.solver.configs()).findings
    warnings = _warnings(job, outcome.solver.used_arguments(), found)
    return Made(member=member, outcome=outcome, warnings=tuple(warnings))


async def checked_of(question: Question, environment: BuildEnvironment) -> Checked:
    """Check a Dockerfile; base images are known by their configs, if to be had."""
    configs: dict[int, ImageConfig] = {}
    for index, (reference, platform) in bases_of(question).items():
        config = await environment.images.config(reference, platform)
        if config is not None:
            configs[index] = config
    return check(question, configs)


def _job(
    spec: BuildSpec,
    subject: str,
    ground: Ground,
    variables: Mapping[str, str],
) -> Job:
    question, contexts = ground.question, ground.contexts
    graph = question.graph(parse_dockerfile(contexts.dockerfile, spec.dockerfile))
    arguments = question.arguments
    given = arguments.get(_EPOCH)
    if given is None:
        given = graph.arguments.get(_EPOCH) or variables.get(_EPOCH, "")
    epoch = _epoch(given, contexts)
    arguments = {name: value for name, value in arguments.items() if name != _EPOCH}
    if epoch is not None and _EPOCH in question.arguments:
        arguments[_EPOCH] = str(epoch)
    return Job(
        subject=subject,
        graph=graph,
        arguments=arguments,
        platform=question.platform,
        trees=contexts.trees,
        context_images=contexts.images,
        network=_network(spec),
        no_cache=spec.no_cache,
        no_cache_stages=frozenset(name.lower() for name in spec.no_cache_filter),
        pull=spec.pull,
        epoch=epoch,
        settings=ground.settings,
        several=len(set(spec.platforms)) > 1,
        underway=ground.underway,
    )


def platforms_of(spec: BuildSpec, environment: BuildEnvironment) -> tuple[Platform, ...]:
    """Return the platforms that are built for, each once."""
    try:
        found = dict.fromkeys(parse_platform(text) for text in spec.platforms)
    except ImageError as error:
        raise BuildError(f"cannot build: {error.message}", hint=error.hint) from error
    return tuple(found) or (environment.platform,)


def _network(spec: BuildSpec) -> NetworkMode:
    match spec.network:
        case None | "" | "default" | "bridge":
            return "default"
        case "none":
            return "none"
        case "host":
            return "host"
        case other:
            raise BuildError(
                f'cannot build: build.network "{other}" is not supported',
                hint="it is default, none or host",
            )


def _epoch(text: str, contexts: Contexts) -> int | None:
    """Read SOURCE_DATE_EPOCH: seconds, or "context" or a named context to take them from.

    :raises BuildError: when it is neither.
    """
    if not text:
        return None
    if text.isascii() and text.isdecimal():
        return int(text)
    name = "" if text == "context" else text
    if name in contexts.trees or name in contexts.images:
        return contexts.times.get(name)
    raise BuildError(
        f'cannot build: {_EPOCH} "{text[:50]}" is not a number of seconds',
        hint='or "context", or the name of an additional context, to take their time',
    )


def _member(spec: BuildSpec, job: Job, outcome: Outcome) -> Member:
    solved = outcome.solved
    history = history_of(
        solved.base_history,
        solved.made,
        base_created=solved.base_created,
        base_layers=len(solved.layers) - sum(entry.layer is not None for entry in solved.made),
        epoch=job.epoch,
    )
    config = final_config(
        solved.lowered.config,
        layers=solved.layers,
        history=history,
        labels=spec.labels,
        platform=solved.platform,
    )
    document = encode_config(config)
    if any(place.kind == "inline" for place in spec.cache_to):
        document = with_inline(document, own_contents(outcome))
    return Member(
        platform=solved.platform,
        config=document,
        layers=solved.layers,
        annotations=spec.annotations,
    )


def _warnings(job: Job, used: frozenset[str], findings: Sequence[Finding]) -> list[str]:
    graph = job.graph
    warnings = [
        f"{Location(graph.file, finding.line)}: {finding.rule}: {finding.detail}"
        for finding in findings
    ]
    asked = used | graph.used_arguments | _ALWAYS_KNOWN
    unused = sorted(
        name for name in job.arguments.keys() - asked if not name.startswith(_OWN_ARGUMENTS)
    )
    if unused:
        place = Location(graph.file)
        warnings.append(f"{place}: build arguments that no ARG asks for: {', '.join(unused)}")
    return warnings
