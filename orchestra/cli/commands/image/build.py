"""``orchestra image build``: build an image from a Dockerfile and its context."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from orchestra.cli.declare import Argument, Context, Option
from orchestra.cli.session import Session
from orchestra.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def command(
    ctx: Context,
    path: Annotated[str, Argument(metavar="PATH|URL|-")],
    add_hosts: Annotated[
        list[str] | None, Option("--add-host", help="Add a custom host-to-IP mapping, HOST:IP")
    ] = None,
    build_args: Annotated[
        list[str] | None, Option("--build-arg", help="Set build-time variables")
    ] = None,
    build_contexts: Annotated[
        list[str] | None, Option("--build-context", help="Additional build contexts, NAME=PATH|URL")
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
    platforms: Annotated[
        list[str] | None,
        Option("--platform", help="Set the target platform; several, with commas, give an index"),
    ] = None,
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
    """Build; "-" is a Dockerfile or a tarball from stdin. Without a tag the image has no name."""
    from orchestra.cli.building import STDIN, check_stdin
    from orchestra.cli.render.transfers import transfers
    from orchestra.cli.transact import parse_build_args
    from orchestra.planner.building import BuildSpec

    session = Session.of(ctx)
    arguments = parse_build_args(build_args or (), session.environment)
    context, is_here = _place(path)
    if path == STDIN:
        check_stdin()
    if iidfile:
        _check_place(iidfile)
    spec = BuildSpec(
        context=context,
        dockerfile=_dockerfile(file, context) if is_here else file or "Dockerfile",
        target=target,
        args=arguments,
        labels=dict(_pair("--label", text, needed=False) for text in labels or ()),
        tags=tuple(tags[1:] if tags else ()),
        no_cache=no_cache,
        pull=pull,
        network=network,
        extra_hosts=tuple(_host(text) for text in add_hosts or ()),
        secrets=dict(_secret(text) for text in secrets or ()),
        platforms=tuple(part for text in platforms or () for part in text.split(",") if part),
        additional_contexts=dict(_context(text) for text in build_contexts or ()),
    )

    async def main() -> str:
        async with transfers(session.options, quiet=quiet) as report:
            builds = session.machine.builds("")
            return await builds.build(spec, tags[0] if tags else None, report)

    made = session.run(main)
    if iidfile:
        _write(iidfile, made)
    print(made)


def _place(text: str) -> tuple[str, bool]:
    """Return a context as the builder wants it, and whether it is a path of this machine."""
    if text == "-" or not Path(text).is_dir():
        from orchestra.planner.compile.images import is_remote

        if is_remote(text):
            return text, False
    return str(Path(text).absolute()), True


def _dockerfile(file: str, context: str) -> str:
    return str(Path(file).absolute()) if file else f"{context}/Dockerfile"


def _check_place(iidfile: str) -> None:
    """Check that a file can be where the image's id is to go, before anything is built.

    :raises UsageError: when there is no such directory, or the file is one.
    """
    path = Path(iidfile)
    if not path.absolute().parent.is_dir():
        raise UsageError(f'cannot write "{path}": there is no directory "{path.parent}"')
    if path.is_dir():
        raise UsageError(f'cannot write "{path}": it is a directory')


def _write(iidfile: str, identity: str) -> None:
    try:
        Path(iidfile).write_text(identity, "ascii")
    except OSError as err:
        raise UsageError(f'cannot write "{iidfile}": {(err.strerror or "").lower()}') from err


def _pair(option: str, text: str, *, needed: bool = True) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or (needed and not equals):
        raise UsageError(f'"{text}" is no value of {option}', hint="write it as NAME=VALUE")
    return key, value


def _context(text: str) -> tuple[str, str]:
    name, place = _pair("--build-context", text)
    return name, _place(place)[0]


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
