"""``orchestra image build``: build an image from a Dockerfile and a directory."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from orchestra.cli.declare import Argument, Context, Option
from orchestra.cli.session import Session
from orchestra.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def command(
    ctx: Context,
    path: Annotated[str, Argument(metavar="PATH|-")],
    add_hosts: Annotated[
        list[str] | None, Option("--add-host", help="Add a custom host-to-IP mapping, HOST:IP")
    ] = None,
    build_args: Annotated[
        list[str] | None, Option("--build-arg", help="Set build-time variables")
    ] = None,
    build_contexts: Annotated[
        list[str] | None, Option("--build-context", help="Additional build contexts, NAME=PATH")
    ] = None,
    file: Annotated[
        str, Option("--file", "-f", help="Name of the Dockerfile (default: PATH/Dockerfile)")
    ] = "",
    iidfile: Annotated[str, Option("--iidfile", help="Write the image ID to a file")] = "",
    labels: Annotated[list[str] | None, Option("--label", help="Set metadata for an image")] = None,
    network: Annotated[
        str | None, Option("--network", help="Networking mode of RUN: default, none, host")
    ] = None,
    no_cache: Annotated[
        bool, Option("--no-cache", help="Do not use cache when building the image")
    ] = False,
    platform: Annotated[str | None, Option("--platform", help="Set the target platform")] = None,
    pull: Annotated[
        bool, Option("--pull", help="Always attempt to pull all referenced images")
    ] = False,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="Suppress the build output and print the image ID")
    ] = False,
    secrets: Annotated[
        list[str] | None, Option("--secret", help="Expose a secret: id=NAME,src=FILE")
    ] = None,
    tags: Annotated[
        list[str] | None, Option("--tag", "-t", help="Name and optionally a tag, NAME:TAG")
    ] = None,
    target: Annotated[
        str | None, Option("--target", help="Set the target build stage to build")
    ] = None,
) -> None:
    """Build; without a tag the image is left without a name, to be used by its id."""
    from orchestra.cli.render.transfers import transfers
    from orchestra.cli.transact import parse_build_args
    from orchestra.planner.building import BuildSpec

    session = Session.of(ctx)
    arguments = parse_build_args(build_args or (), session.environment)
    with _context_of(path) as (context, inline):
        spec = BuildSpec(
            context=context,
            dockerfile=str(Path(file).absolute()) if file else f"{context}/Dockerfile",
            dockerfile_inline=inline,
            target=target,
            args=arguments,
            labels=dict(_pair("--label", text, needed=False) for text in labels or ()),
            tags=tuple(tags[1:] if tags else ()),
            no_cache=no_cache,
            pull=pull,
            network=network,
            extra_hosts=tuple(_host(text) for text in add_hosts or ()),
            secrets=dict(_secret(text) for text in secrets or ()),
            platform=platform,
            additional_contexts=dict(_context(text) for text in build_contexts or ()),
        )

        async def main() -> str:
            async with transfers(session.options, quiet=quiet) as report:
                builds = session.machine.builds("")
                return await builds.build(spec, tags[0] if tags else None, report)

        made = session.run(main)
    if iidfile:
        Path(iidfile).write_text(made, "ascii")
    print(made)


@contextmanager
def _context_of(path: str) -> Iterator[tuple[str, str | None]]:
    """Give the directory of a build, and the Dockerfile where that comes on stdin.

    :raises UsageError: when it is no directory of this machine, or stdin is a terminal.
    """
    if "://" in path or path.startswith("git@"):
        raise UsageError(
            f'cannot build "{path}": a context is a directory of this machine',
            hint="clone or unpack it first",
        )
    if path != "-":
        yield str(Path(path).absolute()), None
        return
    if sys.stdin.isatty():
        raise UsageError("a Dockerfile on stdin is wanted, and that is a terminal")
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="orchestra-") as empty:
        yield empty, sys.stdin.read()


def _pair(option: str, text: str, *, needed: bool = True) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or (needed and not equals):
        raise UsageError(f'"{text}" is no value of {option}', hint="write it as NAME=VALUE")
    return key, value


def _context(text: str) -> tuple[str, str]:
    name, place = _pair("--build-context", text)
    return name, place if "://" in place else str(Path(place).absolute())


def _host(text: str) -> tuple[str, str]:
    name, mark, address = text.partition("=") if "=" in text else text.partition(":")
    if not (name and mark and address):
        raise UsageError(f'"{text}" is no value of --add-host', hint="write it as HOST:IP")
    return name, address


def _secret(text: str) -> tuple[str, str]:
    fields = dict(_pair("--secret", part) for part in text.split(","))
    source = fields.get("src") or fields.get("source")
    if not fields.get("id") or not source or not _known(fields):
        raise UsageError(f'"{text}" is no value of --secret', hint="write it as id=NAME,src=FILE")
    return fields["id"], str(Path(source).absolute())


def _known(fields: Iterable[str]) -> bool:
    return set(fields) <= {"id", "src", "source", "type"}
