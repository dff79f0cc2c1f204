"""The builder's one entry: a BuildSpec -> an image in the store.

Reads the Dockerfile, plans its stages, solves them, and names the result. Decides nothing about
when to build: the cache makes an unchanged build cheap and its image the very same one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

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
from orchestra.engine.build.claims import Witness
from orchestra.engine.build.command_lines import PROXIES
from orchestra.engine.build.contexts import ContextOpener, Contexts
from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.environment import BuildEnvironment, NetworkMode, Reports
from orchestra.engine.build.export import Member, built_of, final_config, history_of
from orchestra.engine.build.git_fetch import GitAccess
from orchestra.engine.build.handed import SecretSource, read_secret
from orchestra.engine.build.imported_caches import Outcome, lend, own_contents, solve_borrowing
from orchestra.engine.build.kept import build_environment
from orchestra.engine.build.lint_rules import Finding
from orchestra.engine.build.runs import HOSTNAME, RunSettings
from orchestra.engine.build.settling import known_build, tell_settled, tell_warnings
from orchestra.engine.build.steps import Job
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.workspace import Workspace, workspace
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.image.document import encode_config
from orchestra.errors import BuildError, ImageError, Location
from orchestra.oci.image import Image, ImageConfig
from orchestra.oci.platform import Platform, parse_platform
from orchestra.planner.building import BuildSpec
from orchestra.values import dataclass, field, replace

if TYPE_CHECKING:
    from orchestra.engine.build.outline import Described

__all__ = ["BuildEnvironment", "build_environment", "build_image", "check_image"]

_NAMELESS = "image"
"""What a build is called that is to give no name."""
_OWN_ARGUMENTS = "BUILDKIT_"
_HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
_KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_EPOCH = "SOURCE_DATE_EPOCH"
_ALWAYS_KNOWN = frozenset({*PROXIES, *(name.lower() for name in PROXIES), _EPOCH})


Deliver = Callable[[Sequence[Member], int | None], Awaitable[Image]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What a build or a check stands on while it lasts."""

    scratch: Workspace
    settings: RunSettings
    contexts: Contexts
    question: Question
    done: set[str] = field(default_factory=set)


async def build_image(
    spec: BuildSpec,
    reference: str | None,
    *,
    environment: BuildEnvironment,
    progress: Callable[[Progress], None],
    output: Callable[[LogLine], None],
    deliver: Deliver | None = None,
    settles_as: Sequence[str] = (),
) -> Image:
    """Build an image and store it as ``reference`` and the spec's tags, nameless without any.

    ``output`` gets what the steps print, and warnings as lines of stderr. ``deliver`` gets the
    images in place of the store, with SOURCE_DATE_EPOCH, while nothing of them can be swept; if it
    does nothing but name one, ``settles_as`` are the names.

    :raises BuildError: at Dockerfile:line, when the file is wrong or a step fails.
    """
    reports = Reports(progress=progress, output=output)
    subject = reference or _NAMELESS
    names = (*((reference,) if reference else ()), *spec.tags)
    settled = environment.settled
    look = await anyio.to_thread.run_sync(
        settled.look, replace(spec, no_cache=False), names if deliver is None else settles_as
    )
    known = await known_build(look, environment) if not (deliver or spec.no_cache) else None
    if known is not None:
        tell_settled(known, subject, reports)
        return known.image
    cache = BuildCache(environment.paths.build_cache / "records")
    async with _opened(spec, environment, look.trees if look else {}, whole=False) as ground:
        warnings: dict[str, None] = {}
        members, outcomes = list[Member](), list[Outcome]()
        started = environment.clock.now()
        for platform in _platforms(spec, environment):
            question = replace(ground.question, platform=platform)
            if lint_config(question).error:
                checked = await _checked(question, environment)
                if checked.refused:
                    raise refusal(checked)
            job = _job(spec, subject, replace(ground, question=question), environment.variables)
            outcome = await solve_borrowing(spec, job, environment, reports, ground.scratch, cache)
            outcomes.append(outcome)
            witness = Witness(spec, names, ground.contexts, question, started)
            members.append(await witness.attest(_member(spec, job, outcome), outcome.solver))
            found = check(question, outcome.solver.configs()).findings
            warnings |= dict.fromkeys(_warnings(job, outcome.solver.used_arguments(), found))
        if deliver is None:
            image = await environment.images.add(built_of(members), names)
        else:
            image = await deliver(members, outcomes[0].solver.job.epoch)
        await lend(spec, subject, environment, reports, outcomes)
    tell_warnings(tuple(warnings), subject, reports)
    if look is not None:
        notes = outcomes[0].solver.notes
        await anyio.to_thread.run_sync(settled.keep, look, notes, image, tuple(warnings))
    progress(Progress(subject=subject, action="built"))
    return image


def build_arguments(
    given: Mapping[str, str | None], variables: Mapping[str, str]
) -> dict[str, str]:
    """Return the build arguments: one without a value takes the environment's, or is left out."""
    found = {name: variables.get(name) if value is None else value for name, value in given.items()}
    return {name: value for name, value in found.items() if value is not None}


