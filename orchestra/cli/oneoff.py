"""What the command line of `run` asks of a service's container. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.errors import UsageError
from orchestra.planner.desired import ContainerSpec
from orchestra.planner.oneoff import Run, run_spec
from orchestra.spec.findings import Misfit
from orchestra.spec.shorthand import split_command
from orchestra.values import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOff:
    """What the command line asks of the container; None and () take what the service says.

    ``slug``: 64 hex digits that tell this run from all others.
    """

    service: str
    slug: str
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    name: str | None = None
    user: str | None = None
    workdir: str | None = None
    volumes: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    service_ports: bool = False
    aliases: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = True


def one_off_spec(template: ContainerSpec, wanted: OneOff) -> ContainerSpec:
    """Return the container of a run: the service's, changed as asked, never restarted or healed.

    :raises UsageError: when a label or the entrypoint cannot be read.
    """
    run = Run(
        service=wanted.service,
        slug=wanted.slug,
        command=wanted.command,
        entrypoint=_entrypoint(wanted.entrypoint),
        environment=wanted.environment,
        labels=_labels(wanted.labels),
        name=wanted.name,
        user=wanted.user,
        workdir=wanted.workdir,
        aliases=wanted.aliases,
        cap_add=wanted.cap_add,
        cap_drop=wanted.cap_drop,
        tty=wanted.tty,
        stdin=wanted.stdin,
    )
    return run_spec(template, run)


def _entrypoint(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        return tuple(split_command(text))
    except Misfit as err:
        raise UsageError(f"--entrypoint: {err.message}", hint=err.hint) from err


def _labels(texts: tuple[str, ...]) -> Mapping[str, str]:
    labels = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f'"{text}" is no label', hint="write it as --label KEY=VALUE")
        labels[key] = value
    return labels
