"""``orchestra build``: build the images of services that have a build section."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.options import GlobalOptions
from orchestra.cli.plain_builds import plain_project_build, project_parts
from orchestra.errors import UsageError


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    build_args: Annotated[
        list[str] | None, Option("--build-arg", help="Set build-time variables")
    ] = None,
    memory: Annotated[
        str, Option("--memory", "-m", help="Set memory limit for each step of a build")
    ] = "",
    no_cache: Annotated[
        bool, Option("--no-cache", help="Do not use cache when building the image")
    ] = False,
    progress: Annotated[
        str, Option("--progress", help="Progress output: auto, tty, plain, json, quiet")
    ] = "",
    print_file: Annotated[bool, Option("--print", help="Print equivalent bake file")] = False,
    provenance: Annotated[
        str | None,
        Option("--provenance", help="Add a provenance attestation: true, false, mode=min|max"),
    ] = None,
    pull: Annotated[
        bool, Option("--pull", help="Always attempt to pull a newer version of the image")
    ] = False,
    push: Annotated[bool, Option("--push", help="Push service images")] = False,
    sbom: Annotated[
        str | None, Option("--sbom", help="Add a software bill of materials: true or false")
    ] = None,
    ssh: Annotated[
        list[str] | None,
        Option(
            "--ssh",
            metavar="default|ID[=SOCKET|KEY,...]",
            help="Forward an ssh agent, or a key, to the steps that ask for it",
        ),
    ] = None,
    check: Annotated[
        bool, Option("--check", help="Check the build configuration, and build nothing")
    ] = False,
    tag: Annotated[
        str | None, Option("--tag", "-t", metavar="NAME", help="Name what is built of stdin")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Suppress the build output")] = False,
    with_dependencies: Annotated[
        bool, Option("--with-dependencies", help="Also build dependencies (transitively)")
    ] = False,
) -> None:
    """Build, independent images side by side; "-" is a Dockerfile or a tarball from stdin."""
    given = {name: value for name, value in locals().items() if value and name != "ctx"}
    known = plain_project_build(ctx.obj or GlobalOptions(), given)
    from orchestra.cli.build_options import parse_build_args, parse_ssh, size_of
    from orchestra.cli.building import STDIN, Asked, Remembered, build_project, build_stdin
    from orchestra.cli.options import check_choice
    from orchestra.cli.session import Session
    from orchestra.planner.building import BuildSpec
    from orchestra.values import replace

    session = Session.of(ctx)
    parts = project_parts(session.options, given, session.environment)
    asked = Asked(
        args=parse_build_args(build_args or (), session.environment),
        ssh=dict(parse_ssh(text) for text in ssh or ()),
        no_cache=no_cache,
        pull=pull,
        push=push,
        check=check,
        print_file=print_file,
        memory_bytes=size_of("--memory", memory),
        with_dependencies=with_dependencies,
        provenance=provenance,
        sbom=sbom,
    )
    if progress:
        check_choice("--progress", progress, ("auto", "tty", "plain", "json", "quiet"))
        session.options = replace(session.options, progress=progress)
    if quiet:
        session.options = replace(session.options, progress="quiet")
    if services == [STDIN]:
        spec = BuildSpec(context=STDIN, dockerfile="Dockerfile", args=asked.args, ssh=asked.ssh)
        spec = asked.attested(replace(spec, no_cache=no_cache, pull=pull))
        session.run(lambda: build_stdin(session, spec, tag, check=check))
        return
    if tag is not None:
        raise UsageError('--tag is for "build -"', hint="name a service's image by `image`")
    build_project(session, services or (), asked, Remembered(parts, known))
