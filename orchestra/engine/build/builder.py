"""The builder's one entry: a BuildSpec -> an image in the store.

Reads the Dockerfile, plans its stages, solves them, and names the result. Decides nothing about
when to build: the cache makes an unchanged build cheap and its image the very same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra.engine.build.cache import BuildCache
from orchestra.engine.build.command_lines import PROXIES
from orchestra.engine.build.context import open_context
from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.environment import BuildEnvironment, NetworkMode, Reports
from orchestra.engine.build.export import final_config, history_of
from orchestra.engine.build.graph import Graph, make_graph
from orchestra.engine.build.kept import build_environment
from orchestra.engine.build.runs import RunSettings
from orchestra.engine.build.solver import Solved, Solver
from orchestra.engine.build.steps import Job
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.workspace import workspace
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.image.document import encode_config
from orchestra.errors import BuildError, ImageError, Location
from orchestra.oci.image import Image
from orchestra.oci.platform import Platform, parse_platform
from orchestra.planner.desired import BuildSpec

__all__ = ["BuildEnvironment", "build_environment", "build_image"]

_DOCKERFILE_BYTES_MAX = 4 << 20
_IMAGE_CONTEXT = "docker-image://"
_EPOCH = "SOURCE_DATE_EPOCH"
_ALWAYS_KNOWN = frozenset({*PROXIES, *(name.lower() for name in PROXIES), _EPOCH})


async def build_image(
    spec: BuildSpec,
    reference: str,
    *,
    environment: BuildEnvironment,
    progress: Callable[[Progress], None],
    output: Callable[[LogLine], None],
) -> Image:
    """Build an image and store it as ``reference`` and the spec's tags.

    ``output`` gets what the steps print, and warnings as lines of stderr.

    :raises BuildError: at Dockerfile:line, when the file is wrong or a step fails.
    """
    reports = Reports(progress=progress, output=output)
    arguments = build_arguments(spec.args, environment.variables)
    job = await anyio.to_thread.run_sync(_job, spec, reference, environment, arguments)
    parent = environment.paths.build_cache / "tmp"
    cache = BuildCache(environment.paths.build_cache / "records")
    with environment.layers.writing(), workspace(parent) as scratch:
        solver = Solver(job, environment, reports, scratch, cache)
        solved = await solver.solve()
        image = await _export(spec, reference, job, solved, environment)
    for warning in _warnings(job, solver.used_arguments(), spec.dockerfile):
        output(LogLine(source=reference, stream="stderr", text=f"warning: {warning}\n"))
    progress(Progress(subject=reference, action="built"))
    return image


def build_arguments(
    given: Mapping[str, str | None], variables: Mapping[str, str]
) -> dict[str, str]:
    """Return the build arguments: one without a value takes the environment's, or is left out."""
    found = {name: variables.get(name) if value is None else value for name, value in given.items()}
    return {name: value for name, value in found.items() if value is not None}


def _job(
    spec: BuildSpec, reference: str, environment: BuildEnvironment, arguments: Mapping[str, str]
) -> Job:
    text = spec.dockerfile_inline
    if text is None:
        text = _read(spec.dockerfile)
    platform = _platform(spec, environment)
    images, trees = _contexts(spec)
    graph = make_graph(
        parse_dockerfile(text, spec.dockerfile),
        file=spec.dockerfile,
        arguments=arguments,
        target=spec.target or "",
        build_platform=environment.platform,
        target_platform=platform,
        contexts=(*images, *(name for name in trees if name)),
    )
    return Job(
        reference=reference,
        graph=graph,
        arguments=arguments,
        platform=platform,
        trees=trees,
        context_images=images,
        network=_network(spec),
        no_cache=spec.no_cache,
        pull=spec.pull,
        epoch=_epoch(arguments, environment.variables),
        settings=RunSettings(
            secrets=spec.secrets,
            extra_hosts=spec.extra_hosts,
            shm_size_bytes=spec.shm_size_bytes,
            project=environment.scope or "build",
        ),
    )


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_DOCKERFILE_BYTES_MAX + 1)
    except OSError as error:
        raise BuildError(
            f'cannot build: cannot read the Dockerfile "{path}": {error.strerror}',
            hint="check build.context and build.dockerfile",
        ) from error
    if len(data) > _DOCKERFILE_BYTES_MAX:
        raise BuildError(f'cannot build: the Dockerfile "{path}" is larger than 4 MiB')
    return data.decode("utf-8", "replace")


def _platform(spec: BuildSpec, environment: BuildEnvironment) -> Platform:
    if spec.platform is None:
        return environment.platform
    try:
        return parse_platform(spec.platform)
    except ImageError as error:
        raise BuildError(f"cannot build: {error.message}", hint=error.hint) from error


def _contexts(spec: BuildSpec) -> tuple[dict[str, str], dict[str, Tree]]:
    images: dict[str, str] = {}
    own = spec.dockerfile if spec.dockerfile_inline is None else ""
    trees = {"": open_context(spec.context, own)}
    for name, value in spec.additional_contexts.items():
        if value.startswith(_IMAGE_CONTEXT):
            images[name] = value.removeprefix(_IMAGE_CONTEXT)
        elif Path(value).is_absolute():
            trees[name] = open_context(value, "")
        else:
            raise BuildError(
                f'cannot build: the additional context "{name}" is "{value}", '
                "which is not supported",
                hint=f"give a directory, or {_IMAGE_CONTEXT}NAME",
            )
    return images, trees


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


def _epoch(arguments: Mapping[str, str], variables: Mapping[str, str]) -> int | None:
    text = arguments.get(_EPOCH, variables.get(_EPOCH, ""))
    if not text:
        return None
    if not text.isascii() or not text.isdecimal():
        raise BuildError(f'cannot build: {_EPOCH} "{text[:50]}" is not a number of seconds')
    return int(text)


async def _export(
    spec: BuildSpec, reference: str, job: Job, solved: Solved, environment: BuildEnvironment
) -> Image:
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
    return await environment.images.add(
        encode_config(config), solved.layers, (reference, *spec.tags)
    )


def _warnings(job: Job, used: frozenset[str], file: str) -> list[str]:
    graph: Graph = job.graph
    unused = sorted(job.arguments.keys() - used - graph.used_arguments - _ALWAYS_KNOWN)
    warnings = list(graph.warnings)
    if unused:
        place = Location(file)
        warnings.append(f"{place}: build arguments that no ARG asks for: {', '.join(unused)}")
    return warnings
