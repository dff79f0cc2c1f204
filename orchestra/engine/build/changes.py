"""What a committed image says of its containers: what its container has, and changes to that.

Pure. As daemon/commit.go and builder/dockerfile/builder.go (BuildFromConfig) of the Docker Engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.graph import Graph, Stage
from orchestra.engine.build.instructions import Arg, Copy, From, Maintainer, Run, Shell
from orchestra.engine.build.lowering import Base, lower_stage
from orchestra.engine.build.ports import read_ports
from orchestra.engine.build.reading import read_instruction
from orchestra.errors import BuildError, Location
from orchestra.oci.image import ImageConfig, ImageHealthcheck
from orchestra.planner.desired import ContainerSpec, HealthSpec
from orchestra.values import replace

_FILE = "--change"
_REFUSED = (Arg, Copy, From, Maintainer, Run, Shell)


def config_of(image: ImageConfig, spec: ContainerSpec) -> ImageConfig:
    """Return the config of an image whose containers run as this one does."""
    kept = [pair.partition("=") for pair in image.env]
    env = {key: value for key, _, value in kept if key not in spec.unset} | dict(spec.environment)
    own_entrypoint = spec.entrypoint is not None
    entrypoint = spec.entrypoint if own_entrypoint else image.entrypoint
    command = spec.command
    if command is None and not (own_entrypoint and any(spec.entrypoint or ())):
        command = image.cmd
    ports = (port for text in spec.expose for port in read_ports(text))
    published = (f"{port.container_port}/{port.protocol}" for port in spec.ports)
    return replace(
        image,
        env=tuple(f"{key}={value}" for key, value in env.items()),
        entrypoint=None if entrypoint in {(), ("",)} else entrypoint,
        cmd=command,
        user=image.user if spec.user is None else spec.user,
        working_dir=image.working_dir if spec.working_dir is None else spec.working_dir,
        labels={**image.labels, **spec.labels},
        stop_signal=spec.stop_signal or image.stop_signal,
        exposed_ports=tuple(dict.fromkeys((*image.exposed_ports, *ports, *published))),
        healthcheck=_health(image.healthcheck, spec.health),
        on_build=(),
    )


def _health(image: ImageHealthcheck | None, own: HealthSpec | None) -> ImageHealthcheck | None:
    if own is None:
        return image
    known = image or ImageHealthcheck()
    return ImageHealthcheck(
        test=known.test if own.test is None else own.test,
        interval_ns=_nanoseconds(own.interval, known.interval_ns),
        timeout_ns=_nanoseconds(own.timeout, known.timeout_ns),
        start_period_ns=_nanoseconds(own.start_period, known.start_period_ns),
        start_interval_ns=_nanoseconds(own.start_interval, known.start_interval_ns),
        retries=known.retries if own.retries is None else own.retries,
    )


def _nanoseconds(own: timedelta | None, known: int) -> int:
    return known if own is None else own // timedelta(microseconds=1) * 1000


def changed(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """Apply lines of a Dockerfile that change what an image says, and nothing in it.

    :raises BuildError: when a line is wrong, or would change files.
    """
    if not changes:
        return config
    document = parse_dockerfile("\n".join(changes), _FILE)
    instructions = tuple(read_instruction(line, _FILE) for line in document.lines)
    for instruction in instructions:
        if isinstance(instruction, _REFUSED):
            raise BuildError(
                f"{type(instruction).__name__.upper()} is no change that a commit can make",
                location=Location(_FILE, instruction.line),
                hint="known are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, "
                "STOPSIGNAL, USER, VOLUME, WORKDIR",
            )
    stage = Stage(
        index=0,
        name="",
        base=None,
        platform=None,
        instructions=instructions,
        line=1,
        source="",
    )
    graph = Graph(
        file=_FILE,
        escape=document.escape,
        stages=(stage,),
        target=0,
        needed=(0,),
        arguments={},
        used_arguments=frozenset(),
        contexts=frozenset(),
    )
    return lower_stage(graph, stage, Base(config=config), {}).config
