"""The builder's one entry: a BuildSpec -> an image in the store.

Reads the Dockerfile, plans its stages, solves them, and names the result. Decides nothing about
when to build: the cache makes an unchanged build cheap and its image the very same one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from orchestra.engine.build.checking import (
    Checked,
    Question,
)
from orchestra.engine.build.contexts import ContextOpener, Contexts
from orchestra.engine.build.environment import BuildEnvironment, Reports
from orchestra.engine.build.export import Member, built_of
from orchestra.engine.build.git_access import GitAccess
from orchestra.engine.build.handed import SecretSource, read_secret
from orchestra.engine.build.imported_caches import lend
from orchestra.engine.build.kept import build_environment
from orchestra.engine.build.members import Ground, build_platforms, checked_of, platforms_of
from orchestra.engine.build.runs import HOSTNAME, RunSettings
from orchestra.engine.build.settling import known_build, tell_settled, tell_warnings
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.workspace import workspace
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.waiting import in_thread, want_loop
from orchestra.oci.image import Image
from orchestra.planner.building import BuildSpec
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.engine.build.outline import Described

__all__ = ["BuildEnvironment", "build_environment", "build_image", "check_image"]

_NAMELESS = "image"
"""What a build is called that is to give no name."""
_HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
_KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"


Deliver = Callable[[Sequence[Member], int | None], Awaitable[Image]]


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
    look = await in_thread(
        settled.look, replace(spec, no_cache=False), names if deliver is None else settles_as
    )
    if look is None or spec.no_cache:
        want_loop()  # remote sources and caches, agents, attestations
    known = await known_build(look, environment) if not (deliver or spec.no_cache) else None
    if known is not None:
        tell_settled(known, subject, reports)
        return known.image
    async with _opened(spec, environment, look.trees if look else {}, whole=False) as ground:
        made = await build_platforms(spec, subject, names, ground, environment, reports)
        members, outcomes = [one.member for one in made], [one.outcome for one in made]
        warnings = dict.fromkeys(text for one in made for text in one.warnings)
        if deliver is None:
            image = await environment.images.add(built_of(members), names)
        else:
            image = await deliver(members, outcomes[0].solver.job.epoch)
        await lend(spec, subject, environment, reports, outcomes)
    tell_warnings(tuple(warnings), subject, reports)
    if look is not None:
        notes = outcomes[0].solver.notes
        await in_thread(settled.keep, look, notes, image, tuple(warnings))
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
) -> AsyncIterator[Ground]:
    """Open what is read, with the agents that it needs; no sweep comes meanwhile.

    ``trees`` are contexts that are open already.

    :raises BuildError: when the Dockerfile or a context cannot be read.
    """
    arguments = build_arguments(spec.args, environment.variables)
    async with _agents(spec, environment) as sockets:
        settings = await in_thread(_settings, spec, environment, sockets)
        settings = replace(settings, hostname=arguments.get(_HOSTNAME) or HOSTNAME)
        keep = arguments.get(_KEEP_GIT, "") in ("1", "true")
        parent = environment.paths.build_cache / "tmp"
        with environment.layers.writing(), workspace(parent) as scratch:
            opener = ContextOpener(environment, scratch, settings.git, keep_git_dir=keep)
            opener.trees = trees
            contexts = await opener.open(spec)
            question = _question(spec, environment, arguments, contexts, whole=whole)
            ground = Ground(
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
        platform=platforms_of(spec, environment)[0],
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
        return await checked_of(ground.question, environment)


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
        return described_check(await checked_of(ground.question, environment))