@asynccontextmanager
async def _opened(
    spec: BuildSpec, environment: BuildEnvironment, trees: Mapping[str, Tree], *, whole: bool
) -> AsyncIterator[_Ground]:
    """Open what is read, with the agents that it needs; no sweep comes meanwhile.

    ``trees`` are contexts that are open already.

    :raises BuildError: when the Dockerfile or a context cannot be read.
    """
    arguments = build_arguments(spec.args, environment.variables)
    async with _agents(spec, environment) as sockets:
        settings = await anyio.to_thread.run_sync(_settings, spec, environment, sockets)
        settings = replace(settings, hostname=arguments.get(_HOSTNAME) or HOSTNAME)
        keep = arguments.get(_KEEP_GIT, "") in ("1", "true")
        parent = environment.paths.build_cache / "tmp"
        with environment.layers.writing(), workspace(parent) as scratch:
            opener = ContextOpener(environment, scratch, settings.git, keep_git_dir=keep)
            opener.trees = trees
            contexts = await opener.open(spec)
            question = _question(spec, environment, arguments, contexts, whole=whole)
            ground = _Ground(
                scratch=scratch, settings=settings, contexts=contexts, question=question
            )
            try:
                yield ground
            finally:
                opener.close()


@asynccontextmanager
async def _agents(
    spec: BuildSpec, environment: BuildEnvironment
) -> AsyncIterator[Mapping[str, str]]:
    if not spec.ssh:
        yield {}
        return
    from orchestra.engine.build.agents import agents  # noqa: PLC0415 - rare

    async with agents(spec.ssh, environment.variables, environment.paths.run) as sockets:
        yield sockets


def _settings(
    spec: BuildSpec, environment: BuildEnvironment, sockets: Mapping[str, str]
) -> RunSettings:
    """Return what the build hands to its steps, and to git."""
    known = {name: SecretSource(path=path) for name, path in spec.secrets.items()}
    for name, content in spec.secret_contents.items():
        known[name] = SecretSource(content=content)
    for name, rights in spec.secret_rights.items():
        if name in known:
            known[name] = replace(known[name], rights=rights)
    tokens = {
        name: read_secret(source, name).decode("utf-8", "replace").strip()
        for name, source in known.items()
        if name.startswith("GIT_AUTH_")
    }
    return RunSettings(
        secrets=known,
        extra_hosts=spec.extra_hosts,
        shm_size_bytes=spec.shm_size_bytes,
        project=environment.scope or "build",
        git=GitAccess(
            tokens=tokens,
            ssh_socket=sockets.get("default", ""),
            variables={**os.environ, **environment.variables},
        ),
        ssh=sockets,
        ulimits=spec.ulimits,
        cgroup_parent=spec.cgroup_parent,
        resources=spec.resources,
        entitlements=frozenset(spec.entitlements)
        | ({"network.host"} if spec.network == "host" else frozenset()),
    )


def _question(
    spec: BuildSpec,
    environment: BuildEnvironment,
    arguments: Mapping[str, str],
    contexts: Contexts,
    *,
    whole: bool,
) -> Question:
    return Question(
        text=contexts.dockerfile,
        file=spec.dockerfile,
        arguments=arguments,
        target=spec.target or "",
        build_platform=environment.platform,
        platform=_platforms(spec, environment)[0],
        images=contexts.images,
        contexts=(*contexts.images, *(name for name in contexts.trees if name)),
        ignore=contexts.trees[""].matcher,
        whole=whole,
        name=spec.dockerfile.removeprefix(f"{spec.context.rstrip('/')}/"),
    )


async def check_image(spec: BuildSpec, *, environment: BuildEnvironment) -> Checked:
    """Check how an image would be built; base images are known by their configs, if to be had.

    :raises BuildError: when the Dockerfile or a context cannot be read.
    """
    async with _opened(spec, environment, {}, whole=True) as ground:
        return await _checked(ground.question, environment)


async def describe_image(spec: BuildSpec, what: str, *, environment: BuildEnvironment) -> Described:
    """Tell what a Dockerfile says of itself: "check", "outline" or "targets".

    :raises BuildError: when the Dockerfile or a context cannot be read, or makes no sense.
    """
    from orchestra.engine.build.outline import (  # noqa: PLC0415 - not for builds
        describe_outline,
        describe_targets,
        described_check,
    )

    async with _opened(spec, environment, {}, whole=True) as ground:
        if what == "targets":
            return describe_targets(ground.question)
        if what == "outline":
            return describe_outline(ground.question)
        return described_check(await _checked(ground.question, environment))


async def _checked(question: Question, environment: BuildEnvironment) -> Checked:
    configs: dict[int, ImageConfig] = {}
    for index, (reference, platform) in bases_of(question).items():
        config = await environment.images.config(reference, platform)
        if config is not None:
            configs[index] = config
    return check(question, configs)


def _job(
    spec: BuildSpec,
    subject: str,
    ground: _Ground,
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
        done=ground.done,
    )


def _platforms(spec: BuildSpec, environment: BuildEnvironment) -> tuple[Platform, ...]:
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
